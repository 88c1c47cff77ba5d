"""What is published of the sounds, over DDS: events with their ends, waveforms, and audio for players."""

import time

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from audio_common_msgs.msg import AudioData, AudioDataStamped, AudioInfo  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from seld_overlap.msg import SeparatedSource, SoundEventArray  # noqa: E402

from seld_overlap_ros.config import FrontEnd, SystemConfig  # noqa: E402
from seld_overlap_ros.graphs import NodeKind, Parameter  # noqa: E402
from seld_overlap_ros.hearing import HeardSource  # noqa: E402
from seld_overlap_ros.nodes import convert  # noqa: E402
from seld_overlap_ros.nodes.event_output import EventOutput  # noqa: E402
from seld_overlap_ros.nodes.running import RunnableNode  # noqa: E402
from seld_overlap_ros.streaming.overlap_add import fade_samples  # noqa: E402
from seld_overlap_ros.streaming.pcm import AudioFormat, decode  # noqa: E402

pytestmark = pytest.mark.ros
LIMIT_S = 30.0  # for anything that is waited for
SECOND = 1_000_000_000
CONFIG = SystemConfig(labels=("bell", "dog"), front_end=FrontEnd(n_frames=123))  # windows of 1.984 s
N, RATE = CONFIG.front_end.window_samples, CONFIG.front_end.sample_rate
HOP, FADE = 4000, fade_samples(CONFIG.front_end)
KIND = NodeKind("output", (Parameter("model", "some", ""), Parameter("frame_id", "head", ""),
                           Parameter("class_threshold", 0.7, "")))
START_NS = 1_700_000_000 * SECOND
N_WINDOWS = 12
SOUND = (20000, 36000)  # samples from and to
SIGNAL = (0.5 * np.sin(0.1 * np.arange(N + N_WINDOWS * HOP))).astype(np.float32)


def source(first: int, class_scores=(0.8, 0.2)) -> HeardSource:
    """Direction 2 of the window that begins at sample `first`."""
    middles = first + (np.arange(CONFIG.front_end.n_frames) + 1) * CONFIG.front_end.hop
    log_mag = np.zeros((CONFIG.front_end.n_bins, CONFIG.front_end.n_frames), np.float32)
    log_mag[20:40, (SOUND[0] <= middles) & (middles < SOUND[1])] = 0.9
    return HeardSource(2, 0.9, np.array(class_scores, np.float32), log_mag, SIGNAL[first : first + N])


class Stage:
    """A node with the output, and one that hears what it publishes."""

    def __init__(self):
        rclpy.init()
        self.node, self.ear = RunnableNode(KIND), rclpy.create_node("ear")
        self.output = EventOutput(self.node, CONFIG)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.ear)

    def hear(self, kind, topic):
        """The list that what comes on a topic will be in."""
        heard = []
        self.ear.create_subscription(kind, topic, heard.append, 50)
        publishers = [out for out in self.node.publishers if out.topic_name == f"/{topic}"]
        self.wait(lambda: publishers[0].get_subscription_count())
        return heard

    def play(self, **kinds):
        for k in range(N_WINDOWS):
            header = convert.to_header(START_NS + k * HOP * SECOND // RATE, "head")
            self.output.publish(header, [source(k * HOP, **kinds)])

    def wait(self, met):
        deadline = time.monotonic() + LIMIT_S
        while not met():
            assert time.monotonic() < deadline, "waited in vain"
            self._executor.spin_once(timeout_sec=0.02)

    def close(self):
        self._executor.shutdown()
        self.output.close()
        self.ear.destroy_node()
        self.node.destroy_node()
        rclpy.shutdown()


@pytest.fixture
def stage():
    opened = Stage()
    yield opened
    opened.close()


def test_a_sound_is_reported_until_its_end_and_its_waveform_comes_whole(stage):
    events, chunks = stage.hear(SoundEventArray, "events"), stage.hear(SeparatedSource, "separated")
    stage.play()
    stage.wait(lambda: len(events) == N_WINDOWS and chunks and chunks[-1].event.ended)
    [(k, end)] = [(k, event) for k, array in enumerate(events) for event in array.ended]
    assert (end.id % 1000, end.ended, end.unknown) == (1, True, False)
    assert [event.ended for array in events for event in array.events] == [
        at >= k for at, array in enumerate(events) for _ in array.events]
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    assert [chunk.event.ended for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].event.header == events[k].header
    whole = np.concatenate([chunk.samples for chunk in chunks])
    first = round((convert.to_ns(chunks[0].header.stamp) - START_NS) * RATE / SECOND)
    assert first < SOUND[0] and first + len(whole) > SOUND[1]
    np.testing.assert_allclose(whole[FADE:-FADE], SIGNAL[first + FADE : first + len(whole) - FADE], atol=1e-6)


def test_a_sound_without_a_likely_class_is_unknown_and_has_its_hypotheses(stage):
    events = stage.hear(SoundEventArray, "events")
    stage.play(class_scores=(0.6, 0.4))
    stage.wait(lambda: len(events) == N_WINDOWS)
    heard = [event for array in events for event in array.events]
    assert heard and all(event.unknown and len(event.hypotheses) == 2 for event in heard)


def test_a_player_hears_a_direction_without_a_gap(stage):
    stamped = stage.hear(AudioDataStamped, "separated_audio/direction_2/audio_stamped")
    plain = stage.hear(AudioData, "separated_audio/direction_2/audio")
    infos = stage.hear(AudioInfo, "separated_audio/direction_2/audio_info")
    stage.play()
    stage.wait(lambda: len(stamped) == len(plain) == N_WINDOWS - 1 and infos)
    info = infos[-1]
    audio = AudioFormat(info.channels, info.sample_rate, info.sample_format, info.coding_format)
    assert (audio.channels, audio.sample_rate, audio.sample_format) == (1, RATE, "S16LE")
    stamps = [convert.to_ns(message.header.stamp) for message in stamped]
    assert set(np.diff(stamps)) == {HOP * SECOND // RATE}
    assert stamped[0].header.frame_id == "head"
    assert [message.audio.data for message in stamped] == [message.data for message in plain]
    heard = np.concatenate([decode(message.data, audio)[:, 0] for message in plain])
    first = (stamps[0] - START_NS) * RATE // SECOND
    np.testing.assert_allclose(heard[FADE:], SIGNAL[first + FADE : first + len(heard)], atol=1e-4)


def test_what_nobody_listens_to_is_not_sent(stage):
    silent = stage.hear(AudioData, "separated_audio/direction_5/audio")
    infos = [stage.hear(AudioInfo, f"separated_audio/direction_{d}/audio_info") for d in (2, 5)]
    stage.play()
    stage.wait(lambda: len(silent) == N_WINDOWS - 1 and len(infos[1]) == N_WINDOWS - 1)
    assert not any(any(message.data) for message in silent)  # nothing comes from there
    assert infos[0] == []
