"""Bad messages of an audio topic are refused in a sentence, and the next good ones are heard all the same."""

import numpy as np
import pytest

from seld_overlap_ros.streaming.intake import Intake
from seld_overlap_ros.streaming.pcm import encode
from seld_overlap_ros.streaming.stream import SECOND

GOOD = (2, 16000, "S16LE", "wave")
START_NS = 1_000 * SECOND


@pytest.fixture()
def intake(front_end, notices) -> Intake:
    return Intake(front_end, 2, 0.25, notices)


@pytest.fixture()
def samples(front_end) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (front_end.window_samples, 2)).astype(np.float32)


def hears_the_window(windows, samples) -> bool:
    return len(windows) == 1 and np.allclose(windows[0].samples, samples.T, atol=2**-15)


def test_chunks_wait_until_their_format_is_known(intake, samples, said):
    assert not intake.push(START_NS, encode(samples, "S16LE"))
    assert not intake.knows_format
    assert hears_the_window(intake.describe(*GOOD), samples)
    assert not said


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        ((6, 16000, "S16LE", "wave"), "the audio has 6 channels and the model needs 2: capture all microphones"),
        ((2, 16000, "S16LE", "mp3"), "start audio_capture with format:=wave"),
        ((2, 16000, "U16BE", "wave"), "unknown sample format 'U16BE'"),
        ((2, 0, "S16LE", "wave"), "sample rate of 0 Hz"),
    ],
)
def test_a_format_that_cannot_be_used_is_refused_until_a_good_one_comes(
    intake, samples, said, description, sentence
):
    assert not intake.describe(*description)
    assert intake.knows_format
    assert not intake.push(START_NS, encode(samples, "S16LE"))
    assert len(said) == 1
    assert sentence in said[0]
    intake.describe(*GOOD)
    assert hears_the_window(intake.push(START_NS + SECOND, encode(samples, "S16LE")), samples)


def test_odd_bytes_are_left_out_and_the_rest_is_heard(intake, samples, said):
    intake.describe(*GOOD)
    assert not intake.push(START_NS, encode(samples, "S16LE")[:-1])
    assert "no whole number of 2-channel S16LE frames" in said[0]
    assert hears_the_window(intake.push(START_NS, encode(samples, "S16LE")), samples)


def test_samples_that_are_no_numbers_count_as_silence(intake, samples, said):
    intake.describe(2, 16000, "F32LE", "wave")
    broken = samples.copy()
    broken[100:110] = np.nan
    broken[200] = np.inf
    windows = intake.push(START_NS, encode(broken, "F32LE"))
    expected = np.where(np.isfinite(broken), broken, 0)
    np.testing.assert_array_equal(windows[0].samples, expected.T)
    assert said == ["22 samples of a chunk are NaN, infinite or absurdly large and count as 0"]


def test_audio_without_stamps_is_taken_for_unbroken(intake, samples, said):
    intake.describe(*GOOD)
    half = len(samples) // 2
    assert not intake.push(0, encode(samples[:half], "S16LE"))
    windows = intake.push(0, encode(samples[half:], "S16LE"))
    assert hears_the_window(windows, samples)
    assert windows[0].stamp_ns == 0
    assert said == ["the audio has no stamps: it is taken for unbroken, its time counts from 0"]


def test_what_waits_for_a_format_does_not_grow_without_end(intake, monkeypatch):
    monkeypatch.setattr("seld_overlap_ros.streaming.intake.MAX_WAITING", 100_000)
    for k in range(1000):
        intake.push(START_NS + k * SECOND, bytes(4000))
    assert len(intake._waiting) == 25
