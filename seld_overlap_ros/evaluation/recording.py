"""What a listener published, put together again: one event and one continuous waveform for each sound.

Every window of 4.112 s brings each sound's latest event and the sound's waveform over that whole window; windows
overlap. Stamps are seconds on the clock of the audio; float64 keeps a date of today to a quarter of a microsecond.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal.windows import hann

from seld_overlap_ros.evaluation.events import Event, write_events

EDGE_FADE_S = 0.02  # where a track begins or ends in the middle of a sound


@lru_cache(maxsize=4)
def taper(n_samples: int) -> np.ndarray:
    """Hann weights (N,), float32, shifted by half a sample so that none is 0."""
    weights = hann(2 * n_samples + 1)[1::2].astype(np.float32)
    weights.flags.writeable = False
    return weights


class Track:
    """The waveform of one sound, blended from overlapping windows."""

    def __init__(self, sample_rate: int, start: int) -> None:
        self.sample_rate = sample_rate
        self.start = start  # position of the first sample, counted from stamp 0 [samples]
        self._sum = np.zeros(0, np.float32)
        self._weight = np.zeros(0, np.float32)

    def add(self, start: int, samples: np.ndarray) -> None:
        """Blend in a window (N,) that begins at sample `start`, its middle counting most."""
        self._reserve(start, start + len(samples))
        inside = slice(start - self.start, start - self.start + len(samples))
        self._sum[inside] += taper(len(samples)) * samples
        self._weight[inside] += taper(len(samples))

    def samples(self) -> np.ndarray:
        """The track (N,), float32: weighted mean of the windows, 0 where there was none, faded at its edges."""
        covered = self._weight > 0
        blended = np.divide(self._sum, self._weight, out=np.zeros_like(self._sum), where=covered)
        edges = np.flatnonzero(np.diff(covered, prepend=False, append=False))
        for first, end in edges.reshape(-1, 2):
            fade = min(round(EDGE_FADE_S * self.sample_rate), (end - first) // 2)
            ramp = hann(2 * fade + 1)[:fade].astype(np.float32)
            blended[first : first + fade] *= ramp
            blended[end - fade : end] *= ramp[::-1]
        return blended

    def _reserve(self, start: int, end: int) -> None:
        before = max(0, self.start - start)
        after = max(0, end - self.start - len(self._sum))
        if before or after:
            self.start -= before
            self._sum = np.pad(self._sum, (before, after))
            self._weight = np.pad(self._weight, (before, after))


class Recording:
    """Collects events and windows in any order; `events` and `track` give what they amount to."""

    def __init__(self) -> None:
        self._zero_s: float | None = None
        self._events: dict[int, Event] = {}
        self._tracks: dict[int, Track] = {}

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
        """A window (N,) of a sound's waveform, whose first sample has the stamp.

        Raises ValueError if it is not one-dimensional, empty or not finite, or if the rate has changed.
        """
        if samples.ndim != 1 or not samples.size or not np.isfinite(samples).all():
            raise ValueError(f"sound {track_id}: a window must be one channel of finite samples, not empty")
        start = round(stamp_s * sample_rate)
        track = self._tracks.setdefault(track_id, Track(sample_rate, start))
        if track.sample_rate != sample_rate:
            raise ValueError(f"sound {track_id}: rate went from {track.sample_rate} to {sample_rate} Hz")
        track.add(start, samples)

    def events(self) -> list[Event]:
        """One event for each sound, by onset, on the scene's clock."""
        zero = self._zero()
        events = [replace(event, onset_s=event.onset_s - zero) for event in self._events.values()]
        return sorted(events, key=lambda event: (event.onset_s, event.id))

    def track(self, track_id: int) -> tuple[np.ndarray, int]:
        """Waveform (N,) and rate [Hz] of a sound, sample 0 at time 0 of the scene. Raises KeyError if it has none."""
        track = self._tracks[track_id]
        samples = track.samples()
        start = track.start - round(self._zero() * track.sample_rate)
        return np.pad(samples, (start, 0)) if start >= 0 else samples[-start:], track.sample_rate

    def write(self, folder: Path) -> None:
        """Write `events.json` and `separated/ID_LABEL.wav` into a folder, which is made if need be."""
        (folder / "separated").mkdir(parents=True, exist_ok=True)
        for track_id in self._tracks:  # one at a time, as each is as long as the scene up to its sound's end
            event = self._events.get(track_id)
            name = f"{track_id}_{event.label if event else 'unknown'}.wav".replace("/", "_")
            soundfile.write(folder / "separated" / name, *self.track(track_id), subtype="PCM_16")
        write_events(folder / "events.json", self.events())

    def _zero(self) -> float:
        if self._zero_s is not None:
            return self._zero_s
        # Without a stamp of the audio itself, whatever was heard first has to do.
        starts = [event.onset_s for event in self._events.values()]
        starts += [track.start / track.sample_rate for track in self._tracks.values()]
        return min(starts, default=0.0)
