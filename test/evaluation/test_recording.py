"""Recording: the chunks of one sound become the sound again, in its place on the scene's clock."""

import json
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.evaluation.recording import Recording

RATE, CHUNK, HOP = 16000, 4112, 1000
NOW_S = 1_800_000_000.0  # stamps of today: seconds since 1970


@pytest.fixture
def signal():
    return np.random.default_rng(0).standard_normal(20 * HOP + CHUNK).astype(np.float32)


def record(signal, order=None, zero_s=NOW_S):
    recording = Recording()
    recording.begin(zero_s)
    firsts = [0, *range(CHUNK, len(signal), HOP)]  # the first chunk brings what was before the sound was noticed
    ends = [*firsts[1:], len(signal)]
    for k in order if order is not None else range(len(firsts)):
        recording.add_source(3, NOW_S + firsts[k] / RATE, signal[firsts[k] : ends[k]], RATE)
    return recording


def waveform(recording, known):
    """Waveform (n,), rate [Hz] and start on the scene's clock [s] of a sound."""
    track = recording.tracks[known]
    return track.samples(), track.sample_rate, recording.since_start(track.start / track.sample_rate)


@pytest.mark.parametrize("order", [None, np.random.default_rng(1).permutation(21)], ids=["in order", "shuffled"])
def test_chunks_are_joined_to_the_original(signal, order):
    samples, rate, start_s = waveform(record(signal, order), 3)
    assert (rate, len(samples), start_s) == (RATE, len(signal), 0)
    np.testing.assert_array_equal(samples, signal)


@pytest.mark.parametrize("phase", np.linspace(0, 1, 11))
def test_stamps_that_are_rounded_leave_no_gap(phase):
    recording = Recording()
    recording.begin(NOW_S)
    for k in range(50):
        stamp_ns = round((NOW_S + (phase + 8001 * k) / 44100) * 1e9)
        recording.add_source(1, stamp_ns / 1e9, np.ones(8001, np.float32), 44100)
    samples, _, start_s = waveform(recording, 1)
    assert start_s == pytest.approx(phase / 44100, abs=1 / 44100)
    assert np.all(samples == 1) and len(samples) == 50 * 8001


def test_time_0_is_the_first_stamp_of_the_audio(signal):
    recording = record(signal, zero_s=NOW_S - 0.5)
    recording.begin(NOW_S + 7)  # later chunks change nothing
    recording.add_event(Event(3, 0.0, "speech", NOW_S + 0.25, 1.0))
    samples, _, start_s = waveform(recording, 3)
    assert start_s == pytest.approx(0.5)
    np.testing.assert_array_equal(samples[:HOP], signal[:HOP])
    assert recording.events()[0].onset_s == pytest.approx(0.75)
    assert recording.since_start(NOW_S) == pytest.approx(0.5)


def test_what_was_before_time_0_is_kept(signal):
    samples, _, start_s = waveform(record(signal, zero_s=NOW_S + 0.5), 3)
    assert (len(samples), start_s) == (len(signal), -0.5)


def test_without_audio_time_0_is_the_first_that_was_heard():
    recording = Recording()
    recording.add_event(Event(1, 0.0, "speech", NOW_S + 2, 1.0))
    recording.add_source(1, NOW_S + 1, np.ones(CHUNK, np.float32), RATE)
    assert recording.events()[0].onset_s == pytest.approx(1.0)


def test_a_pause_between_chunks_is_silent():
    recording = Recording()
    recording.begin(NOW_S)
    for start_s in (0.0, 1.0):
        recording.add_source(1, NOW_S + start_s, np.ones(CHUNK, np.float32), RATE)
    samples, _, _ = waveform(recording, 1)
    assert not samples[CHUNK:RATE].any()
    assert samples[CHUNK // 2] == samples[RATE + CHUNK // 2] == pytest.approx(1.0)


def test_a_later_word_about_a_sound_supersedes_the_earlier():
    recording = Recording()
    recording.begin(0.0)
    recording.add_event(Event(1, 0.0, "speech", 1.0, 0.5))
    recording.add_event(Event(1, 0.0, "dog_bark", 1.0, 2.5))
    assert [(event.label, event.duration_s) for event in recording.events()] == [("dog_bark", 2.5)]


def test_nothing_recorded_is_an_empty_list(tmp_path):
    Recording().write(tmp_path / "new")
    assert json.loads((tmp_path / "new" / "events.json").read_text()) == []


def test_a_recording_in_files(signal, tmp_path):
    recording = record(0.2 * signal)
    recording.add_event(Event(3, math.pi / 2, "dog/bark", NOW_S + 0.25, 1.0, 0.75))
    recording.add_source(4, NOW_S, signal[:CHUNK] * 0, RATE)
    recording.add_source(5, NOW_S, signal[:CHUNK] * 0, RATE)
    recording.add_event(Event(5, 0.0, None, NOW_S + 0.5, 1.0, 0.25))
    recording.write(tmp_path)
    known, unknown = json.loads((tmp_path / "events.json").read_text())
    assert known["azimuth_deg"] == 90.0
    assert (unknown["label"], unknown["score"]) == (None, 0.25)
    assert Event.from_json(unknown).label is None
    assert (known["file"], known["file_start_s"]) == ("separated/3_dog_bark.wav", 0.0)
    assert {path.name for path in (tmp_path / "separated").iterdir()} == {
        "3_dog_bark.wav", "4_unknown.wav", "5_unknown.wav"}
    samples, rate = soundfile.read(tmp_path / "separated" / "3_dog_bark.wav")
    assert rate == RATE
    np.testing.assert_allclose(samples, 0.2 * signal, atol=2e-4)


def test_a_sound_that_has_ended_is_written_and_takes_no_more_memory(signal, tmp_path):
    recording = record(0.2 * signal, zero_s=NOW_S - 0.25)
    recording.add_event(Event(3, 0.0, "bell", NOW_S, 1.0))
    recording.add_source(4, NOW_S + 3600, np.ones(CHUNK, np.float32), RATE)
    recording.write_ended(NOW_S + 60, tmp_path)
    assert list(recording.tracks) == [4]
    samples, _ = soundfile.read(tmp_path / "separated" / "3_bell.wav")
    np.testing.assert_allclose(samples, 0.2 * signal, atol=2e-4)
    with pytest.raises(ValueError, match="sound 3: a chunk comes when its file is written already"):
        recording.add_source(3, NOW_S + 61, signal[:CHUNK], RATE)
    tracemalloc.start()
    recording.write(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 2**20  # an hour of silence before the sound takes none
    tracemalloc.stop()
    [event] = json.loads((tmp_path / "events.json").read_text())
    assert (event["file"], event["file_start_s"]) == ("separated/3_bell.wav", 0.25)
    assert len(soundfile.read(tmp_path / "separated" / "4_unknown.wav")[0]) == CHUNK


@pytest.mark.parametrize("rate", [0, 2**31, 2**32 - 1])
def test_a_rate_of_none_is_refused(signal, rate):
    with pytest.raises(ValueError, match=f"sound 1: a rate of {rate} Hz is none"):
        Recording().add_source(1, NOW_S, signal[:CHUNK], rate)


def test_the_latest_sounds_are_those_that_came_last():
    recording = Recording()
    for number in range(5):
        recording.add_event(Event(number, 0.0, "a", float(number), 1.0))
    assert [event.id for event in recording.events(2)] == [3, 4]
    assert [event.id for event in recording.events(9)] == [event.id for event in recording.events()] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("samples", [np.zeros((2, CHUNK)), np.zeros(0), np.array([0.0, np.nan])])
def test_a_chunk_that_is_no_sound_is_refused(samples):
    with pytest.raises(ValueError, match="sound 8: a chunk must be one channel of finite samples"):
        Recording().add_source(8, NOW_S, samples.astype(np.float32), RATE)


def test_a_change_of_rate_is_refused(signal):
    with pytest.raises(ValueError, match="sound 3: rate went from 16000 to 48000 Hz"):
        record(signal).add_source(3, NOW_S, signal[:CHUNK], 48000)


@pytest.mark.parametrize("away_s", [-1e6, 1e6])
def test_a_chunk_whose_stamp_has_gone_wrong_is_refused(signal, away_s):
    recording = record(signal)
    with pytest.raises(ValueError, match="sound 3: a chunk lies -?1000000 s from the first"):
        recording.add_source(3, NOW_S + away_s, signal[:CHUNK], RATE)
    np.testing.assert_array_equal(waveform(recording, 3)[0], signal)


@pytest.mark.parametrize(
    ("label", "name"),
    [("dog_bark", "7_dog_bark.wav"), ("../../x", "7__x.wav"), ("/etc/passwd", "7__etc_passwd.wav"),
     (None, "7_unknown.wav"), ("", "7_unknown.wav"), ("a\0b\n\x1b[2J", "7_a_b_2J.wav"), ("C:\\x", "7_C_x.wav"),
     ("\N{SAXOPHONE}", "7__.wav"), ("é" * 9999, f"7_{'é' * 50}.wav")],
)
def test_a_label_of_others_names_no_other_file(tmp_path, label, name):
    recording = Recording()
    recording.add_event(Event(7, 0.0, label, 0.0, 1.0))
    recording.add_source(7, 0.0, np.zeros(100, np.float32), 16000)
    recording.write(tmp_path / "heard" / "deep")
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.wav")] == [
        Path("heard/deep/separated") / name]
