"""However audio arrives, the windows are those of the unbroken recording."""

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.stream import SECOND, AudioStream

START_NS = 1_700_000_000_123_456_789
RATE = 16000
SMALL = FrontEnd(n_frames=15)  # 4096 samples


def recording(n_samples: int, n_channels: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (n_samples, n_channels)).astype(np.float32)


def push(stream: AudioStream, samples: np.ndarray, first: int, n: int, start_ns: int = START_NS, rate: int = RATE):
    return stream.push(start_ns + first * SECOND // rate, samples[first : first + n], rate)


def push_all(stream: AudioStream, samples: np.ndarray, sizes, rate: int = RATE):
    windows, first = [], 0
    for n in sizes:
        windows += push(stream, samples, first, n, rate=rate)
        first += n
    return windows + push(stream, samples, first, len(samples), rate=rate)


@pytest.fixture()
def stream(front_end, notices) -> AudioStream:
    return AudioStream(front_end, 2, 0.25, notices)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 9000), max_size=12), st.integers(1, 6000))
def test_any_cutting_into_chunks_gives_the_same_windows(sizes, hop_samples):
    samples = recording(20000)
    windows = push_all(AudioStream(SMALL, 2, hop_samples / RATE, Notices(print)), samples, sizes)
    starts = range(0, len(samples) - SMALL.window_samples + 1, hop_samples)
    assert [window.stamp_ns for window in windows] == [START_NS + start * SECOND // RATE for start in starts]
    for window, start in zip(windows, starts, strict=True):
        np.testing.assert_array_equal(window.samples, samples[start : start + SMALL.window_samples].T)


def test_nothing_comes_before_a_whole_window(stream, front_end):
    samples = recording(front_end.window_samples)
    assert not push(stream, samples, 0, front_end.window_samples - 1)
    assert len(push(stream, samples, front_end.window_samples - 1, 1)) == 1


def test_a_gap_is_bridged_with_silence_and_said(stream, front_end, said):
    samples = recording(20000)
    push(stream, samples, 0, 6000)
    windows = push(stream, samples, 8000, 12000)
    expected = samples.copy()
    expected[6000:8000] = 0
    np.testing.assert_array_equal(windows[0].samples, expected[: front_end.window_samples].T)
    assert windows[0].stamp_ns == START_NS
    assert said == ["0.125 s of audio are missing and count as silence"]


def test_what_comes_twice_is_dropped_and_said(stream, front_end, said):
    samples = recording(20000)
    push(stream, samples, 0, 6000)
    windows = push(stream, samples, 4000, 16000)
    np.testing.assert_array_equal(windows[0].samples, samples[: front_end.window_samples].T)
    assert said == ["0.125 s of audio came twice and are dropped the second time"]


def test_a_chunk_that_is_all_known_changes_nothing(stream, front_end):
    samples = recording(20000)
    push(stream, samples, 0, 6000)
    assert not push(stream, samples, 1000, 2000)
    windows = push(stream, samples, 6000, 14000)
    np.testing.assert_array_equal(windows[0].samples, samples[: front_end.window_samples].T)


@pytest.mark.parametrize(("jump_s", "sentence"), [(-100, "jump back by 100.375 s"), (100, "jump ahead by 99.625 s")])
def test_a_jump_starts_anew_and_is_said(stream, front_end, said, jump_s, sentence):
    samples = recording(20000)
    push(stream, samples, 0, 6000)
    windows = push(stream, samples, 0, 20000, START_NS + jump_s * SECOND)
    assert windows[0].stamp_ns == START_NS + jump_s * SECOND
    np.testing.assert_array_equal(windows[0].samples, samples[: front_end.window_samples].T)
    assert said == [f"the audio's stamps {sentence}: listening starts anew there"]


@given(st.lists(st.integers(-25, 25), min_size=30, max_size=30))
@settings(deadline=None, max_examples=30)
def test_stamps_that_tremble_at_random_lose_no_audio(off_ms):
    said, samples = [], recording(24000)
    stream, windows = AudioStream(SMALL, 2, 0.25, Notices(said.append)), []
    for k, ms in enumerate(off_ms):
        windows += push(stream, samples, 800 * k, 800, START_NS + ms * 1_000_000)
    assert not said
    starts = range(0, len(samples) - SMALL.window_samples + 1, 4000)
    for window, start in zip(windows, starts, strict=True):
        np.testing.assert_array_equal(window.samples, samples[start : start + SMALL.window_samples].T)
        assert window.stamp_ns == START_NS + off_ms[0] * 1_000_000 + start * SECOND // RATE


def test_stamps_that_tremble_break_nothing(stream, front_end, said):
    samples = recording(20000)
    windows = []
    for first in range(0, 20000, 800):
        jitter_ns = 20_000_000 * (-1) ** (first // 800) if first else 0
        windows += push(stream, samples, first, 800, START_NS + jitter_ns)
    np.testing.assert_array_equal(windows[0].samples, samples[: front_end.window_samples].T)
    assert not said


def test_another_rate_is_resampled_as_soxr_does_offline(front_end, said):
    rate = 48000
    stream = AudioStream(front_end, 2, 0.25, Notices(said.append))
    samples = recording(3 * rate)
    windows = push_all(stream, samples, [1000] * 100, rate=rate)
    whole = soxr.resample(samples, rate, RATE)
    assert len(windows) >= 7
    for k, window in enumerate(windows):
        start = k * stream.hop_samples
        assert window.stamp_ns == START_NS + start * SECOND // RATE
        expected = whole[start : start + front_end.window_samples].T
        np.testing.assert_allclose(window.samples, expected, atol=1e-4)
    assert said == ["audio at 48000 Hz is resampled to the model's 16000 Hz"]


def test_a_change_of_the_rate_starts_anew(stream, front_end, said):
    push(stream, recording(6000), 0, 6000)
    later_ns = START_NS + 6000 * SECOND // RATE
    windows = stream.push(later_ns, recording(96000), 48000)
    assert windows[0].stamp_ns == later_ns
    assert said[0] == "the audio's rate goes from 16000 to 48000 Hz: listening starts anew"


def test_a_hop_set_while_running_holds_from_the_next_window_on(stream, front_end):
    samples = recording(40000)
    push(stream, samples, 0, front_end.window_samples)
    stream.set_hop(0.5)
    windows = push(stream, samples, front_end.window_samples, 40000)
    starts = [(window.stamp_ns - START_NS) * RATE // SECOND for window in windows]
    assert starts == [4000, 12000, 20000]


@pytest.mark.parametrize("hop_s", [0.0, -1.0, float("nan")])
def test_an_impossible_hop_is_refused(stream, hop_s):
    with pytest.raises(ValueError, match="hop must be positive"):
        stream.set_hop(hop_s)


def test_chunks_of_another_shape_are_refused(stream):
    with pytest.raises(ValueError, match=r"shape \(n, 2\) is needed"):
        stream.push(0, np.zeros((10, 3), np.float32), RATE)
