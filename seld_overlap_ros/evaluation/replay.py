"""A bag through the library as `full_node` hears it: windows at a hop, `Hearing`, `Tracks`, `Streams`.

Several systems listen side by side: a bag is read once for all that have the same array and front end, and they share
the cores. What each makes of it is the same each time, and the same whoever listens beside it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby, islice

import numpy as np

from seld_overlap_ros.bags.reading import Bag
from seld_overlap_ros.evaluation.classical import Classical
from seld_overlap_ros.evaluation.events import Event, printable
from seld_overlap_ros.evaluation.matching import HALF_SECTOR
from seld_overlap_ros.evaluation.recording import Recording, Track
from seld_overlap_ros.graphs import FULL_NODE
from seld_overlap_ros.hearing import Hearing
from seld_overlap_ros.messages import SECOND
from seld_overlap_ros.models.engine import Engine
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.pcm import read_channel_map
from seld_overlap_ros.streaming.stream import Window
from seld_overlap_ros.streaming.streams import Streams
from seld_overlap_ros.streaming.tracks import TrackedSound, Tracks

DEFAULTS = {parameter.name: parameter.default for parameter in FULL_NODE.parameters}
SHOWN = 10  # classes that a sentence names
BLOCK = 8  # windows that each system hears before it waits for the others: few waits, little memory


@dataclass(frozen=True)
class Settings:
    """The parameters of `full_node` that change what is heard."""

    hop_s: float = DEFAULTS["hop"]
    direction_threshold: float = DEFAULTS["direction_threshold"]
    class_threshold: float = DEFAULTS["class_threshold"]
    channel_map: str = DEFAULTS["channel_map"]
    classes: str = DEFAULTS["classes"]  # that the systems were loaded with: for the record, and for live nodes


@dataclass(frozen=True)
class Look:
    """What a system said of one window."""

    start_s: float  # of the window
    said: Mapping[int, int]  # each direction that was asked -> its likeliest class


@dataclass(frozen=True)
class Heard:
    """What a system made of a bag, on the scene's clock. What a live graph does not tell is left empty."""

    events: tuple[Event, ...]  # the last word about each sound, by onset
    reported_s: Mapping[int, tuple[float, ...]]  # id -> ends of the windows that reported the sound
    n_windows: int
    notes: tuple[str, ...]  # a sentence for each thing that was wrong with the audio
    wall_s: float  # that it took
    separated: Mapping[int, Track] = field(default_factory=dict)  # id -> the sound alone
    mixture: Track | None = None  # microphone 0, at the rate of what is separated
    looks: tuple[Look, ...] = ()  # window by window
    latency_s: tuple[float, ...] = ()  # live: of each window, from its last sample to what was said of it
    half_sector: float = HALF_SECTOR  # [rad] of the system's directions


def hear_all(bags: Sequence[Bag], systems: Mapping[str, Engine | Classical], settings: Settings,
             tick: Callable[[], object] = lambda: None, threads: int = 1) -> dict[str, list[Heard]]:
    """Let systems, each with an engine of its own, listen to bags -> by system, what it made of each bag.

    `threads`: how many systems compute at a time. `tick` is called for each chunk of a bag and each system. Raises
    ValueError where the settings' channel_map is none for a system.
    """
    with ThreadPoolExecutor(threads) as pool:
        heard = [_hear(bag, systems, settings, tick, pool) for bag in bags]
    return {name: [of_bag[name] for of_bag in heard] for name in systems}


def _hear(bag: Bag, systems: Mapping[str, Engine | Classical], settings: Settings, tick: Callable[[], object],
          pool: ThreadPoolExecutor) -> dict[str, Heard]:
    ears = {name: _Ear(bag, system, settings) for name, system in systems.items()}
    for _, alike in groupby(sorted(ears.values(), key=_Ear.asks), key=_Ear.asks):
        _listen(bag, list(alike), settings, tick, pool)
    return {name: ear.heard() for name, ear in ears.items()}


def _listen(bag: Bag, ears: list[_Ear], settings: Settings, tick: Callable[[], object],
            pool: ThreadPoolExecutor) -> None:
    """Let systems of one array and front end listen."""
    config, notes = ears[0].config, []
    mixture = Track(config.front_end.sample_rate)
    notices = Notices(notes.append, clock=lambda: 0.0)  # the first of each kind
    windows = bag.windows(config.front_end, config.array.n_microphones, settings.hop_s, notices,
                          lambda: [tick() for _ in ears],
                          read_channel_map(settings.channel_map, config.array.n_microphones))
    for block in _blocks(windows):
        for window in block:
            _add(mixture, bag.since_start(window.stamp_ns), window.samples[0])
        list(pool.map(lambda ear: ear.take(block), ears))  # noqa: B023  the list waits for all
    repeated = [f"{kind}: {count} times in all" for kind, count in notices.counts.items() if count > 1]
    for ear in ears:
        ear.notes, ear.mixture = (*notes, *repeated), mixture


def _blocks(windows: Iterator[Window]) -> Iterator[list[Window]]:
    while block := list(islice(windows, BLOCK)):
        yield block


def _add(signal: Track, start_s: float, samples: np.ndarray) -> None:
    """What a window (n,) that starts at start_s brings of a signal beyond what is known of it."""
    start = round(start_s * signal.sample_rate)
    known = min(len(samples), max(0, signal.end - start)) if signal.chunks else 0
    if known < len(samples):
        signal.add(start + known, samples[known:].copy())  # a copy: the window may go


class _Ear:
    """One system that listens to one bag."""

    def __init__(self, bag: Bag, system: Engine | Classical, settings: Settings) -> None:
        self.config = system.config
        self.notes: tuple[str, ...] = ()
        self.mixture: Track | None = None
        self._bag = bag
        self._hearing = system if isinstance(system, Classical) else Hearing(system)
        self._hearing.direction_threshold = settings.direction_threshold
        self._tracks = Tracks(self.config, settings.class_threshold)
        self._streams = Streams(self._tracks)
        self._known: list[int] = []  # as in full_node, the directions in which a sound was heard last
        self._events: dict[int, Event] = {}
        self._reported = defaultdict(list)
        self._separated = Recording()
        self._looks: list[Look] = []
        self._wall_s = 0.0

    def asks(self) -> str:
        """What is the same for systems that hear the same windows."""
        return repr((self.config.front_end, self.config.array.n_microphones))

    def take(self, block: Sequence[Window]) -> None:
        """Hear the next windows."""
        started = time.perf_counter()
        for window in block:
            self._hear(window)
        self._wall_s += time.perf_counter() - started

    def heard(self) -> Heard:
        """What it amounts to."""
        ordered = sorted(self._events.values(), key=lambda event: (event.onset_s, event.id))
        reported = {known: tuple(ends) for known, ends in self._reported.items()}
        return Heard(tuple(ordered), reported, len(self._looks), (*self.notes, *self._strangers()), self._wall_s,
                     self._separated.tracks, self.mixture, tuple(self._looks),
                     half_sector=self.config.azimuth_resolution / 2)

    def _strangers(self) -> list[str]:
        """A sentence about the true classes that the model cannot name, if there are any."""
        true = {event.label for event in self._bag.events or () if event.label is not None}
        unknown = [printable(label) for label in sorted(true - set(self.config.labels))]
        if not unknown:
            return []
        shown = ", ".join(unknown[:SHOWN]) + (f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else "")
        return [f"true classes that the model does not know, and so cannot name: {shown}"]

    def _hear(self, window: Window) -> None:
        bag, front_end = self._bag, self.config.front_end
        sources = self._hearing(window.samples, self._known)
        self._known = [source.direction for source in sources]
        sounds = self._tracks.update(window.stamp_ns, sources)
        self._events |= {sound.id: self._event(sound) for sound in [*sounds, *self._tracks.ended]}
        start_s = bag.since_start(window.stamp_ns)
        for sound in sounds:
            self._reported[sound.id].append(start_s + front_end.window_s)
        for chunk in self._streams.update(window.stamp_ns, sounds):
            # a copy: a chunk is a part of its whole window
            self._separated.add_source(chunk.sound.id, bag.since_start(chunk.stamp_ns), chunk.samples.copy(),
                                       front_end.sample_rate)
        self._looks.append(Look(start_s, {one.direction: int(np.argmax(one.class_scores)) for one in sources}))

    def _event(self, sound: TrackedSound) -> Event:
        """As a node publishes it and a recorder reads it."""
        config, best = self.config, int(np.argmax(sound.class_scores))
        return Event(
            id=sound.id,
            azimuth=float(np.float32(config.azimuths[sound.direction])),
            label=None if sound.unknown else config.labels[best],
            onset_s=self._bag.since_start(sound.onset_ns),
            duration_s=sound.duration_ns / SECOND,
            score=float(np.float32(sound.class_scores[best])),
        )
