"""A node per stage over DDS: they hear what full_node hears, and each may be killed while the others go on."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from audio_common_msgs.msg import AudioDataStamped, AudioInfo  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from seld_overlap.msg import (  # noqa: E402
    AudioWindow,
    DirectionActivity,
    GateWeights,
    SeparatedSource,
    SeparatedSpectra,
    SoundEventArray,
)

from seld_overlap_ros.config import FrontEnd, SystemConfig  # noqa: E402
from seld_overlap_ros.graphs import GRAPHS  # noqa: E402
from seld_overlap_ros.nodes import convert  # noqa: E402
from seld_overlap_ros.streaming.pcm import encode  # noqa: E402
from seld_overlap_ros.up import command, environment  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.timeout(600)]
LIMIT_S = 200.0  # for anything that is waited for; five processes load torch
SECOND = 1_000_000_000
RATE, WINDOW, CHUNK = 16000, 65792, 1600
START_NS = 1_700_000_000 * SECOND


class Desk:
    """Plays to the graphs in one or more namespaces and takes down what each says, by stamp."""

    def __init__(self, *namespaces):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("desk", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.namespaces = namespaces
        self.outs = [(self.node.create_publisher(AudioInfo, f"{ns}/audio_info", 1),
                      self.node.create_publisher(AudioDataStamped, f"{ns}/audio_stamped", 100)) for ns in namespaces]
        self.events, self.separated = {ns: {} for ns in namespaces}, {ns: {} for ns in namespaces}
        for ns in namespaces:
            self.node.create_subscription(SoundEventArray, f"{ns}/events",
                                          lambda m, ns=ns: self.events[ns].setdefault(stamp(m), m), 50)
            self.node.create_subscription(SeparatedSource, f"{ns}/separated",
                                          lambda m, ns=ns: self.separated[ns].update({(m.event.id, m.sequence): m}), 50)
        self.stamp_ns = START_NS

    def wait(self, met, what, limit_s=LIMIT_S):
        deadline = time.monotonic() + limit_s
        while not met():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self.executor.spin_once(timeout_sec=0.02)

    def play(self, samples):
        """Samples (n, M) that follow on what was played."""
        for info, _ in self.outs:
            info.publish(AudioInfo(channels=8, sample_rate=RATE, sample_format="F32LE", coding_format="wave"))
        for first in range(0, len(samples), CHUNK):
            chunk = samples[first : first + CHUNK]
            for _, audio in self.outs:
                message = AudioDataStamped(header=convert.to_header(self.stamp_ns, "head"))
                message.audio.data.frombytes(encode(chunk, "F32LE"))
                audio.publish(message)
            self.stamp_ns += len(chunk) * SECOND // RATE
            time.sleep(0.005)  # who listens listens with best effort

    def play_silence_until_all_answer(self, is_heard=lambda: True):
        """What is played next gets the first ids, as silence holds no sounds. `is_heard`: what else has to be there."""
        def answered():
            return all(self.events.values()) and is_heard()

        deadline = time.monotonic() + LIMIT_S
        while not answered():
            there = [ns for ns, said in self.events.items() if said]
            assert time.monotonic() < deadline, f"waited in vain; events came from {there}"
            self.stamp_ns += 100 * SECOND
            self.play(np.zeros((WINDOW, 8), np.float32))
            end = time.monotonic() + 2.0
            while time.monotonic() < end and not answered():
                self.executor.spin_once(timeout_sec=0.02)
        assert not any(m.events for said in self.events.values() for m in said.values())

    def set_parameter(self, node, name, value):
        """Whether the node took it."""
        client = self.node.create_client(SetParameters, f"{node}/set_parameters")
        self.wait(client.service_is_ready, f"{node}'s parameters")
        answer = client.call_async(SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()]))
        self.wait(answer.done, f"{node}'s answer")
        return answer.result().results[0].successful

    def wait_for_all(self, stamp_ns):
        self.wait(lambda: all(stamp_ns in said for said in self.events.values()), f"the window at {stamp_ns}")

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def stamp(message):
    return convert.to_ns(message.header.stamp)


@pytest.fixture
def start(tmp_path):
    """Starts the processes of a graph, each with a log of its own in tmp_path."""
    running = {}

    def started(graph, namespace, **given):
        for process in GRAPHS[graph].processes({"namespace": namespace, **given}):
            with open(tmp_path / f"{namespace}_{process.node.name}.log", "w") as log:
                running[namespace, process.node.name] = subprocess.Popen(
                    command(process), env=environment(), stdout=log, stderr=subprocess.STDOUT)
        return running

    yield started
    for process in running.values():
        process.terminate()
    try:
        assert [process.wait(LIMIT_S) for process in running.values()] == [0] * len(running)
    finally:
        for process in running.values():
            process.kill()


@pytest.fixture
def desk(request):
    """A desk for the namespaces that the test's marker `namespaces` says."""
    made = []

    def opened(*namespaces):
        made.append(Desk(*namespaces))
        return made[-1]

    yield opened
    for each in made:
        each.close()


def noise(seconds, seed=0):
    """Noise that comes and goes (n, M), so that events have onsets."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.02, (int(seconds * RATE), 8))
    for first in range(RATE, len(samples), 3 * RATE):
        samples[first : first + RATE] += rng.normal(0, 0.2, (len(samples[first : first + RATE]), 1))
    return np.clip(samples, -1, 0.99).astype(np.float32)


def test_the_stages_hear_what_the_full_node_hears(start, desk, model_of_each_system):
    """Over the same topics, with any system: so one graph may be swapped for the other."""
    stages = "stages" if model_of_each_system.stem == "overlap" else "cascade"
    start("full", "full", model=str(model_of_each_system), hop="1", classes="bell,door")
    start(stages, "staged", model=str(model_of_each_system), hop="1", classes="bell,door")
    desk = desk("full", "staged")
    desk.play_silence_until_all_answer()
    desk.stamp_ns += 100 * SECOND
    samples, hop = noise(WINDOW / RATE + 3), FrontEnd().whole_hops(1.0)
    stamps = [desk.stamp_ns + k * hop * SECOND // RATE for k in range(4)]
    for k, stamp_ns in enumerate(stamps):  # at the pace of the slower one, so that none leaves out a window
        desk.play(samples[: WINDOW] if k == 0 else samples[WINDOW + (k - 1) * hop :][:hop])
        desk.wait_for_all(stamp_ns)
    desk.wait(lambda: desk.separated["full"].keys() == desk.separated["staged"].keys() != set(), "the separated sounds")
    for stamp_ns in stamps:
        full, staged = (desk.events[ns][stamp_ns] for ns in ("full", "staged"))
        assert (staged.header, staged.window, len(staged.ended)) == (full.header, full.window, len(full.ended))
        for one, other in zip([*full.events, *full.ended], [*staged.events, *staged.ended], strict=True):
            assert_same_event(other, one)
    n_samples = 0
    for which, one in desk.separated["full"].items():
        other = desk.separated["staged"][which]
        assert (other.header, other.sample_rate) == (one.header, one.sample_rate)
        assert {hypothesis.label for hypothesis in one.event.hypotheses if hypothesis.score} == {"bell", "door"}
        assert_same_event(other.event, one.event)
        np.testing.assert_allclose(other.samples, one.samples, atol=1e-6)
        n_samples += len(one.samples)
    assert n_samples > 2 * WINDOW


def test_the_stages_go_on_hearing_a_known_direction_as_the_full_node_does(start, desk, model):
    """At a threshold that its score does not reach, but half the odds of which it does."""
    start("full", "full", model=str(model), hop="1")
    start("stages", "staged", model=str(model), hop="1")
    desk = desk("full", "staged")
    desk.play_silence_until_all_answer()
    desk.stamp_ns += 100 * SECOND
    samples, hop = noise(WINDOW / RATE), FrontEnd().whole_hops(1.0)

    def heard(played):
        """How many sounds each graph hears in the window that this completes."""
        desk.play(played)
        at_ns = desk.stamp_ns - WINDOW * SECOND // RATE
        desk.wait_for_all(at_ns)
        return [len(said[at_ns].events) for said in desk.events.values()]

    assert heard(samples) == [2, 2]
    score = max(event.direction_score for said in desk.events.values() for m in said.values() for event in m.events)
    odds = 1.4 * score / (1 - score)
    for node in ("full/full_node", "staged/ssl_node"):
        assert desk.set_parameter(node, "direction_threshold", odds / (1 + odds))
    assert min(heard(samples[:hop])) >= 2
    assert min(heard(samples[:hop])) >= 2
    desk.stamp_ns += 100 * SECOND
    assert heard(np.zeros((WINDOW, 8), np.float32)) == [0, 0]
    desk.stamp_ns += 100 * SECOND
    assert heard(samples) == [0, 0]  # nothing is known of it any more


def assert_same_event(event, other):
    """Alike in every field, the scores but for the last bits of a float."""
    scores, others = ([e.direction_score, *(h.score for h in e.hypotheses)] for e in (event, other))
    assert scores == pytest.approx(others, abs=1e-6)
    for each in (event, other):
        each.direction_score = 0.0
        for hypothesis in each.hypotheses:
            hypothesis.score = 0.0
    assert event == other


def test_what_the_stages_hand_on_can_be_looked_at(start, desk, model):
    start("stages", "staged", model=str(model), hop="1")
    desk = desk("staged")
    seen = {}
    kinds = {"window": AudioWindow, "activity": DirectionActivity, "spectra_0": SeparatedSpectra,
             "spectra_1": SeparatedSpectra, "spectra": SeparatedSpectra, "gate_weights": GateWeights}
    for topic, kind in kinds.items():
        desk.node.create_subscription(
            kind, f"staged/{topic}", lambda m, topic=topic: seen.setdefault(topic, {}).setdefault(stamp(m), m), 5)
    desk.play_silence_until_all_answer(lambda: seen.keys() == kinds.keys())
    desk.stamp_ns += 100 * SECOND
    at, samples = desk.stamp_ns, noise(WINDOW / RATE)
    desk.play(samples)
    desk.wait(lambda: all(at in seen.get(topic, {}) for topic in kinds), "a message on every topic")
    said = {topic: messages[at] for topic, messages in seen.items()}
    assert {message.header.frame_id for message in said.values()} == {"head"}
    config = SystemConfig(labels=("bell", "dog", "door"), width=1 / 32)
    np.testing.assert_allclose(convert.from_window(said["window"], config), samples.T, atol=1e-6)
    activity = convert.from_activity(said["activity"], config)
    assert sorted(activity.directions) == [0, 3]
    first, second, joined = (convert.from_spectra(said[name]) for name in ("spectra_0", "spectra_1", "spectra"))
    weights = np.asarray(said["gate_weights"].weights).reshape(2, 256, 256)
    np.testing.assert_allclose(weights * first.log_mag + (1 - weights) * second.log_mag, joined.log_mag, atol=1e-5)
    np.testing.assert_array_equal(joined.directions, activity.directions)


def documented():
    """(topic, type, node, "from" or "to", QoS) for every row of the table of topics in docs/graph.md."""
    text = (Path(__file__).parents[2] / "docs" / "graph.md").read_text()
    said = set()
    for line in text.partition("## Topics")[2].partition("## Between")[0].splitlines():
        if line.startswith("| `"):
            topic, kind, givers, takers, sent, taken = (cell.replace("`", "").strip() for cell in line.split("|")[1:-1])
            for way, nodes, qos in (("from", givers, sent), ("to", takers, taken)):
                said |= {(topic, kind, node, way, qos) for node in nodes.split(", ") if node}
    return said


def found(desk, namespace):
    """The same of the nodes that run in a namespace."""
    there = set()
    ways = (("from", desk.node.get_publishers_info_by_topic), ("to", desk.node.get_subscriptions_info_by_topic))
    for topic, _ in desk.node.get_topic_names_and_types():
        for way, ask in ways:
            for end in (end for end in ask(topic) if end.node_namespace == f"/{namespace}"):
                name = re.sub(r"direction_\d+", "direction_D", topic.removeprefix(f"/{namespace}/"))
                qos = f"{end.qos_profile.reliability.name}, {end.qos_profile.durability.name}"
                there.add((name, end.topic_type, re.sub(r"_[01]$", "", end.node_name), way,
                           qos.lower().replace("_", " ")))
    return {each for each in there if not each[0].startswith("/") and not each[0].endswith("transition_event")}


def test_the_document_says_which_node_speaks_to_which(start, desk, model, tmp_path):
    start("demo", "demo", model=str(model), folder=str(tmp_path / "recording"))
    start("stages", "staged", model=str(model), display="true")
    desk = desk()
    drawn = {"sound_markers", "sound_poses"}  # of display_node, in README.md

    seen = set()  # at any time, as the demo ends by itself
    deadline = time.monotonic() + LIMIT_S
    while seen != documented() and time.monotonic() < deadline:
        seen |= {each for each in found(desk, "demo") | found(desk, "staged") if each[0] not in drawn}
        time.sleep(0.5)
    assert seen == documented()


def children(pid):
    """Process ids of the nodes that a process has started, by node name."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread or a process that has just ended
            for child in (task / "children").read_text().split():
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                found |= {word.split(b":=")[1].decode(): int(child) for word in words if word.startswith(b"__node:=")}
    return found


def test_each_node_may_be_killed_and_the_events_go_on(starter, desk, model, tmp_path):
    desk = desk("staged")
    line = [*starter("stages"), "namespace:=staged", f"model:={model}", "hop:=0.5"]
    with open(tmp_path / "up.log", "w") as log, subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT) as up:
        over = threading.Event()
        try:
            desk.play_silence_until_all_answer()
            desk.stamp_ns += 100 * SECOND
            arrived = []  # stamps in the order of their arrival
            desk.node.create_subscription(SoundEventArray, "staged/events", lambda m: arrived.append(stamp(m)), 50)
            player = threading.Thread(target=play_on, args=(desk, over))
            player.start()
            desk.wait(lambda: arrived, "the first events")
            others = children(up.pid)
            assert set(others) == {"ssl_node", "sss_node_0", "sss_node_1", "gate_node", "ssc_node"}
            for name in list(others):
                os.kill(others.pop(name), signal.SIGKILL)
                desk.wait(lambda name=name: name in children(up.pid), f"{name} to be started again")
                since = desk.stamp_ns
                desk.wait(lambda since=since: arrived[-1] > since, f"events after {name} was killed")
                now = children(up.pid)
                assert {other: now[other] for other in others} == others  # no other node has ended
                others = {other: now[other] for other in others}
            assert arrived == sorted(set(arrived))
            assert up.poll() is None
        finally:
            over.set()
            player.join(LIMIT_S)
            up.send_signal(signal.SIGINT)
            up.wait(LIMIT_S)
    said = (tmp_path / "up.log").read_text()
    assert said.count("separating into") == 4
    assert "Traceback" not in said


def play_on(desk, over):
    """Noise in real time until it is over."""
    samples, start, n_played = noise(10), time.monotonic(), 0
    while not over.wait(max(0.0, start + n_played / RATE - time.monotonic())):
        first = n_played % len(samples)
        desk.play(samples[first : first + CHUNK])
        n_played += CHUNK
