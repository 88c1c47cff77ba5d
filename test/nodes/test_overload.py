"""Windows come faster than a node works on them: it leaves out the oldest, says so, and is at most one behind."""

import threading
import time

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # noqa: E402
from seld_overlap.msg import AudioWindow, DirectionActivity, SeparatedSpectra  # noqa: E402

from seld_overlap_ros.hearing import Activity, Spectra, silence  # noqa: E402
from seld_overlap_ros.models.checkpoint import read_checkpoint  # noqa: E402
from seld_overlap_ros.nodes import convert, full_node, gate_node, ssc_node, ssl_node, sss_node  # noqa: E402
from seld_overlap_ros.streaming.health import WARN  # noqa: E402
from seld_overlap_ros.streaming.stream import Window  # noqa: E402

pytestmark = pytest.mark.ros
LIMIT_S = 60.0
N, EVERY_S, BUSY_S, SECOND = 20, 0.1, 0.35, 1_000_000_000
SPECTRA = Spectra(np.arange(1), np.ones(1, np.float32), np.zeros((1, 256, 256), np.float32))


class Slow:
    """In place of what a node does with a window: takes its time, and notes how many had come when it began."""

    def __init__(self, answer):
        self.answer, self.n_came, self.began = answer, 0, []

    def __call__(self, *args, **kwargs):
        self.began.append(self.n_came)
        time.sleep(BUSY_S)
        return self.answer


def count(slow, put):
    def counted(item):
        slow.n_came += 1
        put(item)

    return counted


@pytest.fixture
def run(model):
    """Makes a node, and one beside it to send to it, in a thread."""
    rclpy.init(args=["--ros-args", "-p", f"model:={model}"])
    executor, made = SingleThreadedExecutor(), []

    def spin():
        try:
            executor.spin()
        except ExternalShutdownException:
            return

    thread = threading.Thread(target=spin, daemon=True)

    def started(make):
        made.extend([make(), rclpy.create_node("neighbour")])
        for node in made:
            executor.add_node(node)
        thread.start()
        return made

    yield started
    executor.shutdown()
    thread.join(LIMIT_S)
    for node in made:
        getattr(node, "close", lambda: None)()
        node.destroy_node()
    rclpy.shutdown()


def send_parts(neighbour, parts):
    """N windows of messages by topic, one every EVERY_S."""
    outs = {topic: neighbour.create_publisher(type(message), topic, 5) for topic, message in parts.items()}
    wait(lambda: all(out.get_subscription_count() for out in outs.values()))
    for k in range(N):
        for topic, message in parts.items():
            message.header = convert.to_header(k * SECOND + SECOND, "head")
            outs[topic].publish(message)
        time.sleep(EVERY_S)


def wait(met):
    deadline = time.monotonic() + LIMIT_S
    while not met():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def check(node, slow, capfd):
    """All have come; the newest of them is still worked on."""
    def counts():
        values = node.watched["windows"]().values
        return int(values["windows done"]), int(values["windows dropped"])

    wait(lambda: sum(counts()) == N)
    assert counts() == (len(slow.began), N - len(slow.began))
    assert 2 < len(slow.began) < N
    # one or more had come since the one before: nothing was worked on that a newer one had overtaken
    # (the last may have come when the one before had been taken, and before this was noted)
    *before, last = slow.began
    assert last == N and before == sorted(set(before))
    assert node.watched["windows"]().level == WARN
    assert "a window is left out, as windows come faster than" in capfd.readouterr().err


def test_a_stage_leaves_out_the_oldest_window(run, monkeypatch, capfd, config, stage):
    make, target, answer, parts = stage(config)
    node, neighbour = run(make)
    slow = Slow(answer)
    owner, name = target(node)
    monkeypatch.setattr(owner, name, slow)
    monkeypatch.setattr(node._parts._worker, "put", count(slow, node._parts._worker.put))
    send_parts(neighbour, parts)
    check(node, slow, capfd)


@pytest.fixture
def config(model):
    return read_checkpoint(model).config


@pytest.fixture(params=["sss", "gate", "ssc"])
def stage(request):
    """What makes the node, where its work is, what that is to answer, and what the node is sent."""

    def of(config):
        header = convert.to_header(0, "head")
        window = convert.to_window(header, np.zeros((8, config.front_end.window_samples), np.float32), config)
        activity = convert.to_activity(header, Activity(np.ones(8, np.float32), np.arange(1)))
        spectra = convert.to_spectra(header, SPECTRA)
        assert (type(window), type(activity), type(spectra)) == (AudioWindow, DirectionActivity, SeparatedSpectra)
        return {
            "sss": (sss_node.SssNode, lambda node: (node, "_separate"), SPECTRA,
                    {"window": window, "activity": activity}),
            "gate": (gate_node.GateNode, lambda node: (gate_node, "join"), SPECTRA,
                     {"spectra_0": spectra, "spectra_1": spectra}),
            "ssc": (ssc_node.SscNode, lambda node: (node, "_classify"), [], {"window": window, "spectra": spectra}),
        }[request.param]

    return of


class SlowHearing(Slow):
    direction_threshold = 0.5


@pytest.mark.parametrize("name", ["full", "ssl"])
def test_what_listens_to_audio_leaves_out_the_oldest_window(run, config, monkeypatch, capfd, name):
    node, _ = run(full_node.FullNode if name == "full" else ssl_node.SslNode)
    slow = SlowHearing([]) if name == "full" else Slow(silence(config))
    monkeypatch.setattr(node, "_hearing" if name == "full" else "_localize", slow)
    worker = node._listener._worker
    monkeypatch.setattr(worker, "put", count(slow, worker.put))
    for k in range(N):
        samples = np.zeros((8, config.front_end.window_samples), np.float32)
        node._listener._on_windows([Window(k * SECOND + SECOND, samples)], "head")
        time.sleep(EVERY_S)
    check(node, slow, capfd)
