"""The continuous waveform of each sound, and of each direction, chunk by chunk as the windows come."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.streaming.overlap_add import SECOND, OverlapAdd, Piece, delay_samples
from seld_overlap_ros.streaming.tracks import JOIN_NS, TrackedSound, Tracks

if TYPE_CHECKING:
    from seld_overlap_ros.hearing import HeardSource

AROUND_NS = JOIN_NS // 2  # of a sound's surroundings go with it; what is nearer to another sound goes with that one


@dataclass(frozen=True)
class Chunk:
    """The next samples of a sound."""

    sound: TrackedSound  # as it is known now; if it has ended, this is its last chunk
    sequence: int  # 0 for the first chunk of the sound, one more for each that follows
    stamp_ns: int  # of samples[0]
    samples: np.ndarray  # (n,) float32, n at least 1


class _Stream:
    """One sound's signal, and how much of it was delivered."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._signal = OverlapAdd(front_end)
        self._n_chunks = 0
        self._over = False  # nothing follows, unless the sound goes on after all

    def hear(self, window_ns: int, sound: TrackedSound) -> Chunk | None:
        """A sound in a window that holds it."""
        begin_ns, end_ns = sound.onset_ns - AROUND_NS, sound.onset_ns + sound.duration_ns
        if not sound.ended:
            return self._chunk(sound, self._signal.push(window_ns, sound.samples, begin_ns))
        if self._over and end_ns <= self._signal.next_ns:
            return None
        return self._chunk(sound, self._signal.finish(window_ns, sound.samples, begin_ns, end_ns + AROUND_NS))

    def end(self, sound: TrackedSound) -> Chunk | None:
        """A sound that has ended without being heard again."""
        return self._chunk(sound, self._signal.end())

    def _chunk(self, sound: TrackedSound, piece: Piece) -> Chunk | None:
        self._over = sound.ended
        if not len(piece.samples):
            return None
        self._n_chunks += 1
        return Chunk(sound, self._n_chunks - 1, piece.stamp_ns, piece.samples)


class Streams:
    """The waveforms of the sounds of a `Tracks`, each from its onset to its end, with AROUND_NS on either side.

    A sound that is met late brings all that its window holds of it at once. One that is not heard for a window or two
    waits: it goes on without a gap when it is heard again, and has ended otherwise.
    """

    def __init__(self, tracks: Tracks) -> None:
        self._tracks = tracks
        self._streams: dict[int, _Stream] = {}  # id -> stream

    def update(self, window_ns: int, sounds: Sequence[TrackedSound]) -> list[Chunk]:
        """What `Tracks.update` has just answered -> the next chunk of each sound that has one."""
        chunks = [self._stream(sound).hear(window_ns, sound) for sound in sounds]
        heard = {sound.id for sound in sounds}
        chunks += [self._stream(sound).end(sound) for sound in self._tracks.ended if sound.id not in heard]
        self._streams = {known: self._streams[known] for known in self._tracks.ids & self._streams.keys()}
        return [chunk for chunk in chunks if chunk is not None]

    def _stream(self, sound: TrackedSound) -> _Stream:
        return self._streams.setdefault(sound.id, _Stream(self._tracks.config.front_end))


class DirectionStreams:
    """What comes from each direction, without end and for players: silence where nothing is heard."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end
        self._silence = np.zeros(front_end.window_samples, np.float32)
        self._window_ns: int | None = None
        self._signals: dict[int, OverlapAdd] = {}  # direction -> its signal

    def update(self, window_ns: int, sources: Sequence[HeardSource], wanted: Collection[int]) -> dict[int, Piece]:
        """The sources of the window that starts at window_ns -> the next samples of each wanted direction.

        A direction begins with what its second window newly brings. Where windows do not overlap, all begin anew.
        """
        if self._window_ns is None or not 0 <= window_ns - self._window_ns < self._length_ns():
            self._signals = {}
        self._window_ns = window_ns
        heard = {source.direction: source.samples for source in sources}
        self._signals = {d: self._signals.get(d) or OverlapAdd(self._front_end) for d in wanted}
        delay_ns = delay_samples(self._front_end) * SECOND // self._front_end.sample_rate
        begin_ns = window_ns + self._length_ns() - delay_ns
        pieces = {
            d: signal.push(window_ns, heard.get(d, self._silence), begin_ns) for d, signal in self._signals.items()
        }
        return {d: piece for d, piece in pieces.items() if len(piece.samples)}

    def _length_ns(self) -> int:
        return self._front_end.window_samples * SECOND // self._front_end.sample_rate
