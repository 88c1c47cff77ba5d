"""The scene player over DDS: a file arrives whole, described and stamped, and then the player ends."""

import threading
import time

import numpy as np
import pytest
import soundfile

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from audio_common_msgs.msg import AudioDataStamped, AudioInfo  # noqa: E402
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # noqa: E402
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402

from seld_overlap_ros.nodes import convert, scene_player  # noqa: E402
from seld_overlap_ros.streaming.pcm import AudioFormat, decode  # noqa: E402

pytestmark = pytest.mark.ros
RATE = 8000
SECOND = 1_000_000_000


class Listener:
    """A node in a context and a thread of its own that keeps what is played."""

    def __init__(self, reliability):
        self.chunks, self.arrivals, self.infos = [], [], []
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("listener", context=self._context)
        qos = QoSProfile(depth=1000, reliability=reliability)
        self._node.create_subscription(AudioDataStamped, "audio_stamped", self._keep, qos)
        self._node.create_subscription(AudioInfo, "audio_info", self.infos.append, 10)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _keep(self, chunk):
        self.chunks.append(chunk)
        self.arrivals.append(time.time_ns())

    def _spin(self):
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def close(self):
        self._executor.shutdown()
        self._thread.join(10)
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


@pytest.fixture
def listen():
    listeners = []

    def started(reliability=ReliabilityPolicy.BEST_EFFORT):
        listeners.append(Listener(reliability))
        return listeners[-1]

    yield started
    for listener in listeners:
        listener.close()


@pytest.fixture
def scene(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (6 * RATE, 3)).astype(np.float32)
    soundfile.write(tmp_path / "scene.flac", samples, RATE, subtype="PCM_24")
    return tmp_path / "scene.flac", samples


def play(**parameters) -> int:
    words = (word for name, value in parameters.items() for word in ("-p", f"{name}:={value}"))
    return scene_player.main(["--ros-args", *words])


@pytest.mark.parametrize("sample_format", ["S16LE", "F32LE"])
@pytest.mark.parametrize("reliability", [ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE])
def test_a_file_arrives_whole_and_the_player_ends(listen, scene, sample_format, reliability):
    path, samples = scene
    listener = listen(reliability)
    assert play(file=path, rate=10.0, sample_format=sample_format, frame_id="head") == 0
    info = listener.infos[0]
    assert (info.channels, info.sample_rate, info.sample_format, info.coding_format) == (3, RATE, sample_format, "wave")
    width = {"S16LE": 16, "F32LE": 32}[sample_format]
    assert info.bitrate == 3 * RATE * width
    audio = AudioFormat(info.channels, info.sample_rate, info.sample_format, info.coding_format)
    chunks = [decode(message.audio.data, audio) for message in listener.chunks]
    played = np.concatenate(chunks)
    assert len(played) == len(samples) + RATE
    np.testing.assert_allclose(played[: len(samples)], samples, atol=2**-15)
    assert not played[len(samples) :].any()
    stamps = np.array([convert.to_ns(message.header.stamp) for message in listener.chunks])
    starts = np.concatenate([[0], np.cumsum([len(chunk) for chunk in chunks])[:-1]])
    np.testing.assert_array_equal(stamps - stamps[0], starts * SECOND // RATE)
    assert {message.header.frame_id for message in listener.chunks} == {"head"}


def test_a_chunk_is_sent_as_soon_as_it_has_sounded(listen, scene):
    listener = listen()
    assert play(file=scene[0], chunk=0.5) == 0
    late = [arrived_ns - convert.to_ns(chunk.header.stamp) - SECOND // 2
            for arrived_ns, chunk in zip(listener.arrivals, listener.chunks, strict=True)]
    assert 0 <= np.median(late) < 0.1 * SECOND  # a tick is 0.25 s, of which the chunk is ahead by a tenth


def test_it_waits_for_all_listeners_that_it_is_told_of(listen, scene):
    path, _ = scene
    first, late = listen(), []
    timer = threading.Timer(3 * scene_player.SETTLE_S, lambda: late.append(listen()))  # long after the first is there
    timer.start()
    assert play(file=path, rate=20.0, listeners=2) == 0
    timer.join()
    assert len(late[0].chunks) == len(first.chunks) == 70


def test_it_waits_for_nodes_until_they_are_active(listen, scene):
    listener = listen()
    node = LifecycleNode("slow", context=listener._context)
    listener._executor.add_node(node)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    active_ns = []

    def activate():
        active_ns.append(time.time_ns())
        node.trigger_activate()

    timer = threading.Timer(4.0, activate)  # long after the first listener is there
    timer.start()
    try:
        assert play(file=scene[0], rate=20.0, nodes="slow") == 0
        assert listener.arrivals[0] > active_ns[0]
    finally:
        timer.join()
        node.destroy_node()


def test_nodes_that_do_not_come_are_named(scene, monkeypatch, capfd):
    monkeypatch.setattr(scene_player, "LISTENER_WAIT_S", 0.2)
    assert play(file=scene[0], rate=50.0, nodes="nobody,no_one") == 0
    assert "nobody, no_one not active after 0.2 s: playing all the same" in capfd.readouterr().err


def test_without_a_listener_it_says_so_and_plays(scene, monkeypatch, capfd):
    monkeypatch.setattr(scene_player, "LISTENER_WAIT_S", 0.2)
    assert play(file=scene[0], rate=50.0) == 0
    assert "fewer than 1 subscribers of /audio_stamped after 0.2 s: playing all the same" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "nothing to play, or two: set either file, or device"),
        ({"file": "a.wav", "device": "default"}, "nothing to play, or two"),
        ({"file": "nowhere.wav"}, "nowhere.wav cannot be played"),
        ({"file": "demo", "use_sim_time": "true"}, "scene_player plays by the clock of the machine"),
    ],
)
def test_what_cannot_be_played_ends_in_a_sentence(parameters, sentence, capfd):
    assert play(**parameters) == 1
    said = capfd.readouterr().err
    assert sentence in said
    assert len(said.splitlines()) == 1


def test_an_unknown_sample_format_ends_in_a_sentence(scene, capfd):
    assert play(file=scene[0], sample_format="U16BE") == 1
    assert "unknown sample format 'U16BE': let the source send one of S16LE" in capfd.readouterr().err
