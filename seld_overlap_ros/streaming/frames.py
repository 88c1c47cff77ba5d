"""Numbered frames that overlap, as HARK sends them (512 samples every 160), to samples that each come once.

How far one frame lies after the one before is not said anywhere, so it is seen from the first two frames that are
numbered one after the other: the end of the one is the beginning of the other.
"""

from __future__ import annotations

import numpy as np

from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.pcm import SECOND

LEAST_OVERLAP = 0.25  # of a frame; that fewer samples are the same may be chance


def find_advance(before: np.ndarray, after: np.ndarray) -> int | None:
    """Two frames (n, M) that follow each other -> samples from the start of one to that of the other.

    n if they do not overlap; None if it cannot be told, as where the first is, or ends in, digital silence.
    """
    n = len(before)
    if n < 2 or np.ptp(before, axis=0).max() == 0:
        return None
    for advance in range(1, min(n, n - int(LEAST_OVERLAP * n) + 1)):
        if np.array_equal(before[advance:], after[: n - advance]):
            return advance if np.ptp(before[advance:], axis=0).max() else None
    return n


class OverlappingFrames:
    """Takes frames by their number, and gives what is new in each with its stamp."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._latest = np.empty((0, 0), np.float32)
        self._start(0, 0, self._latest)

    def push(self, count: int, stamp_ns: int, frame: np.ndarray, rate: int) -> tuple[int, np.ndarray]:
        """Frame (n, M) number `count` at `rate` [Hz] -> stamp of its first new sample, and its k new samples (k, M).

        The stamp of the first frame and the numbers of the others make all stamps, so those are exact. The first
        frame waits for the second one, and comes with it.
        """
        came_twice = count == self._count and np.array_equal(frame, self._latest)
        self._latest = frame
        if came_twice:
            return stamp_ns, frame[:0]
        if frame.shape != self._last.shape or count <= self._count:
            if frame.shape == self._last.shape:
                self._notices("frames", f"frame number {count} came after number {self._count}: listening starts anew")
            self._start(count, stamp_ns, frame)
            return stamp_ns, frame[:0]
        if self._advance is None:
            return self._meet(count, stamp_ns, frame)
        at = (count - self._first_count) * self._advance  # number of the frame's first sample
        new = max(at, self._end)
        self._end, self._count = at + len(frame), count
        return self._first_stamp_ns + new * SECOND // rate, frame[new - at :]

    def _start(self, count: int, stamp_ns: int, frame: np.ndarray) -> None:
        self._first_count = self._count = count
        self._first_stamp_ns = stamp_ns
        self._last = frame
        self._advance: int | None = None  # samples from frame to frame
        self._end = 0  # samples given

    def _meet(self, count: int, stamp_ns: int, frame: np.ndarray) -> tuple[int, np.ndarray]:
        follows = count == self._count + 1
        advance = find_advance(self._last, frame) if follows else None
        if advance is None:
            if follows:
                self._notices(
                    "frames",
                    "the frames are, or end in, digital silence, and how far they overlap is not seen before there is "
                    "sound: is the microphone muted?",
                )
            self._start(count, stamp_ns, frame)
            return stamp_ns, frame[:0]
        samples = np.concatenate([self._last, frame[len(frame) - advance :]])
        self._advance, self._end, self._count, self._last = advance, len(samples), count, frame
        return self._first_stamp_ns, samples
