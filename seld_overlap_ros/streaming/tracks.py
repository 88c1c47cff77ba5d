"""From the sounds of single windows to sound events that keep their id.

A window holds at most one separated signal a direction. Where that signal is active, there is a sound; two of them with
a pause of more than JOIN_S between them are two. The windows overlap, so a sound is met again in the next ones: it is
the same when it comes from the same direction and its time overlaps with what is known of it. It has ended once it
has been quiet for JOIN_S at the end of a window, or was not heard for as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from seld_overlap_ros.config import FrontEnd, SystemConfig
from seld_overlap_ros.dsp.features import FLOOR_DB as SILENCE_DB
from seld_overlap_ros.dsp.features import magnitude
from seld_overlap_ros.streaming.pcm import SECOND

if TYPE_CHECKING:
    from seld_overlap_ros.hearing import HeardSource

IDS_A_SECOND = 1000  # far more than there are sounds
JOIN_S = 0.6  # [s] a shorter pause belongs to the sound, as between the words of a sentence or the knocks at a door
JOIN_NS = round(JOIN_S * SECOND)
APART_NS = round(0.1 * SECOND)  # more than windows differ about one end
RANGE_DB = 25.0  # a frame this far below the loudest one is no longer the sound
LEAK_DB = 12.0  # what stays this far below the loudest frame of its direction is another direction's sound, leaking
FADE_DB_PER_S = 6.0  # how fast the loudest one of earlier windows is forgotten; else a last echo counts as loud
FLOOR_DB = -80.0  # [dB re full scale] a quieter frame never is a sound
SHORTEST_FRAMES = 3  # less is a click of the separation
EDGE_FRAMES = 2  # what is active this close to the window's border is taken to go on beyond it
NO_SAMPLES = np.zeros(0, np.float32)


@dataclass(frozen=True)
class TrackedSound:
    """One sound of one window, under the id that it keeps from window to window."""

    id: int  # see `Tracks`
    direction: int  # index into the configuration's azimuths
    direction_score: float  # in this window, [0, 1]
    class_scores: np.ndarray  # (C,) averaged over the windows in which it was heard, summing to 1
    onset_ns: int  # on the clock of the audio's stamps
    duration_ns: int  # as far as it has been heard yet
    samples: np.ndarray  # (window_samples,) the separated signal, without other sounds from the same direction
    unknown: bool = False  # no class is likely enough to name it
    ended: bool = False  # it is over, and its duration whole; should it go on all the same, that was a pause


def frame_levels(log_mag: np.ndarray) -> np.ndarray:
    """Separated normalised log magnitude (F, T) -> power of each frame (T,) [dB re full scale]."""
    power = magnitude(log_mag)
    power *= power
    power[log_mag <= 0] = 0
    return 10 * np.log10(power.sum(axis=0, dtype=np.float64) + 10 ** (-SILENCE_DB / 10))


def segments(active: np.ndarray, join_frames: int) -> list[tuple[int, int]]:
    """Frames with sound (T,) bool -> first and last frame of each sound, pauses up to join_frames included."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], active, [False])).astype(np.int8)))
    runs: list[tuple[int, int]] = []
    for first, last in zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True):
        if runs and first - runs[-1][1] - 1 <= join_frames:
            runs[-1] = (runs[-1][0], last)
        else:
            runs.append((first, last))
    return [(first, last) for first, last in runs if last - first + 1 >= SHORTEST_FRAMES]


@dataclass(frozen=True)
class _Sighting:
    """One sound as one window shows it."""

    window_ns: int  # where the window starts
    window_end_ns: int
    start_ns: int
    end_ns: int
    cut_start: bool  # it began before the window did
    cut_end: bool  # it was still there when the window ended

    def joined(self, later: _Sighting) -> _Sighting:
        return replace(self, end_ns=later.end_ns, cut_end=later.cut_end)


def _sighting(window_ns: int, frames: tuple[int, int], front_end: FrontEnd) -> _Sighting:
    first, last = frames
    cut_start, cut_end = first < EDGE_FRAMES, last >= front_end.n_frames - EDGE_FRAMES
    # A frame stands for its middle hop. The border frames stand for all up to the border.
    start = 0 if cut_start else first * front_end.hop + front_end.hop // 2
    end = front_end.window_samples if cut_end else (last + 1) * front_end.hop + front_end.hop // 2
    start_ns, end_ns, window_end_ns = (window_ns + sample * SECOND // front_end.sample_rate
                                       for sample in (start, end, front_end.window_samples))
    return _Sighting(window_ns, window_end_ns, start_ns, end_ns, cut_start, cut_end)


@dataclass
class _Track:
    id: int
    direction: int
    start_ns: int
    end_ns: int
    latest: TrackedSound | None = None  # the latest word about it, without its samples
    class_sum: np.ndarray | float = 0.0  # (C,)
    onsets: list[int] = field(default_factory=list)  # [ns] as the windows saw it that hold the onset
    ends: list[tuple[int, int]] = field(default_factory=list)  # [ns], each with the end of the window that saw it

    def overlap_ns(self, seen: _Sighting) -> int:
        return min(self.end_ns, seen.end_ns) - max(self.start_ns, seen.start_ns)

    def add(self, seen: _Sighting) -> None:
        """Take in what one more window shows. Windows differ a little about onset and end: the median holds.

        What looked like the end was a pause if a later window hears more, unless the earlier one held that time too.
        """
        self.ends = [(end_ns, window_end_ns) for end_ns, window_end_ns in self.ends
                     if seen.end_ns <= end_ns + APART_NS or seen.end_ns <= window_end_ns - JOIN_NS]
        if not seen.cut_end:
            self.ends.append((seen.end_ns, seen.window_end_ns))
        end_ns = _median([end_ns for end_ns, _ in self.ends]) if self.ends else max(self.end_ns, seen.end_ns)
        self.end_ns = max(self.start_ns, end_ns)
        # An onset within a window that starts after the sound did is a pause's end, not the sound's onset.
        if not seen.cut_start and self.start_ns >= seen.window_ns:
            self.onsets.append(seen.start_ns)
            self.start_ns = min(_median(self.onsets), self.end_ns)


def _parted(seen: _Sighting, known: list[_Track]) -> Iterator[_Sighting]:
    """A window may miss a pause by a little: what it takes for one sound, where two are known, is those two."""
    over = sorted((track for track in known if track.overlap_ns(seen) > 0), key=lambda track: track.start_ns)
    for one, other in pairwise(over):
        if one.end_ns < other.start_ns:
            yield replace(seen, end_ns=one.end_ns, cut_end=False)
            seen = replace(seen, start_ns=other.start_ns, cut_start=False)
    yield seen


def _median(values: list[int]) -> int:
    return sorted(values)[(len(values) - 1) // 2]


class Tracks:
    """Gives the sounds of each window their ids; windows come in the order of their stamps.

    The ids count up from IDS_A_SECOND times the second of the first window that holds a sound. So none comes again when
    a node that was killed begins anew, and two nodes that hear the same give the same ids.
    A sound whose best class has a lower score than `class_threshold` is marked unknown. `ended` has the last word about
    each sound that has ended with the latest window, be it heard in it or not, without samples.
    """

    def __init__(self, config: SystemConfig, class_threshold: float = 0.0) -> None:
        self.config = config
        self.class_threshold = class_threshold
        self.ended: list[TrackedSound] = []
        self._join_frames = int(JOIN_S * config.front_end.sample_rate / config.front_end.hop)
        self._last_id = 0
        self._window_ns: int | None = None
        self._live: list[_Track] = []
        self._peak_db: dict[int, float] = {}  # direction -> loudest frame lately

    def update(self, window_ns: int, sources: list[HeardSource]) -> list[TrackedSound]:
        """The sources of the window that starts at window_ns [ns] -> its sounds by onset; [] where nothing was heard.

        Stamps that go back start anew: nothing from before is taken for the same sound, and no id comes again.
        """
        before = {track.id: track.latest for track in self._live}
        self._move_to(window_ns)
        sounds = [sound for source in sources for sound in self._sounds(window_ns, source)]
        self._find_ends(before, sounds)
        return sorted(sounds, key=lambda sound: (sound.onset_ns, sound.id))

    @property
    def ids(self) -> set[int]:
        """The sounds that may still be heard of, or have ended with the latest window."""
        return {track.id for track in self._live} | {sound.id for sound in self.ended}

    def _move_to(self, window_ns: int) -> None:
        passed_ns = 0 if self._window_ns is None else window_ns - self._window_ns
        self._window_ns = window_ns
        if passed_ns < 0:
            self._live, self._peak_db = [], {}
        # Where a sound that has ended was in the window before: what is left of it now is not to count as loud again.
        over = {track.direction for track in self._live if track.latest.ended and track.end_ns > window_ns - passed_ns}
        fade_db = FADE_DB_PER_S * passed_ns / SECOND
        self._peak_db = {direction: peak - fade_db * (direction not in over)
                         for direction, peak in self._peak_db.items()}
        self._live = [track for track in self._live if track.end_ns > window_ns - JOIN_NS]

    def _find_ends(self, before: dict[int, TrackedSound], sounds: list[TrackedSound]) -> None:
        """`before`: the latest word about each sound that was known before this window."""
        heard = {sound.id: replace(sound, samples=NO_SAMPLES) for sound in sounds}
        for track in self._live:
            track.latest = heard.get(track.id) or replace(track.latest, ended=self._is_over(track))
        after = {track.id: track.latest for track in self._live}
        lost = {known: replace(sound, ended=True) for known, sound in before.items() if known not in after}
        over = {known for known, sound in before.items() if sound.ended}
        self.ended = [sound for known, sound in (lost | after).items() if sound.ended and known not in over]

    def _is_over(self, track: _Track) -> bool:
        front_end = self.config.front_end
        window_end_ns = self._window_ns + front_end.window_samples * SECOND // front_end.sample_rate
        return track.end_ns <= window_end_ns - JOIN_NS

    def _sounds(self, window_ns: int, source: HeardSource) -> list[TrackedSound]:
        runs = self._runs(source)
        found = self._assign(
            source.direction, [_sighting(window_ns, run, self.config.front_end) for run in runs]
        )
        total_ns = sum(seen.end_ns - seen.start_ns for _, seen in found)
        for track, seen in found:
            length_ns = seen.end_ns - seen.start_ns
            # The scores are the whole window's: they say the more about a sound, the more of it is in there.
            track.class_sum = track.class_sum + length_ns * length_ns / total_ns * source.class_scores
            track.add(seen)
        parts = self._split(source.samples, [seen for _, seen in found])
        return [self._tracked(track, source, part) for (track, _), part in zip(found, parts, strict=True)]

    def _runs(self, source: HeardSource) -> list[tuple[int, int]]:
        """First and last frame of each sound in a separated source; what a known one goes on with is no leak."""
        levels = frame_levels(source.log_mag)
        runs = segments(self._activity(source.direction, levels), self._join_frames)
        peaks = [levels[first : last + 1].max() for first, last in runs]
        return [run for run, peak in zip(runs, peaks, strict=True)
                if peak > max(peaks) - LEAK_DB or self._is_known(source.direction, run)]

    def _is_known(self, direction: int, run: tuple[int, int]) -> bool:
        seen = _sighting(self._window_ns, run, self.config.front_end)
        return any(track.overlap_ns(seen) > 0 for track in self._live if track.direction == direction)

    def _activity(self, direction: int, levels: np.ndarray) -> np.ndarray:
        """Frames with sound in them (T,) bool, from the level of each [dB]."""
        peak_db = max(float(levels.max()), self._peak_db.get(direction, FLOOR_DB))
        self._peak_db[direction] = peak_db
        return levels > max(peak_db - RANGE_DB, FLOOR_DB)

    def _assign(self, direction: int, sightings: list[_Sighting]) -> list[tuple[_Track, _Sighting]]:
        """Each sighting, in the order of time, to the track that it overlaps most, or to a new one; each track once."""
        found: list[tuple[_Track, _Sighting]] = []
        candidates = [track for track in self._live if track.direction == direction]
        for seen in (part for whole in sightings for part in _parted(whole, candidates)):
            track = max(candidates, key=lambda known: known.overlap_ns(seen), default=None)
            if track is None or track.overlap_ns(seen) <= -JOIN_NS:
                found.append((self._new_track(direction, seen), seen))
            elif any(track is taken for taken, _ in found):
                found[-1] = (found[-1][0], found[-1][1].joined(seen))
            else:
                found.append((track, seen))
        return found

    def _new_track(self, direction: int, seen: _Sighting) -> _Track:
        self._last_id = 1 + (self._last_id or max(0, self._window_ns // SECOND) * IDS_A_SECOND)
        track = _Track(self._last_id, direction, seen.start_ns, seen.end_ns)
        self._live.append(track)
        return track

    def _split(self, samples: np.ndarray, sightings: list[_Sighting]) -> list[np.ndarray]:
        """The separated signal (window_samples,) parted in the middle of the pauses between its sounds.

        One fades out where the next fades in: a hard cut would click.
        """
        if not sightings:
            return []
        rate, fade = self.config.front_end.sample_rate, self.config.front_end.hop
        position = np.arange(len(samples))
        shares = [np.ones(len(samples), np.float32)]  # of the sounds that begin after each pause
        for a, b in pairwise(sightings):
            middle = ((a.end_ns + b.start_ns) // 2 - a.window_ns) * rate // SECOND
            shares.append(np.clip((position - middle) / fade + 0.5, 0, 1).astype(np.float32))
        shares.append(np.zeros(len(samples), np.float32))
        return [samples * (since - until) for since, until in pairwise(shares)]

    def _tracked(self, track: _Track, source: HeardSource, samples: np.ndarray) -> TrackedSound:
        class_scores = track.class_sum / np.sum(track.class_sum)
        return TrackedSound(
            id=track.id,
            direction=track.direction,
            direction_score=source.direction_score,
            class_scores=class_scores,
            onset_ns=track.start_ns,
            duration_ns=track.end_ns - track.start_ns,
            samples=samples,
            unknown=bool(class_scores.max() < self.class_threshold),
            ended=self._is_over(track),
        )
