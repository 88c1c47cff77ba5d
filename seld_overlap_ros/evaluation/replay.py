"""A bag through the library as `full_node` hears it: windows at a hop, `Hearing`, `Tracks`; the same each time."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seld_overlap_ros.bags.reading import Bag
from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.graphs import FULL_NODE
from seld_overlap_ros.hearing import Hearing
from seld_overlap_ros.messages import SECOND
from seld_overlap_ros.models.engine import Engine
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.tracks import TrackedSound, Tracks

DEFAULTS = {parameter.name: parameter.default for parameter in FULL_NODE.parameters}


@dataclass(frozen=True)
class Settings:
    """The parameters of `full_node` that change what is heard."""

    hop_s: float = DEFAULTS["hop"]
    direction_threshold: float = DEFAULTS["direction_threshold"]
    class_threshold: float = DEFAULTS["class_threshold"]


@dataclass(frozen=True)
class Heard:
    """What a system made of a bag, on the scene's clock."""

    events: tuple[Event, ...]  # the last word about each sound, by onset
    reported_s: dict[int, tuple[float, ...]]  # id -> ends of the windows that reported the sound
    n_windows: int
    notes: tuple[str, ...]  # a sentence for each thing that was wrong with the audio
    wall_s: float  # that it took; nothing else here depends on the machine


def hear(bag: Bag, engine: Engine, settings: Settings, tick: Callable[[], object] = lambda: None) -> Heard:
    """Listen to a whole bag; `tick` is called for each of its chunks."""
    started, config = time.monotonic(), engine.config
    hearing, tracks = Hearing(engine, settings.direction_threshold), Tracks(config, settings.class_threshold)
    notes: list[str] = []
    notices = Notices(notes.append, clock=lambda: 0.0)  # the first of each kind
    known: list[int] = []  # as in full_node, the directions in which a sound was heard last
    events: dict[int, Event] = {}
    reported = defaultdict(list)
    n_windows = 0
    for window in bag.windows(config.front_end, config.array.n_microphones, settings.hop_s, notices, tick):
        sources = hearing(window.samples, known)
        known = [source.direction for source in sources]
        sounds = tracks.update(window.stamp_ns, sources)
        events |= {sound.id: _event(sound, bag, config) for sound in [*sounds, *tracks.ended]}
        end_s = bag.since_start(window.stamp_ns) + config.front_end.window_s
        for sound in sounds:
            reported[sound.id].append(end_s)
        n_windows += 1
    repeated = [f"{kind}: {count} times in all" for kind, count in notices.counts.items() if count > 1]
    ordered = tuple(sorted(events.values(), key=lambda event: (event.onset_s, event.id)))
    return Heard(ordered, {known: tuple(ends) for known, ends in reported.items()}, n_windows, (*notes, *repeated),
                 time.monotonic() - started)


def _event(sound: TrackedSound, bag: Bag, config: SystemConfig) -> Event:
    """As a node publishes it and a recorder reads it."""
    best = int(np.argmax(sound.class_scores))
    return Event(
        id=sound.id,
        azimuth=float(np.float32(config.azimuths[sound.direction])),
        label=None if sound.unknown else config.labels[best],
        onset_s=bag.since_start(sound.onset_ns),
        duration_s=sound.duration_ns / SECOND,
        score=float(np.float32(sound.class_scores[best])),
    )
