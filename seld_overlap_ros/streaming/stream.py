"""Chunks of audio with stamps in, complete analysis windows with stamps out.

The time of a sample is the stamp of the first chunk plus a count of samples, in integer nanoseconds, so any cutting
into chunks gives the same windows. The stamps of later chunks are compared with that time:

- Off by STAMP_TOLERANCE at most: stamps tremble, nothing is amiss.
- Off by more: one stamp may be wrong, or the source was held up and catches up, losing nothing. Where silence
  belongs must be known before a chunk goes in, so this one is held until another is hardly off, HOLD of audio has
  followed, or nothing more comes (`settle`). Audio waits for nothing unless a stamp is off. If all that followed are
  off to the same side, by half of the tolerance or more, the smallest of the offsets counts: what is missing is bridged
  with zeros before the held chunk, what came twice is dropped from it and, if that is not enough, from those after it,
  and from a window on listening starts anew with it. Else, and where chunks become less late one after the other, the
  held chunk follows on as if its stamp had been right. Before the first window nothing can have come twice: there the
  first stamp was late.
- Drift: sound card and stamps have two clocks. A slow mean of the offsets follows the stamps by DRIFT_RATE at most.
  Offsets are counted from it, so drift is never a gap. When it comes to DRIFT_STEP, the time of what follows is set
  right by it; no sample is lost or put in. Between such steps stamps of windows lie on the grid of the samples.
- Exact stamps, which come from a count of samples, are believed to the sample and at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.streaming.counts import AudioCounts
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.pcm import SECOND

# Capture nodes stamp on a clock that wanders against the sound card's. Less than this is no gap and no overlap;
# it is a tenth of the default hop.
STAMP_TOLERANCE = SECOND // 20  # [ns]
DRIFT_RATE = 1 / 2000  # two crystals differ by less
HOLD = SECOND // 5  # [ns]
CATCH_UP = STAMP_TOLERANCE // 4  # [ns] by which the later half of what is held is less late than the first
DRIFT_STEP = STAMP_TOLERANCE // 2  # [ns] less than the shortest hop, so that windows stay in order


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


@dataclass(frozen=True)
class _Held:
    """A chunk whose stamp is off."""

    stamp_ns: int
    samples: np.ndarray  # (n, M)
    off_ns: int


class AudioStream:
    """Resamples, keeps one window of audio, and hands out a window every `hop_s` once a whole one is there."""

    def __init__(self, front_end: FrontEnd, n_channels: int, hop_s: float, notices: Notices) -> None:
        self.front_end = front_end
        self.n_channels = n_channels
        self.set_hop(hop_s)
        self._notices = notices
        self.counts = AudioCounts(n_channels)
        self._rate = 0  # [Hz] of the chunks; 0: nothing has come yet
        self._held: list[_Held] = []  # from the first chunk on whose stamp is off

    def set_hop(self, hop_s: float) -> None:
        """Time from window to window [s], from the next window on. Raises ValueError unless it is positive.

        It becomes a whole number of hops of the STFT, so that frames that two windows share serve both.
        """
        if not hop_s > 0:
            raise ValueError(f"hop must be positive, got {hop_s} s")
        self.hop_samples = self.front_end.whole_hops(hop_s)

    @property
    def next_stamp_ns(self) -> int | None:
        """Stamp that a chunk has which follows on without a gap; None before the first chunk."""
        if not self._rate:
            return None
        n = self._n_in - self._n_to_drop + sum(len(held.samples) for held in self._held)
        return self._start_ns + self._drift_ns + n * SECOND // self._rate

    def push(self, stamp_ns: int, samples: np.ndarray, rate: int, exact: bool = False) -> list[Window]:
        """Chunk (n, M) float32 at `rate` [Hz], stamp_ns its first sample's -> the windows that it completes.

        `exact`: the stamp comes from a count of samples, so it is off only where samples are missing or came twice.
        """
        if samples.ndim != 2 or samples.shape[1] != self.n_channels:
            raise ValueError(f"a chunk of shape (n, {self.n_channels}) is needed, got {samples.shape}")
        if not len(samples):
            return []
        windows = []
        if rate != self._rate:
            windows += self.settle()
            self._change_rate(stamp_ns, rate)
        if exact:
            windows += self.settle()
            return windows + self._move(stamp_ns - self.next_stamp_ns, stamp_ns) + self._feed(samples)
        off_ns = stamp_ns - self.next_stamp_ns
        if self._held or abs(off_ns) > STAMP_TOLERANCE:
            self._held.append(_Held(stamp_ns, samples, off_ns))
            return windows + (self._judge() if len(self._held) > 1 else [])
        self._drift(off_ns, len(samples))
        return windows + self._feed(samples)

    def settle(self) -> list[Window]:
        """Nothing more comes for now: believe the stamps of what is held -> the windows that it completes."""
        windows = []
        while self._held:
            windows += self._judge(is_last=True)
        return windows

    def disregard_stamps(self) -> list[Window]:
        """The stamps of late mean nothing: what is held follows on -> the windows that it completes.

        Before the first window, time counts from the first stamp again, from which those after it have moved it.
        """
        if self._is_before_the_first_window:
            self._start_ns = self._first_ns
        held, self._held = self._held, []
        return [window for one in held for window in self._feed(one.samples)]

    def _judge(self, is_last: bool = False) -> list[Window]:
        """Put the first held chunk where it belongs, if what followed tells where, and the others after it."""
        first, *others = self._held
        sign = 1 if first.off_ns > 0 else -1
        offs_ns = [sign * held.off_ns for held in self._held]
        is_borne_out = min(offs_ns) >= STAMP_TOLERANCE // 2
        followed_ns = sum(len(held.samples) for held in others) * SECOND // self._rate
        if is_borne_out and followed_ns < HOLD and not is_last:
            return []
        self._held, windows = [], []
        if not is_borne_out or (sign > 0 and self._catches_up(offs_ns, len(first.samples))):
            self.counts.odd_stamps += 1
        elif sign < 0 and self._is_before_the_first_window and min(offs_ns) < self.front_end.window_s * SECOND:
            self._start_ns -= min(offs_ns)
        else:
            windows += self._move(sign * min(offs_ns), first.stamp_ns)
        windows += self._feed(first.samples)
        for held in others:
            windows += self.push(held.stamp_ns, held.samples, self._rate)
        return windows

    @property
    def _is_before_the_first_window(self) -> bool:
        return self._next_end == self.front_end.window_samples

    def _catches_up(self, late_ns: list[int], n_first: int) -> bool:
        """Whether chunks, the first of n_first samples, are less late one after the other, as after a stall."""
        if len(late_ns) == 2:
            return late_ns[0] - late_ns[1] > min(STAMP_TOLERANCE, n_first * SECOND // self._rate // 2)
        if len(late_ns) < 2:
            return False
        half = (len(late_ns) + 1) // 2
        return min(late_ns[:half]) - min(late_ns[half:]) > CATCH_UP

    def _move(self, off_ns: int, stamp_ns: int) -> list[Window]:
        """The chunk with this stamp, which goes in next, is off by off_ns -> the windows that silence completes."""
        off_s = off_ns / SECOND
        n_missing = round(off_s * self._rate)
        if abs(off_s) >= self.front_end.window_s:
            how = f"jump ahead by {off_s:.3f} s" if off_ns > 0 else f"jump back by {-off_s:.3f} s"
            self._notices("restart", f"the audio's stamps {how}: listening starts anew there")
            self.counts.restarts += 1
            self._start(stamp_ns)
        elif n_missing > 0:
            self._notices("gap", f"{off_s:.3f} s of audio are missing and count as silence")
            self.counts.gaps += 1
            self.counts.gap_s += off_s
            return self._feed(np.zeros((n_missing, self.n_channels), np.float32))
        elif n_missing < 0:
            self._notices("overlap", f"{-off_s:.3f} s of audio came twice and are dropped the second time")
            self.counts.overlaps += 1
            self.counts.overlap_s -= off_s
            self._n_to_drop -= n_missing
        return []

    def _drift(self, off_ns: int, n: int) -> None:
        """Follow a clock that drifts, by what it may in n samples."""
        most_ns = int(n * SECOND / self._rate * DRIFT_RATE)
        self._drift_ns += max(-most_ns, min(most_ns, off_ns))
        if abs(self._drift_ns) >= DRIFT_STEP:
            self._notices(
                "clock",
                f"the clock of the audio's stamps and that of its samples came {self._drift_ns / SECOND:.3f} s apart: "
                "the time is set right, and no audio is lost",
            )
            self.counts.clock_steps += 1
            self._start_ns += self._drift_ns
            self._drift_ns = 0

    def _change_rate(self, stamp_ns: int, rate: int) -> None:
        model_rate = self.front_end.sample_rate
        if self._rate:
            self._notices("rate", f"the audio's rate goes from {self._rate} to {rate} Hz: listening starts anew")
            self.counts.restarts += 1
        if rate != model_rate:
            self._notices("resampling", f"audio at {rate} Hz is resampled to the model's {model_rate} Hz")
        self._rate = rate
        self._start(stamp_ns)

    def _start(self, stamp_ns: int) -> None:
        self._start_ns = self._first_ns = stamp_ns
        self._drift_ns = 0  # of the stamps against _start_ns and the count of samples
        self._n_in = 0  # samples at the chunks' rate
        self._n_to_drop = 0  # of those to come
        self._next_end = self.front_end.window_samples  # sample number before which the next window ends
        self._ring = _Ring(self.n_channels, self.front_end.window_samples)
        model_rate = self.front_end.sample_rate
        self._resampler = (
            soxr.ResampleStream(self._rate, model_rate, self.n_channels, dtype="float32")
            if self._rate != model_rate
            else None
        )

    def _feed(self, samples: np.ndarray) -> list[Window]:
        n_dropped = min(self._n_to_drop, len(samples))
        self._n_to_drop -= n_dropped
        samples = samples[n_dropped:]
        if not len(samples):
            return []
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
        self.counts.windows += 1
        stamp_ns = self._start_ns + start * SECOND // self.front_end.sample_rate
        return Window(stamp_ns, self._ring.window(end))
