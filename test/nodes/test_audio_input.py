"""The one input for audio over DDS: it finds what is published, and follows its parameters."""

import array
import time

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from audio_common_msgs.msg import AudioData, AudioDataStamped, AudioInfo  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from seld_overlap_ros.config import FrontEnd  # noqa: E402
from seld_overlap_ros.graphs import AUDIO_INPUT, NodeKind  # noqa: E402
from seld_overlap_ros.nodes import audio_input, convert  # noqa: E402
from seld_overlap_ros.nodes.audio_input import AudioInput  # noqa: E402
from seld_overlap_ros.nodes.running import RunnableNode  # noqa: E402
from seld_overlap_ros.streaming.notices import Notices  # noqa: E402
from seld_overlap_ros.streaming.pcm import SAMPLE_FORMATS, AudioError, encode  # noqa: E402

pytestmark = pytest.mark.ros
LIMIT_S = 60.0  # for anything that is waited for
RATE, CHUNK, SECOND = 16000, 1600, 1_000_000_000
START_NS = 1_700_000_000 * SECOND
FRONT_END = FrontEnd(n_frames=61)  # 0.992 s


class Bench:
    """A node with an AudioInput for two microphones, and one that plays to it, in one executor."""

    def __init__(self, **parameters):
        words = (word for name, value in parameters.items() for word in ("-p", f"{name}:={value}"))
        rclpy.init(args=["--ros-args", *words])
        self.said, self.windows = [], []
        self._executor = SingleThreadedExecutor()
        self.ears = RunnableNode(NodeKind("ears", AUDIO_INPUT))
        self.mouth = rclpy.create_node("mouth")
        for node in (self.ears, self.mouth):
            self._executor.add_node(node)
        self.listen()

    def listen(self):
        self.input = AudioInput(self.ears, FRONT_END, 2, 0.5, Notices(self.said.append),
                                lambda windows, frame_id: self.windows.extend((one, frame_id) for one in windows))

    def publisher(self, message_type, topic):
        """A publisher that the input has found."""
        publisher = self.mouth.create_publisher(message_type, topic, 1000)
        self.wait(publisher.get_subscription_count)
        return publisher

    def wait(self, met):
        deadline = time.monotonic() + LIMIT_S
        while not met():
            assert time.monotonic() < deadline, f"waited in vain; it says: {self.said}"
            self._executor.spin_once(timeout_sec=0.02)

    def spin_for(self, seconds):
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)

    def describe(self, channels=2, rate=RATE, sample_format="S16LE", coding="wave"):
        """Say the format, and wait until it has been heard."""
        info = AudioInfo(channels=channels, sample_rate=rate, sample_format=sample_format, coding_format=coding)
        publisher = self.publisher(AudioInfo, "audio_info")
        publisher.publish(info)
        self.wait(lambda: self.input.intake.knows_format)

    def close(self):
        self._executor.shutdown()
        self.ears.destroy_node()
        self.mouth.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture
def open_bench():
    benches = []

    def opened(**parameters):
        benches.append(Bench(**parameters))
        return benches[-1]

    yield opened
    for bench in benches:
        bench.close()
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    """A window of as many channels as a ReSpeaker has."""
    return np.random.default_rng(0).uniform(-0.5, 0.5, (FRONT_END.window_samples, 6)).astype(np.float32)


def stamped(stamp_ns, data, frame_id=""):
    message = AudioDataStamped(header=convert.to_header(stamp_ns, frame_id))
    message.audio.data = array.array("B", data)
    return message


def play(publisher, samples, sample_format="S16LE", start_ns=START_NS, frame_id=""):
    for first in range(0, len(samples), CHUNK):
        data = encode(samples[first : first + CHUNK], sample_format)
        publisher.publish(stamped(start_ns + first * SECOND // RATE, data, frame_id))


def is_heard(bench, samples):
    bench.wait(lambda: bench.windows)
    window = bench.windows[-1][0]
    np.testing.assert_allclose(window.samples, samples.T, atol=2**-7)
    return window


@pytest.mark.parametrize("sample_format", SAMPLE_FORMATS)
def test_every_sample_format_is_heard(open_bench, samples, sample_format):
    bench = open_bench()
    audio = bench.publisher(AudioDataStamped, "audio_stamped")
    bench.describe(sample_format=sample_format)
    play(audio, samples[:, :2], sample_format, frame_id="head")
    assert is_heard(bench, samples[:, :2]).stamp_ns == START_NS
    assert bench.windows[0][1] == "head"
    assert not bench.said


def test_a_channel_map_picks_the_microphones(open_bench, samples):
    bench = open_bench(channel_map="'4,1'")
    audio = bench.publisher(AudioDataStamped, "audio_stamped")
    bench.describe(channels=6)
    play(audio, samples)
    is_heard(bench, samples[:, [4, 1]])
    assert bench.windows[0][1] == "microphone_array"


def test_a_channel_map_that_cannot_be_followed_is_refused_at_the_start(open_bench):
    with pytest.raises(AudioError, match="names 3 channels and the model has 2 microphones"):
        open_bench(channel_map="'1,2,3'")


def test_audio_without_info_is_taken_as_the_parameters_say(open_bench, samples, monkeypatch):
    monkeypatch.setattr(audio_input, "INFO_WAIT_S", 0.5)
    bench = open_bench(channel_map="'4,1'", input_channels=6, sample_format="S32LE")
    play(bench.publisher(AudioDataStamped, "audio_stamped"), samples, "S32LE")
    is_heard(bench, samples[:, [4, 1]])
    assert bench.said == ["no /audio_info: the audio is taken for 6 channels of S32LE at 16000 Hz, as the parameters "
                          "input_channels, sample_rate and sample_format say"]


@pytest.mark.parametrize("wanted", ["auto", "AudioData"])
def test_audio_without_stamps_is_found_and_heard(open_bench, samples, wanted):
    bench = open_bench(audio_type=wanted)
    audio = bench.publisher(AudioData, "audio")
    bench.describe()
    for first in range(0, len(samples), CHUNK):
        data = encode(samples[first : first + CHUNK, :2], "S16LE")
        audio.publish(AudioData(data=array.array("B", data)))
    assert is_heard(bench, samples[:, :2]).stamp_ns == 0
    assert bench.said == ["the audio has no stamps: it is taken for unbroken, its time counts from 0"]
    assert bench.input.topic.name == "/audio"


def test_info_that_was_said_once_before_it_listened_is_heard(open_bench, samples):
    bench = open_bench()
    bench.input.close()
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    info = bench.mouth.create_publisher(AudioInfo, "audio_info", latched)
    info.publish(AudioInfo(channels=2, sample_rate=RATE, sample_format="F32LE", coding_format="wave"))
    bench.listen()
    play(bench.publisher(AudioDataStamped, "audio_stamped"), samples[:, :2], "F32LE")
    is_heard(bench, samples[:, :2])
    assert not bench.said


def test_audio_that_dds_refuses_is_asked_for_once(open_bench, monkeypatch, capfd):
    bench = open_bench()
    create, asked = bench.ears.create_subscription, []

    def refusing(kind, topic, *args, **given):
        if kind is AudioData:
            asked.append(topic)
            raise RuntimeError("another type is there")
        return create(kind, topic, *args, **given)

    monkeypatch.setattr(bench.ears, "create_subscription", refusing)
    bare = bench.mouth.create_publisher(AudioData, "audio", 10)
    bench.wait(lambda: asked)
    bench.spin_for(4 * audio_input.LOOK_EVERY_S)
    assert asked == ["audio"] and bench.input.topic.name == "/audio_stamped"
    assert "audio_common_msgs/msg/AudioData on audio cannot be listened to: another type" in capfd.readouterr().err
    assert not bare.get_subscription_count()


def test_of_two_topics_that_with_stamps_is_taken(open_bench, samples):
    bench = open_bench()
    bare = bench.mouth.create_publisher(AudioData, "audio", 10)
    audio = bench.publisher(AudioDataStamped, "audio_stamped")
    bench.spin_for(4 * audio_input.LOOK_EVERY_S)
    assert bench.input.topic.name == "/audio_stamped"
    assert not bare.get_subscription_count()
    bench.describe()
    play(audio, samples[:, :2])
    is_heard(bench, samples[:, :2])


def test_audio_with_stamps_is_taken_though_that_without_came_first(open_bench, samples):
    bench = open_bench()
    bare = bench.publisher(AudioData, "audio")
    bare.publish(AudioData(data=array.array("B", bytes(640))))
    bench.wait(lambda: bench.input.topic._heard)
    audio = bench.publisher(AudioDataStamped, "audio_stamped")
    bench.describe()
    play(audio, samples[:, :2])
    assert is_heard(bench, samples[:, :2]).stamp_ns == START_NS
    bench.wait(lambda: not bare.get_subscription_count())


def test_when_a_source_has_gone_audio_of_any_type_is_heard_in_its_place(open_bench, samples):
    bench = open_bench()
    first = bench.publisher(AudioDataStamped, "audio_stamped")
    bench.describe()
    play(first, samples[:, :2])
    is_heard(bench, samples[:, :2])
    bench.mouth.destroy_publisher(first)
    second = bench.publisher(AudioData, "audio")
    second.publish(AudioData(data=array.array("B", bytes(640))))
    bench.wait(lambda: bench.input.topic.kind.topic == "audio" and bench.input.topic._heard)


def test_a_sample_format_that_is_none_is_refused_at_the_start(open_bench):
    with pytest.raises(AudioError, match="unknown sample format 'S16_LE'"):
        open_bench(sample_format="S16_LE")


def test_a_clock_that_stands_still_stops_no_watch(open_bench, monkeypatch):
    monkeypatch.setattr(audio_input, "AUDIO_WAIT_S", 0.5)
    bench = open_bench(use_sim_time="true")  # and nobody sends /clock
    bench.wait(lambda: bench.said)
    assert bench.said[0].startswith("no audio on /audio_stamped yet")


def test_what_cannot_be_listened_to_is_named(open_bench, monkeypatch):
    bench = open_bench()
    bench.mouth.create_publisher(String, "audio", 1)
    bench.wait(bench.input.topic.strangers)
    monkeypatch.setattr(audio_input, "AUDIO_WAIT_S", 0.5)
    bench.wait(lambda: bench.said)
    assert bench.said == ["no audio on /audio_stamped yet: is its source started, and there? There is "
                          "std_msgs/msg/String on /audio, which cannot be listened to."]


def test_what_another_audio_type_would_hear_is_named(open_bench, monkeypatch):
    bench = open_bench(audio_type="AudioDataStamped")
    bench.mouth.create_publisher(AudioData, "audio", 1)
    bench.wait(bench.input.topic.strangers)
    monkeypatch.setattr(audio_input, "AUDIO_WAIT_S", 0.5)
    bench.wait(lambda: bench.said)
    assert bench.said[0].endswith("There is audio_common_msgs/msg/AudioData on /audio, which audio_type:=auto would "
                                  "listen to.")


def test_types_that_are_not_installed_are_refused_at_the_start(open_bench):
    with pytest.raises(AudioError, match=r"no audio messages \(hark_msgs/msg/HarkWave\) are installed here"):
        open_bench(audio_type="HarkWave")


def test_of_audio_whose_info_comes_late_the_newest_window_is_heard(open_bench, samples):
    bench = open_bench()
    audio = bench.publisher(AudioDataStamped, "audio_stamped")
    long = np.concatenate([samples, samples, samples])[:, :2]
    play(audio, long)
    bench.wait(lambda: len(bench.input.intake._waiting) == len(range(0, len(long), CHUNK)))
    bench.describe()
    bench.wait(lambda: bench.windows)
    hop = FRONT_END.whole_hops(0.5)
    n_windows = 1 + (len(long) - FRONT_END.window_samples) // hop
    assert bench.input.intake.counts.windows == n_windows > 3
    assert [window.stamp_ns for window, _ in bench.windows] == [START_NS + (n_windows - 1) * hop * SECOND // RATE]


def test_a_last_chunk_whose_stamp_is_off_is_heard_when_nothing_follows(open_bench, samples, monkeypatch):
    monkeypatch.setattr(audio_input, "SETTLE_S", 0.5)
    bench = open_bench()
    audio = bench.publisher(AudioDataStamped, "audio_stamped")
    bench.describe()
    expected = samples[:, :2].copy()
    play(audio, expected[:8000])
    audio.publish(stamped(START_NS + SECOND * 9600 // RATE, encode(expected[9600:], "S16LE")))
    expected[8000:9600] = 0
    is_heard(bench, expected)
    assert bench.input.intake.counts.gaps == 1
