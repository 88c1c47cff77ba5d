"""Chunks of audio with stamps in, complete analysis windows with stamps out.

The time of a sample is the stamp of the first chunk plus a count of samples, in integer nanoseconds, so nothing
drifts and any cutting into chunks gives the same windows. The stamps of later chunks are compared with that time:
what is missing is bridged with zeros, what came twice is dropped, and beyond a window the stream starts anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.streaming.notices import Notices

SECOND = 1_000_000_000  # [ns]
# Capture nodes stamp on a clock that wanders against the sound card's. Less than this is no gap and no overlap;
# it is a tenth of the default hop.
STAMP_TOLERANCE = SECOND // 20  # [ns]


@dataclass(frozen=True)
class Window:
    """One analysis window."""

    stamp_ns: int  # of samples[:, 0]
    samples: np.ndarray  # (M, window_samples) float32


class _Ring:
    """The newest samples in one block of memory, of which any window is a plain slice."""

    def __init__(self, n_channels: int, window_samples: int) -> None:
        self.n_written = 0
        self._window = window_samples
        self._block = np.zeros((n_channels, 2 * window_samples), np.float32)
        self._end = 0  # where in the block the next sample goes

    def write(self, samples: np.ndarray) -> None:
        """Append samples (n, M), n at most window_samples."""
        n = len(samples)
        if self._end + n > self._block.shape[1]:
            self._block[:, : self._window] = self._block[:, self._end - self._window : self._end]
            self._end = self._window
        self._block[:, self._end : self._end + n] = samples.T
        self._end += n
        self.n_written += n

    def window(self, end: int) -> np.ndarray:
        """Copy (M, window_samples) of the samples before sample number `end`, which must still be there."""
        stop = self._end - (self.n_written - end)
        return self._block[:, stop - self._window : stop].copy()


class AudioStream:
    """Resamples, keeps one window of audio, and hands out a window every `hop_s` once a whole one is there."""

    def __init__(self, front_end: FrontEnd, n_channels: int, hop_s: float, notices: Notices) -> None:
        self.front_end = front_end
        self.n_channels = n_channels
        self.set_hop(hop_s)
        self._notices = notices
        self._rate = 0  # [Hz] of the chunks; 0: nothing has come yet

    def set_hop(self, hop_s: float) -> None:
        """Time from window to window [s], from the next window on. Raises ValueError unless it is positive."""
        if not hop_s > 0:
            raise ValueError(f"hop must be positive, got {hop_s} s")
        self.hop_samples = max(1, round(hop_s * self.front_end.sample_rate))

    @property
    def next_stamp_ns(self) -> int | None:
        """Stamp that a chunk has which follows on without a gap; None before the first chunk."""
        return self._start_ns + self._n_in * SECOND // self._rate if self._rate else None

    def push(self, stamp_ns: int, samples: np.ndarray, rate: int) -> list[Window]:
        """Chunk (n, M) float32 at `rate` [Hz], stamp_ns its first sample's -> the windows that it completes."""
        if samples.ndim != 2 or samples.shape[1] != self.n_channels:
            raise ValueError(f"a chunk of shape (n, {self.n_channels}) is needed, got {samples.shape}")
        if not len(samples):
            return []
        if rate != self._rate:
            self._change_rate(stamp_ns, rate)
        n_missing = self._follow(stamp_ns)
        if n_missing < 0:
            return self._feed(samples[-n_missing:])
        windows = self._feed(np.zeros((n_missing, self.n_channels), np.float32)) if n_missing else []
        return windows + self._feed(samples)

    def _follow(self, stamp_ns: int) -> int:
        """Samples missing before this chunk; negative: samples at its start that are there already. May start anew."""
        ahead_ns = stamp_ns - self.next_stamp_ns
        if abs(ahead_ns) <= STAMP_TOLERANCE:
            return 0
        ahead_s = ahead_ns / SECOND
        if abs(ahead_s) >= self.front_end.window_s:
            how = f"jump ahead by {ahead_s:.3f} s" if ahead_ns > 0 else f"jump back by {-ahead_s:.3f} s"
            self._notices("restart", f"the audio's stamps {how}: listening starts anew there")
            self._start(stamp_ns)
            return 0
        if ahead_ns > 0:
            self._notices("gap", f"{ahead_s:.3f} s of audio are missing and count as silence")
        else:
            self._notices("overlap", f"{-ahead_s:.3f} s of audio came twice and are dropped the second time")
        return round(ahead_ns * self._rate / SECOND)

    def _change_rate(self, stamp_ns: int, rate: int) -> None:
        model_rate = self.front_end.sample_rate
        if self._rate:
            self._notices("rate", f"the audio's rate goes from {self._rate} to {rate} Hz: listening starts anew")
        if rate != model_rate:
            self._notices("resampling", f"audio at {rate} Hz is resampled to the model's {model_rate} Hz")
        self._rate = rate
        self._start(stamp_ns)

    def _start(self, stamp_ns: int) -> None:
        self._start_ns = stamp_ns
        self._n_in = 0
        self._next_end = self.front_end.window_samples  # sample number before which the next window ends
        self._ring = _Ring(self.n_channels, self.front_end.window_samples)
        model_rate = self.front_end.sample_rate
        self._resampler = (
            soxr.ResampleStream(self._rate, model_rate, self.n_channels, dtype="float32")
            if self._rate != model_rate
            else None
        )

    def _feed(self, samples: np.ndarray) -> list[Window]:
        self._n_in += len(samples)
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(np.ascontiguousarray(samples, np.float32))
        windows = []
        while len(samples):
            n = min(len(samples), self.front_end.window_samples, self._next_end - self._ring.n_written)
            self._ring.write(samples[:n])
            samples = samples[n:]
            if self._ring.n_written == self._next_end:
                windows.append(self._cut())
        return windows

    def _cut(self) -> Window:
        end = self._next_end
        self._next_end += self.hop_samples
        start = end - self.front_end.window_samples
        stamp_ns = self._start_ns + start * SECOND // self.front_end.sample_rate
        return Window(stamp_ns, self._ring.window(end))
