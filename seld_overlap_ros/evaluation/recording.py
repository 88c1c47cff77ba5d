"""What a listener published, put together again: one event and one continuous waveform for each sound.

Every window brings each sound's latest event, and the next chunk of the sound's waveform. Stamps are seconds on the
clock of the audio; float64 keeps a date of today to a quarter of a microsecond.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile

from seld_overlap_ros.config import MAX_RATE
from seld_overlap_ros.evaluation.events import Event, write_events

LONGEST_NAME = 50  # letters of a label in the name of a file, which may have 255 bytes
LONGEST = 6 * 3600 * 16000  # samples that one sound may take; a stamp gone wrong would ask for all memory otherwise


def file_name(number: int, label: str | None) -> str:
    """ID_LABEL.wav. A label comes from others, so it names no folder: only letters, digits and + - of it stay."""
    name = re.sub(r"[^\w+-]+", "_", label or "unknown")[:LONGEST_NAME]
    return f"{number}_{name}.wav"


@dataclass
class Track:
    """The waveform of one sound, from chunks that mostly follow on from each other."""

    sample_rate: int
    chunks: dict[int, np.ndarray] = field(default_factory=dict)  # first sample, counted from stamp 0 -> chunk (n,)
    end: int = 0  # sample after the latest chunk

    @property
    def start(self) -> int:
        """First sample, counted from stamp 0."""
        return min(self.chunks)

    def add(self, start: int, samples: np.ndarray) -> None:
        """A chunk (n,) that begins at sample `start`, or next to it: stamps are rounded, and a chunk leaves no gap."""
        if self.chunks and abs(start - self.end) <= 1:
            start = self.end
        self.chunks[start] = samples
        self.end = start + len(samples)

    def samples(self) -> np.ndarray:
        """The waveform (N,) float32 from `start` on, 0 where there was no chunk."""
        return self.between(self.start, max(at + len(chunk) for at, chunk in self.chunks.items()))

    def between(self, first: int, end: int) -> np.ndarray:
        """The waveform (end - first,) float32 from sample `first` on, 0 where there was no chunk."""
        whole = np.zeros(end - first, np.float32)
        for at, chunk in self.chunks.items():
            inside = chunk[max(0, first - at) : max(0, end - at)]
            begin = max(0, at - first)
            whole[begin : begin + len(inside)] = inside
        return whole


class Recording:
    """Collects events and chunks in any order; `events` and `track` give what they amount to."""

    def __init__(self) -> None:
        self._zero_s: float | None = None
        self._events: dict[int, Event] = {}
        self._written: dict[int, tuple[str, float]] = {}  # id -> its file in the folder, and the stamp where it begins
        self.tracks: dict[int, Track] = {}  # id -> waveform, counted from stamp 0

    def begin(self, stamp_s: float) -> None:
        """Stamp of a chunk of audio; the first one is time 0 of the scene."""
        if self._zero_s is None:
            self._zero_s = stamp_s

    def since_start(self, stamp_s: float) -> float:
        """A stamp on the scene's clock [s]."""
        return stamp_s - self._zero()

    def add_event(self, event: Event) -> None:
        """The latest word about a sound, with the stamp of its first sample as `onset_s`."""
        self._events[event.id] = event

    def add_source(self, track_id: int, stamp_s: float, samples: np.ndarray, sample_rate: int) -> None:
        """A chunk (n,) of a sound's waveform, whose first sample has the stamp.

        Raises ValueError if it is not one-dimensional, empty or not finite, if the rate is none or has changed, if it
        lies more than LONGEST from the sound's first chunk, or if the sound has been written already.
        """
        if samples.ndim != 1 or not samples.size or not np.isfinite(samples).all():
            raise ValueError(f"sound {track_id}: a chunk must be one channel of finite samples, not empty")
        if track_id in self._written:
            raise ValueError(f"sound {track_id}: a chunk comes when its file is written already")
        if not 1 <= sample_rate <= MAX_RATE:
            raise ValueError(f"sound {track_id}: a rate of {sample_rate} Hz is none")
        start = round(stamp_s * sample_rate)
        track = self.tracks.setdefault(track_id, Track(sample_rate))
        if track.sample_rate != sample_rate:
            raise ValueError(f"sound {track_id}: rate went from {track.sample_rate} to {sample_rate} Hz")
        away = start - track.start if track.chunks else 0
        if abs(away) > LONGEST:
            raise ValueError(f"sound {track_id}: a chunk lies {away / sample_rate:.0f} s from the first")
        track.add(start, samples)

    def events(self, latest: int | None = None) -> list[Event]:
        """One event for each sound, or for so many of those that came last, by onset, on the scene's clock."""
        zero = self._zero()
        events = [replace(event, onset_s=event.onset_s - zero)
                  for event in islice(reversed(self._events.values()), latest)]
        return sorted(events, key=lambda event: (event.onset_s, event.id))

    def write_ended(self, stamp_s: float, folder: Path) -> None:
        """Write the sounds whose latest chunk ends before the stamp, and forget their waveforms."""
        for track_id in [known for known, track in self.tracks.items() if track.end < stamp_s * track.sample_rate]:
            self._write_track(track_id, folder)

    def write(self, folder: Path) -> None:
        """Write `events.json` and `separated/ID_LABEL.wav` into a folder, which is made if need be.

        A sound of unknown class is in `ID_unknown.wav`. An entry of `events.json` names its `file`, and says when that
        begins on the scene's clock, `file_start_s`.
        """
        (folder / "separated").mkdir(parents=True, exist_ok=True)
        for track_id in list(self.tracks):  # one at a time, for the memory's sake
            self._write_track(track_id, folder)
        files = {track_id: {"file": name, "file_start_s": round(self.since_start(start_s), 4)}
                 for track_id, (name, start_s) in self._written.items()}
        write_events(folder / "events.json", self.events(), files)

    def _write_track(self, track_id: int, folder: Path) -> None:
        track, event = self.tracks[track_id], self._events.get(track_id)
        name = f"separated/{file_name(track_id, event and event.label)}"
        (folder / "separated").mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, track.samples(), track.sample_rate, subtype="PCM_16")
        self._written[track_id] = name, track.start / track.sample_rate
        del self.tracks[track_id]

    def _zero(self) -> float:
        if self._zero_s is not None:
            return self._zero_s
        # Without a stamp of the audio itself, whatever was heard first has to do.
        starts = [event.onset_s for event in self._events.values()]
        starts += [track.start / track.sample_rate for track in self.tracks.values()]
        starts += [start_s for _, start_s in self._written.values()]
        return min(starts, default=0.0)
