"""Windows that overlap give one continuous signal: the same whether it comes at once or window by window."""

from itertools import pairwise

import numpy as np
import pytest

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.dsp.stft import istft, stft
from seld_overlap_ros.streaming.overlap_add import SECOND, OverlapAdd, Piece, delay_samples, fade_samples, overlap_add

FRONT_END = FrontEnd(n_frames=61)
N, RATE, MARGIN = FRONT_END.window_samples, FRONT_END.sample_rate, FRONT_END.hop
FADE, DELAY = fade_samples(FRONT_END), delay_samples(FRONT_END)
START_NS = 1_700_000_000 * SECOND + 123_456_789


def ns(sample: int) -> int:
    return START_NS + sample * SECOND // RATE


def count(stamp_ns: int) -> int:
    return round((stamp_ns - START_NS) * RATE / SECOND)


def push_all(signal: OverlapAdd, starts: list[int], windows: np.ndarray, begin: int = 0) -> list[Piece]:
    return [signal.push(ns(at), window, ns(begin)) for at, window in zip(starts, windows, strict=True)]


def joined(pieces: list[Piece]) -> np.ndarray:
    """All samples; each piece must follow on from the one before."""
    for before, after in pairwise(pieces):
        assert count(after.stamp_ns) == count(before.stamp_ns) + len(before.samples)
    return np.concatenate([piece.samples for piece in pieces])


def cut(signal: np.ndarray, starts: list[int]) -> np.ndarray:
    return np.stack([signal[at : at + N] for at in starts])


HOPS = pytest.mark.parametrize("starts", [
    list(range(0, 40000, 8000)), list(range(0, 4000, 300)), [0, 1600, 9600, 9601, 17000, 31000], [7]
], ids=["regular", "shorter than the fade", "changing", "one"])


@HOPS
def test_streaming_equals_offline(starts):
    windows = np.random.default_rng(0).standard_normal((len(starts), N)).astype(np.float32)
    streamed = push_all(OverlapAdd(FRONT_END), starts, windows)
    np.testing.assert_array_equal(joined(streamed), overlap_add(starts, windows, FRONT_END))


@HOPS
def test_a_separator_that_changes_nothing_gives_back_what_went_in(starts):
    signal = np.random.default_rng(0).standard_normal(60000).astype(np.float32)
    streamed = joined(push_all(OverlapAdd(FRONT_END), starts, cut(signal, starts)))
    first, end = starts[0] + MARGIN, starts[-1] + N - DELAY
    assert len(streamed) == end - first
    np.testing.assert_array_equal(streamed[FADE:], signal[first + FADE : end])


def test_so_does_one_that_goes_there_and_back_through_the_spectrum():
    starts = list(range(0, 40000, 8000))
    signal = 0.3 * np.sin(0.1 * np.arange(60000)).astype(np.float32)
    windows = istft(stft(cut(signal, starts), FRONT_END), FRONT_END)
    streamed = joined(push_all(OverlapAdd(FRONT_END), starts, windows))
    np.testing.assert_allclose(streamed[FADE:], signal[MARGIN + FADE : starts[-1] + N - DELAY], atol=1e-5)


def test_what_is_delivered_ends_a_fixed_time_before_the_window():
    signal = OverlapAdd(FRONT_END)
    for at in (0, 8000, 9000, 16000):
        piece = signal.push(ns(at), np.ones(N, np.float32), START_NS)
        assert count(piece.stamp_ns) + len(piece.samples) == at + N - DELAY
    assert DELAY / RATE == pytest.approx(0.048)


def test_a_tone_whose_level_changes_from_window_to_window_does_not_click():
    starts, step = list(range(0, 80000, 8000)), 2 * np.pi * 440 / RATE
    tone = np.sin(step * np.arange(100000)).astype(np.float32)
    gains = np.where(np.arange(len(starts)) % 2, 0.2, 1.0)[:, None].astype(np.float32)
    signal = OverlapAdd(FRONT_END)
    pieces = push_all(signal, starts, gains * cut(tone, starts))
    heard = np.concatenate([[0], joined([*pieces, signal.end()]), [0]])
    steepest = step + 1 / FADE  # of the tone itself, and of the line from one level to the other
    assert np.abs(np.diff(heard)).max() <= steepest + 1e-4
    hard = np.concatenate([w[N - DELAY - 8000 : N - DELAY] for w in gains * cut(tone, starts)])  # as without a fade
    assert np.abs(np.diff(hard)).max() > 2 * steepest


def test_an_end_fades_out_where_the_sound_ends_and_not_before_what_was_held_back():
    signal = OverlapAdd(FRONT_END)
    signal.push(ns(0), np.ones(N, np.float32), ns(1000))
    piece = signal.finish(ns(8000), np.ones(N, np.float32), ns(1000), ns(N + 2000))
    assert count(piece.stamp_ns) + len(piece.samples) == N + 2000
    assert piece.samples[-FADE - 1] == 1
    assert piece.samples[-1] < 0.002
    assert np.all(np.diff(piece.samples[-FADE:]) < 0)

    late = OverlapAdd(FRONT_END)
    late.push(ns(0), np.ones(N, np.float32), ns(1000))
    assert len(late.finish(ns(8000), np.ones(N, np.float32), ns(1000), ns(3000)).samples) == FADE


def test_it_begins_where_it_is_told_to_and_fades_in():
    piece = OverlapAdd(FRONT_END).push(ns(0), np.ones(N, np.float32), ns(5000))
    assert count(piece.stamp_ns) == 5000
    assert piece.samples[0] < 0.002
    assert np.all(piece.samples[FADE:] == 1)


def test_what_no_window_says_is_silence_without_a_click():
    signal = OverlapAdd(FRONT_END)
    pieces = [signal.push(ns(at), np.ones(N, np.float32), START_NS) for at in (0, N + 5000)]
    heard = joined(pieces)
    assert np.abs(np.diff(heard)).max() < 1.1 / FADE
    assert not heard[N - MARGIN : N - MARGIN + 5000].any()


def test_after_its_end_it_may_go_on():
    signal, windows = OverlapAdd(FRONT_END), np.ones((3, N), np.float32)
    first = [signal.push(ns(0), windows[0], START_NS), signal.end()]
    again = signal.push(ns(8000), windows[1], START_NS)
    assert np.abs(np.diff(joined([*first, again]))).max() < 1.1 / FADE


def test_windows_that_leave_a_gap_cannot_be_joined_at_once():
    with pytest.raises(ValueError, match="the window that begins at sample 20000 leaves a gap"):
        overlap_add([0, 20000], np.ones((2, N), np.float32), FRONT_END)
