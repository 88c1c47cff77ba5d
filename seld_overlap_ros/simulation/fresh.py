"""Mixtures drawn when they are asked for: what a store is made from, and what training takes without one."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.data.sounds import load_clips
from seld_overlap_ros.simulation.mixture import Clip, Scene, draw_scene
from seld_overlap_ros.simulation.noise import NoiseBank
from seld_overlap_ros.simulation.rooms import RoomBank, scene_rng


@dataclass(frozen=True)
class FreshMixtures:
    """N mixtures. Mixture i depends on (key, i) only, whatever the order or the number of workers."""

    key: str  # the split, and the pass where every pass has its own
    n_mixtures: int
    clips: dict[str, Sequence[Clip]]  # of each class
    bank: RoomBank
    noise: NoiseBank
    n_samples: int
    varied: bool = False  # each as the array hears it in a turn of its own, clips a little faster or slower

    def __len__(self) -> int:
        return self.n_mixtures

    def __getitem__(self, index: int) -> Scene:
        if not 0 <= index < self.n_mixtures:
            raise IndexError(index)
        rng = scene_rng("mixture", self.key, index)
        return draw_scene(rng, self.clips, self.bank, self.noise, self.n_samples, self.varied)

    @property
    def sources(self) -> set[str]:
        """The recordings that it draws from."""
        return {clip.source for clips in self.clips.values() for clip in clips}

    @property
    def content(self) -> str:
        """What it draws from, in short: other clips, rooms or arrays have another."""
        clips = sorted((label, clip.source, len(clip.samples)) for label, own in self.clips.items() for clip in own)
        rooms = [asdict(room) for room in self.bank.rooms]
        return hashlib.sha256(json.dumps([clips, rooms, self.bank.array.positions]).encode()).hexdigest()[:16]

    def of(self, *key: str | int) -> FreshMixtures:
        """As many others, for one pass of one training, say."""
        return replace(self, key="/".join(map(str, (self.key, *key))))


def load_fresh(folder: Path, split: str, n_mixtures: int, labels: Sequence[str] = ()) -> FreshMixtures:
    """Mixtures of the clips, rooms and noise of a split in a data folder (`sounds`, `rooms/SPLIT`); of all classes
    where none is named. Those of "anechoic" are of the clips of "test".

    Raises FileNotFoundError or SoundsError that says what to make first, and ValueError for a class without clips
    and for noise of another array.
    """
    heard, clips = "test" if split == "anechoic" else split, defaultdict(list)
    for clip in load_clips(folder / "sounds", heard, classes=labels or None):
        clips[clip.label].append(clip)
    if silent := sorted(set(labels) - set(clips)):
        raise ValueError(f"no {heard} clips of {', '.join(silent)}: "
                         "add recordings of them to the sounds folder, or name other classes")
    rooms = folder / "rooms" / split
    bank, noise = RoomBank.load(rooms), NoiseBank.load(rooms)
    if noise.tracks.shape[1] != bank.array.n_microphones:
        raise ValueError(f"the noise in {rooms} is of another array than the rooms: run `seld-overlap data rooms` "
                         "again, to its end")
    return FreshMixtures(split, n_mixtures, dict(clips), bank, noise, FrontEnd().window_samples)
