"""One continuous signal from windows that overlap, with a fixed delay and without a click at their borders.

Each window adds what it newly knows. Its first and last `hop` samples (of the STFT) fade, see `dsp/stft.py`, so they
are left out; the last `2 hop` samples before those are held back until the next window says them too, and over these
the signal goes in a straight line from what the one window says to what the other says (the two are correlated, so
their amplitudes add). Hence the signal is delivered up to `delay_samples` before the end of the latest window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.streaming.pcm import SECOND


def fade_samples(front_end: FrontEnd) -> int:
    """Length of the cross-fade from window to window: 512 samples (32 ms) by default."""
    return 2 * front_end.hop


def delay_samples(front_end: FrontEnd) -> int:
    """From the last delivered sample to the end of the window that it came with: 768 samples (48 ms) by default."""
    return front_end.hop + fade_samples(front_end)


def overlap_add(starts: Sequence[int], windows: np.ndarray, front_end: FrontEnd) -> np.ndarray:
    """All windows at once: first sample of each, rising, and windows (K, window_samples) -> signal (n,) float32.

    The signal begins at sample `starts[0] + front_end.hop` and ends `delay_samples` before the end of the last window;
    bit by bit it is what `OverlapAdd.push` delivers. Raises ValueError if two windows leave a gap.
    """
    fade, first = fade_samples(front_end), starts[0] + front_end.hop
    whole = np.zeros(starts[-1] - starts[0] + front_end.window_samples - 2 * front_end.hop, np.float32)
    known = 0  # up to which sample of the signal the windows so far say something
    for start, window in zip(starts, windows, strict=True):
        said = window[front_end.hop : -front_end.hop]
        begin = start + front_end.hop - first
        since = known - fade if known else 0  # where this window takes over
        if begin > since:
            raise ValueError(f"the window that begins at sample {start} leaves a gap after the one before")
        both = slice(since, known)
        whole[both] += ramp(known - since) * (said[since - begin : known - begin] - whole[both])
        whole[known : begin + len(said)] = said[known - begin :] if known else faded_in(said, fade)
        known = begin + len(said)
    return whole[: known - fade]


@dataclass(frozen=True)
class Piece:
    """The next samples of a signal."""

    stamp_ns: int  # of samples[0]
    samples: np.ndarray  # (n,) float32; n may be 0


class OverlapAdd:
    """The same, window by window, from any sample of the first one on; what no window says is silence.

    A beginning fades in and an end fades out, within `fade_samples`, so that neither clicks.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end
        self._fade = fade_samples(front_end)
        self._anchor_ns: int | None = None  # stamp of sample 0, from which all others are counted
        self._next = 0  # number of the sample to be delivered next
        self._held = np.zeros(0, np.float32)  # what the latest window says of the samples from there on

    @property
    def next_ns(self) -> int:
        """Stamp of the sample to be delivered next; only after a first window. [ns]"""
        return self._anchor_ns + self._next * SECOND // self._front_end.sample_rate

    def push(self, window_ns: int, window: np.ndarray, begin_ns: int) -> Piece:
        """Window (window_samples,) that starts at window_ns -> the samples that can be delivered now.

        The signal begins at begin_ns, or with the first window, whichever is later.
        """
        said = self._said(window_ns, window, begin_ns)
        n = max(0, len(said) - self._fade)
        return self._deliver(said, n)

    def finish(self, window_ns: int, window: np.ndarray, begin_ns: int, end_ns: int) -> Piece:
        """As `push`, but the signal ends at end_ns, or at once if it was delivered beyond that, and fades out."""
        said = self._said(window_ns, window, begin_ns)
        wanted = self._count(end_ns) - self._next
        return self._fade_out(said[: max(wanted, self._fade)])

    def end(self) -> Piece:
        """The samples held back, as no window will say more of them, fading out. The signal may begin again."""
        return self._fade_out(self._held)

    def _said(self, window_ns: int, window: np.ndarray, begin_ns: int) -> np.ndarray:
        """What is now known of the samples from the next one on."""
        margin = self._front_end.hop
        if self._anchor_ns is None:
            self._anchor_ns = window_ns
            self._next = max(margin, self._count(begin_ns))
        trusted = window[margin:-margin]
        skip = self._next - self._count(window_ns) - margin
        if skip < 0:  # a gap: this window begins after what is known
            trusted = np.concatenate([np.zeros(-skip, np.float32), faded_in(trusted, self._fade)])
        fresh = np.array(trusted[max(skip, 0) :], np.float32)
        if not len(self._held):
            return faded_in(fresh, self._fade)
        n = len(self._held)
        fresh = np.pad(fresh, (0, max(0, n - len(fresh))))
        fresh[:n] = self._held + ramp(n) * (fresh[:n] - self._held)
        return fresh

    def _deliver(self, said: np.ndarray, n: int) -> Piece:
        piece = Piece(self.next_ns, said[:n])
        self._held = said[n:]
        self._next += n
        return piece

    def _fade_out(self, said: np.ndarray) -> Piece:
        n = min(self._fade, len(said))
        faded = said.copy()
        faded[len(said) - n :] *= ramp(n)[::-1]
        return self._deliver(faded, len(faded))

    def _count(self, stamp_ns: int) -> int:
        """Number of the sample with a stamp: of the difference, as only that is a whole number of samples."""
        return round((stamp_ns - self._anchor_ns) * self._front_end.sample_rate / SECOND)


def ramp(n: int) -> np.ndarray:
    """A straight line (n,) float32 from near 0 to near 1, never quite at either; turned round, it is 1 minus itself."""
    return ((np.arange(n) + 0.5) / max(n, 1)).astype(np.float32)


def faded_in(samples: np.ndarray, n: int) -> np.ndarray:
    """Samples, the first n of which rise from silence."""
    n = min(n, len(samples))
    return np.concatenate([samples[:n] * ramp(n), samples[n:]])
