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
    stream = AudioStream(SMALL, 2, hop_samples / RATE, Notices(print))
    windows = push_all(stream, samples, sizes)
    starts = range(0, len(samples) - SMALL.window_samples + 1, stream.hop_samples)
    assert [window.stamp_ns for window in windows] == [START_NS + start * SECOND // RATE for start in starts]
    for window, start in zip(windows, starts, strict=True):
        np.testing.assert_array_equal(window.samples, samples[start : start + SMALL.window_samples].T)


def test_nothing_comes_before_a_whole_window(stream, front_end):
    samples = recording(front_end.window_samples)
    assert not push(stream, samples, 0, front_end.window_samples - 1)
    assert len(push(stream, samples, front_end.window_samples - 1, 1)) == 1


def play(stream: AudioStream, samples: np.ndarray, pieces, start_ns: int = START_NS):
    """Pieces (first sample, number of samples, how late the stamp is [ms]) -> all windows, a held chunk's too."""
    windows = []
    for first, n, late_ms in pieces:
        windows += push(stream, samples, first, n, start_ns + round(late_ms * 1e6))
    return windows + stream.settle()


def pieces(first: int, end: int, n: int = 1600) -> list[tuple[int, int, float]]:
    """Chunks of n samples with the stamps that they should have."""
    return [(at, min(n, end - at), 0) for at in range(first, end, n)]


@pytest.mark.parametrize("n", [160, 320, 1600])
@pytest.mark.parametrize(("stall_ms", "pace"), [(300, 3.0), (500, 1.5), (2000, 1.9)])
def test_a_source_that_was_held_up_and_catches_up_loses_nothing(stream, n, stall_ms, pace):
    """Stamped when they are handed over: late by the stall at first, and then by less and less."""
    samples, chunk_ms, late_ms, handed = recording(10 * RATE), 1000 * n / RATE, 0.0, []
    for at in range(0, len(samples) - n + 1, n):
        late_ms = float(stall_ms) if at == 4 * RATE else max(0.0, late_ms - chunk_ms * (1 - 1 / pace))
        handed.append((at, n, late_ms))
    windows = play(stream, samples, handed)
    assert len(windows) == 1 + (len(samples) - stream.front_end.window_samples) // stream.hop_samples
    whole = put_together(windows, len(samples))
    np.testing.assert_array_equal(whole, samples[: len(whole)])
    assert (stream.counts.gaps, stream.counts.overlaps, stream.counts.restarts) == (0, 0, 0)


@pytest.mark.parametrize("late_ms", [80, 200, 500])
def test_a_first_stamp_that_was_late_costs_no_audio(stream, said, late_ms):
    samples = recording(3 * RATE)
    (first, n, _), *others = pieces(0, len(samples))
    whole = put_together(play(stream, samples, [(first, n, late_ms), *others]), len(samples))
    np.testing.assert_array_equal(whole, samples[: len(whole)])
    assert len(whole) > 2 * RATE and not said


def put_together(windows, n_samples: int) -> np.ndarray:
    """Samples (n, M) from windows that leave nothing out, by their stamps; NaN where no window has come."""
    whole = np.full((n_samples, windows[0].samples.shape[0]), np.nan, np.float32)
    for window in windows:
        first = round((window.stamp_ns - START_NS) * RATE / SECOND)
        whole[first : first + window.samples.shape[1]] = window.samples.T
    return whole[: round((windows[-1].stamp_ns - START_NS) * RATE / SECOND) + SMALL.window_samples]


@given(st.integers(960, 2000), st.sampled_from([320, 800, 1600, 4000]), st.integers(2, 15))
@settings(deadline=None, max_examples=50)
def test_a_gap_is_bridged_with_silence_where_it_is_and_said(n_missing, n_chunk, n_before):
    said, samples = [], recording(40000)
    stream = AudioStream(SMALL, 2, 0.05, Notices(said.append))
    gap = n_before * n_chunk if n_before * n_chunk < 24000 else 24000 // n_chunk * n_chunk
    windows = play(stream, samples, pieces(0, gap, n_chunk) + pieces(gap + n_missing, 40000, n_chunk))
    expected = samples.copy()
    expected[gap : gap + n_missing] = 0
    heard = put_together(windows, 40000)
    np.testing.assert_array_equal(heard, expected[: len(heard)])
    assert len(heard) > 39000
    assert said == [f"{n_missing / RATE:.3f} s of audio are missing and count as silence"]
    assert (stream.counts.gaps, stream.counts.odd_stamps) == (1, 0)
    assert stream.counts.gap_s == pytest.approx(n_missing / RATE, abs=1e-8)


@given(st.integers(60, 125), st.lists(st.integers(-15, 15), min_size=25, max_size=25))
@settings(deadline=None, max_examples=50)
def test_a_gap_is_found_though_stamps_tremble(gap_ms, off_ms):
    samples, n = recording(40000), 16 * gap_ms
    stream = AudioStream(SMALL, 2, 0.05, Notices(print))
    off_ms[0] = 0
    parts = pieces(0, 8000) + pieces(8000 + n, 40000)
    play(stream, samples, [(first, k, ms) for (first, k, _), ms in zip(parts, off_ms, strict=False)])
    assert stream.counts.gaps + stream.counts.odd_stamps >= 1
    assert stream.counts.gap_s == pytest.approx(gap_ms / 1000, abs=0.031)
    assert stream.counts.overlaps == 0


def test_two_losses_in_a_row_are_each_bridged_where_they_are():
    samples = recording(40000)
    stream = AudioStream(SMALL, 2, 0.05, Notices(print))
    windows = play(stream, samples, pieces(0, 8000) + pieces(9600, 11200) + pieces(12800, 40000))
    samples[8000:9600] = samples[11200:12800] = 0
    heard = put_together(windows, 40000)
    np.testing.assert_array_equal(heard, samples[: len(heard)])
    assert stream.counts.gaps == 2


@given(st.integers(960, 4000), st.sampled_from([320, 800, 1600]), st.integers(4, 15))
@settings(deadline=None, max_examples=50)
def test_what_comes_twice_is_dropped_and_said(n_twice, n_chunk, n_before):
    said, samples = [], recording(40000)
    stream = AudioStream(SMALL, 2, 0.05, Notices(said.append))
    at = max(n_before * n_chunk, 4800)
    windows = play(stream, samples, pieces(0, at, n_chunk) + pieces(at - n_twice, 40000, n_chunk))
    heard = put_together(windows, 40000)
    np.testing.assert_array_equal(heard, samples[: len(heard)])
    assert len(heard) > 39000
    assert said == [f"{n_twice / RATE:.3f} s of audio came twice and are dropped the second time"]
    assert stream.counts.overlaps == 1


def test_a_chunk_that_is_all_known_changes_nothing():
    samples = recording(20000)
    stream = AudioStream(SMALL, 2, 0.05, Notices(print))
    heard = put_together(play(stream, samples, [*pieces(0, 6400), (1600, 1600, 0), *pieces(6400, 20000)]), 20000)
    np.testing.assert_array_equal(heard, samples[: len(heard)])


@pytest.mark.parametrize(("jump_s", "sentence"), [(-100, "jump back by 100.400 s"), (100, "jump ahead by 99.600 s")])
def test_a_jump_starts_anew_and_is_said(stream, front_end, said, jump_s, sentence):
    samples = recording(20000)
    push(stream, samples, 0, 6400)
    windows = play(stream, samples, pieces(0, 20000), START_NS + jump_s * SECOND)
    assert windows[0].stamp_ns == START_NS + jump_s * SECOND
    np.testing.assert_array_equal(windows[0].samples, samples[: front_end.window_samples].T)
    assert said == [f"the audio's stamps {sentence}: listening starts anew there"]
    assert stream.counts.restarts == 1


@given(st.floats(51, 1e9), st.sampled_from([-1, 1]), st.integers(1, 22), st.sampled_from([320, 800, 1600]))
@settings(deadline=None, max_examples=50)
def test_one_wrong_stamp_changes_nothing(late_ms, sign, k, n_chunk):
    said, samples = [], recording(24 * 1600)
    stream = AudioStream(SMALL, 2, 0.25, Notices(said.append))
    parts = pieces(0, len(samples), n_chunk)
    parts[k] = (*parts[k][:2], sign * late_ms)
    windows = play(stream, samples, parts)
    assert not said
    assert stream.counts.odd_stamps == 1
    expected = play(AudioStream(SMALL, 2, 0.25, Notices(print)), samples, pieces(0, len(samples), n_chunk))
    assert [window.stamp_ns for window in windows] == [window.stamp_ns for window in expected]
    for window, wanted in zip(windows, expected, strict=True):
        np.testing.assert_array_equal(window.samples, wanted.samples)


@pytest.mark.parametrize("n_chunk", [320, 800, 1600])
@pytest.mark.parametrize("stall_ms", [70, 130, 260, 410])
def test_stamps_of_a_source_that_stalled_and_catches_up_change_nothing(stall_ms, n_chunk):
    samples = recording(32000)
    stream = AudioStream(SMALL, 2, 0.25, Notices(print))
    parts = [
        (first, n, max(0, stall_ms - (first - 8000) * 1000 / RATE) if first >= 8000 else 0)
        for first, n, _ in pieces(0, len(samples), n_chunk)
    ]
    heard = put_together(play(stream, samples, parts), len(samples))
    np.testing.assert_array_equal(heard, samples[: len(heard)])
    assert stream.counts.gaps == stream.counts.overlaps == 0


@pytest.mark.parametrize("ppm", [-200, -50, 50, 200])
def test_a_clock_that_drifts_loses_no_audio_and_the_time_stays_right(ppm):
    said, n_chunk = [], 1600
    stream = AudioStream(SMALL, 1, 0.25, Notices(said.append))
    minutes = 30
    worst_ns = end = 0
    for first in range(0, minutes * 60 * RATE, n_chunk):
        ramp = (np.arange(first, first + n_chunk) % 2**20 + 1).astype(np.float32)[:, None]
        for window in stream.push(START_NS + round(first * SECOND / RATE * (1 + ppm * 1e-6)), ramp, RATE):
            at = end - SMALL.window_samples + stream.hop_samples if end else 0
            assert window.samples[0, 0] == at % 2**20 + 1  # no sample is left out or comes twice
            assert (np.diff(window.samples[0]) % 2**20 == 1).all()
            end = at + SMALL.window_samples
            worst_ns = max(worst_ns, abs(window.stamp_ns - START_NS - at * SECOND / RATE * (1 + ppm * 1e-6)))
    assert stream.counts.gaps == stream.counts.overlaps == stream.counts.odd_stamps == 0
    assert stream.counts.clock_steps == int(minutes * 60 * abs(ppm) * 1e-6 / 0.025)
    assert worst_ns < 26_000_000
    assert said and all("the time is set right, and no audio is lost" in sentence for sentence in said)


def test_only_a_chunk_whose_stamp_is_off_waits_for_the_next(stream, front_end):
    samples = recording(front_end.window_samples + 1600)
    push(stream, samples, 0, front_end.window_samples - 1600)
    assert len(push(stream, samples, front_end.window_samples - 1600, 1600)) == 1
    late = AudioStream(front_end, 2, 0.25, Notices(print))
    push(late, samples, 0, front_end.window_samples - 1600)
    assert not push(late, samples, front_end.window_samples - 1600, 1600, START_NS + 60_000_000)
    assert late.next_stamp_ns == START_NS + front_end.window_samples * SECOND // RATE
    assert len(push(late, samples, front_end.window_samples, 1600)) == 1


def test_a_chunk_that_nothing_follows_is_believed_when_told_so(stream, front_end):
    samples = recording(front_end.window_samples)
    push(stream, samples, 0, 8000)
    assert not push(stream, samples, 8960, len(samples))
    windows = stream.settle()
    samples[8000:8960] = 0
    np.testing.assert_array_equal(windows[0].samples[:, : len(samples)], samples[: front_end.window_samples].T)
    assert not stream.settle()


def test_exact_stamps_are_believed_to_the_sample_and_at_once(stream, said):
    samples = recording(20000)
    for first, n in ((0, 6000), (6007, 6000), (12000, 8000)):
        windows = stream.push(START_NS + first * SECOND // RATE, samples[first : first + n], RATE, exact=True)
    samples[6000:6007] = 0
    np.testing.assert_array_equal(windows[0].samples, samples[: windows[0].samples.shape[1]].T)
    assert (stream.counts.gaps, stream.counts.overlaps) == (1, 1)


@given(st.lists(st.integers(-25, 25), min_size=30, max_size=30))
@settings(deadline=None, max_examples=30)
def test_stamps_that_tremble_at_random_lose_no_audio(off_ms):
    said, samples = [], recording(24000)
    stream, windows = AudioStream(SMALL, 2, 0.25, Notices(said.append)), []
    for k, ms in enumerate(off_ms):
        windows += push(stream, samples, 800 * k, 800, START_NS + ms * 1_000_000)
    assert not said
    starts = range(0, len(samples) - SMALL.window_samples + 1, stream.hop_samples)
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
    stream.set_hop(0.496)
    windows = push(stream, samples, front_end.window_samples, 40000)
    starts = [(window.stamp_ns - START_NS) * RATE // SECOND for window in windows]
    assert starts == [4096, 12032, 19968]


@pytest.mark.parametrize(("hop_s", "frames"), [(0.001, 1), (0.05, 3), (0.25, 16), (0.5, 31), (0.512, 32), (4.0, 250)])
def test_a_hop_is_a_whole_number_of_frames(stream, hop_s, frames):
    stream.set_hop(hop_s)
    assert stream.hop_samples == 256 * frames


@pytest.mark.parametrize("hop_s", [0.0, -1.0, float("nan")])
def test_an_impossible_hop_is_refused(stream, hop_s):
    with pytest.raises(ValueError, match="hop must be positive"):
        stream.set_hop(hop_s)


def test_chunks_of_another_shape_are_refused(stream):
    with pytest.raises(ValueError, match=r"shape \(n, 2\) is needed"):
        stream.push(0, np.zeros((10, 3), np.float32), RATE)
