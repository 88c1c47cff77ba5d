"""The event recorder over DDS: what is published ends up in its folder, however it is told to end."""

import array
import json
import math
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from audio_common_msgs.msg import AudioDataStamped  # noqa: E402
from builtin_interfaces.msg import Duration, Time  # noqa: E402
from seld_overlap.msg import ClassHypothesis, SeparatedSource, SoundEvent, SoundEventArray  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from seld_overlap_ros.graphs import EVENT_RECORDER, Process  # noqa: E402
from seld_overlap_ros.up import command  # noqa: E402

pytestmark = pytest.mark.ros
RATE, WINDOW = 16000, 4000
START_S = 1_700_000_000  # stamp of the first sample
LIMIT_S = 60.0  # for anything that is waited for; a busy machine takes long to start a process


class Desk:
    """The publishing side of a recorder that runs as a process of its own."""

    def __init__(self, folder, end_after):
        self.process = subprocess.Popen(
            command(Process(EVENT_RECORDER, "", "", {"folder": str(folder), "end_after": end_after})),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("desk", context=self.context)
        self.audio, self.events, self.separated = (self.node.create_publisher(kind, topic, 50) for kind, topic in (
            (AudioDataStamped, "audio_stamped"), (SoundEventArray, "events"), (SeparatedSource, "separated")))

    def wait_for_recorder(self):
        deadline = time.monotonic() + LIMIT_S
        while not all(topic.get_subscription_count() for topic in (self.audio, self.events, self.separated)):
            assert time.monotonic() < deadline, "the recorder has not subscribed"
            time.sleep(0.02)
        # It listens to audio best effort, so the first may be lost.
        self.audio.publish(AudioDataStamped(header=Header(stamp=stamp(START_S))))

    def publish_window(self, k, events, samples, ended=()):
        """Window k, a quarter of a second long and an eighth after the one before; samples: the chunk of each sound."""
        header = Header(stamp=stamp(START_S + 0.125 * k))
        self.audio.publish(AudioDataStamped(header=header))
        self.events.publish(
            SoundEventArray(header=header, window=Duration(nanosec=250_000_000), events=events, ended=list(ended)))
        for event in events:
            self.separated.publish(SeparatedSource(
                header=Header(stamp=stamp(START_S + 0.25 * k)), event=event, sequence=k, sample_rate=RATE,
                samples=array.array("f", samples)))

    def end(self):
        """What the recorder printed."""
        return self.process.communicate(timeout=LIMIT_S)[0]

    def close(self):
        self.process.kill()
        self.process.communicate()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def open_desk(tmp_path):
    """Makes a desk whose recorder writes into tmp_path / heard."""
    desks = []

    def opened(end_after=0.0):
        desks.append(Desk(tmp_path / "heard", end_after))
        return desks[-1]

    yield opened
    for desk in desks:
        desk.close()


def stamp(seconds):
    return Time(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))


def sound(number, label, onset_s=0.0, duration_s=0.5, score=0.5):
    hypotheses = [ClassHypothesis(label=name, score=p) for name, p in ((label, score), ("other", 0.25)) if label]
    return SoundEvent(id=number, azimuth=math.pi / 2, hypotheses=hypotheses, onset=stamp(START_S + onset_s),
                      duration=Duration(nanosec=round(duration_s * 1e9)))


def test_what_was_heard_is_in_the_folder_after_the_end_of_the_audio(open_desk, tmp_path):
    signal_ = 0.2 * np.random.default_rng(0).standard_normal(3 * WINDOW).astype(np.float32)
    desk = open_desk(end_after=2.0)
    desk.wait_for_recorder()
    for k in range(3):
        event = sound(7, "dog_bark" if k else "cough", onset_s=0.0625, duration_s=0.125 * (k + 1), score=0.75)
        desk.publish_window(k, [event], signal_[k * WINDOW :][:WINDOW])
    said = desk.end()
    assert desk.process.returncode == 0, said
    assert json.loads((tmp_path / "heard" / "events.json").read_text()) == [
        {"id": 7, "azimuth_deg": 90.0, "label": "dog_bark", "score": 0.75, "onset_s": 0.062, "duration_s": 0.375,
         "file": "separated/7_dog_bark.wav", "file_start_s": 0.0}]
    samples, rate = soundfile.read(tmp_path / "heard" / "separated" / "7_dog_bark.wav")
    assert (rate, len(samples)) == (RATE, 3 * WINDOW)
    np.testing.assert_allclose(samples, signal_, atol=2e-4)
    assert "lacks a part" not in said
    assert "#7   new    ← left 90°   cough 75 %" in said and "#7   is now ← left 90°   dog bark 75 %" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_recorder_that_is_told_to_end_leaves_what_it_has(open_desk, tmp_path, number):
    desk = open_desk()
    desk.wait_for_recorder()
    desk.publish_window(0, [sound(1, "speech")], np.zeros(WINDOW))
    line = desk.process.stdout.readline()
    while "#1" not in line:
        assert line, "the recorder has ended"
        line = desk.process.stdout.readline()
    desk.process.send_signal(number)
    said = desk.end()
    assert "1 sounds recorded" in said
    assert desk.process.returncode == 0, said
    assert json.loads((tmp_path / "heard" / "events.json").read_text())[0]["label"] == "speech"


def test_what_makes_no_sense_is_left_out_and_said(open_desk, tmp_path):
    desk = open_desk(end_after=2.0)
    desk.wait_for_recorder()
    desk.publish_window(0, [sound(1, ""), sound(2, "speech")], np.full(WINDOW, np.nan))
    said = desk.end()
    assert desk.process.returncode == 0, said
    assert "an event is left out: sound 1 names no class" in said
    assert "a separated sound is left out: sound 1: a chunk must be one channel of finite samples" in said
    assert [event["id"] for event in json.loads((tmp_path / "heard" / "events.json").read_text())] == [2]


def test_the_last_word_about_a_sound_counts_and_one_of_unknown_class_has_no_label(open_desk, tmp_path):
    desk = open_desk(end_after=2.0)
    desk.wait_for_recorder()
    unknown = sound(2, "speech", score=0.25)
    unknown.unknown = True
    desk.publish_window(0, [sound(1, "speech"), unknown], np.zeros(WINDOW))
    desk.publish_window(1, [], [], ended=[sound(1, "speech", duration_s=0.75)])
    said = desk.end()
    first, second = json.loads((tmp_path / "heard" / "events.json").read_text())
    assert (first["label"], first["duration_s"]) == ("speech", 0.75)
    assert second["label"] is None
    assert [line.split()[-1] for line in said.splitlines() if "#2 " in line] == ["unknown"]
    assert (tmp_path / "heard" / "separated" / "2_unknown.wav").exists()


def test_a_hostile_label_names_no_file_elsewhere_and_steers_no_terminal(open_desk, tmp_path):
    desk = open_desk(end_after=2.0)
    desk.wait_for_recorder()
    for number, label in enumerate(["../../x", "\x1b[2J" + "a" * 10000]):
        desk.publish_window(0, [sound(number, label)], np.zeros(WINDOW))
    said = desk.end()
    assert desk.process.returncode == 0, said
    assert {path.relative_to(tmp_path / "heard") for path in tmp_path.rglob("*.wav")} == {
        Path("separated/0__x.wav"), Path(f"separated/1__2J{'a' * 47}.wav")}
    assert "\x1b[2J" not in said


def test_sounds_of_a_node_that_was_started_again_are_kept_apart(open_desk, tmp_path):
    desk = open_desk(end_after=2.0)
    desk.wait_for_recorder()
    for k, number in enumerate([1_700_000_000_001, 1_700_000_050_001]):
        desk.publish_window(k, [sound(number, "dog_bark")], np.full(WINDOW, 0.25 * (k + 1)))
    said = desk.end()
    assert "#1 " in said and "#2 " in said
    for number in (1, 2):
        samples, _ = soundfile.read(tmp_path / "heard" / "separated" / f"{number}_dog_bark.wav")
        assert len(samples) == WINDOW
        assert samples[-1] == pytest.approx(0.25 * number, abs=1e-3)


def test_a_chunk_that_is_lost_is_said(open_desk):
    desk = open_desk(end_after=2.0)
    desk.wait_for_recorder()
    for k in (0, 1, 3):
        desk.publish_window(k, [sound(1, "speech")], np.zeros(WINDOW))
    assert "sound 1 lacks a part of its waveform, as chunk 3 came in place of 2" in desk.end()


def test_an_earlier_recording_is_not_overwritten(open_desk, tmp_path):
    (tmp_path / "heard").mkdir()
    (tmp_path / "heard" / "events.json").write_text("precious")
    desk = open_desk()
    assert "already holds a recording: set the parameter folder to another" in desk.end()
    assert desk.process.returncode == 1
    assert (tmp_path / "heard" / "events.json").read_text() == "precious"


def test_a_folder_that_cannot_be_made_is_said(open_desk, tmp_path):
    (tmp_path / "heard").write_text("a file")
    desk = open_desk()
    assert "heard cannot be made" in desk.end()
    assert desk.process.returncode == 1
