"""Many mixtures on disk, memory-mapped: 16-bit samples in two arrays, and the truth in one JSON line each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from seld_overlap_ros.simulation.mixture import MAX_SOURCES, Clip, Event, Scene, draw_scene
from seld_overlap_ros.simulation.rooms import RoomBank, scene_rng

FULL_SCALE = 32767


@dataclass(frozen=True)
class MixtureStore:
    """N stored mixtures: mixtures (N, M, n) and stems (N, MAX_SOURCES, n), int16; `truth[i]` as in `Scene`."""

    mixtures: np.ndarray
    stems: np.ndarray
    truth: list[dict]

    def __len__(self) -> int:
        return len(self.truth)

    def scene(self, index: int) -> Scene:
        """One mixture as it was drawn, to 16 bits."""
        truth = self.truth[index]
        events = tuple(Event(**event) for event in truth["events"])
        mixture = self.mixtures[index].astype(np.float32) / FULL_SCALE
        stems = self.stems[index, : len(events)].astype(np.float32) / FULL_SCALE
        return Scene(mixture, stems, events, truth["snr_db"], truth["room"])

    @classmethod
    def load(cls, folder: Path) -> MixtureStore:
        """Open a store. Raises FileNotFoundError that says how to make one."""
        if not (folder / "truth.jsonl").is_file():
            raise FileNotFoundError(f"no stored mixtures in {folder}: make them with `seld-overlap data mix`")
        truth = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
        return cls(np.load(folder / "mixtures.npy", mmap_mode="r"), np.load(folder / "stems.npy", mmap_mode="r"), truth)


def make_store(folder: Path, split: str, n_mixtures: int, clips: dict[str, Sequence[Clip]], bank: RoomBank,
               noises: Sequence[np.ndarray], n_samples: int, track: Callable = iter) -> MixtureStore:
    """Draw and store the first n mixtures of a split. `track` wraps the iterable of indices (progress bars)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "truth.jsonl").unlink(missing_ok=True)  # it is written last and says that the store is whole
    open_array = np.lib.format.open_memmap
    n_mics = bank.array.n_microphones
    mixtures = open_array(folder / "mixtures.npy", "w+", np.int16, (n_mixtures, n_mics, n_samples))
    stems = open_array(folder / "stems.npy", "w+", np.int16, (n_mixtures, MAX_SOURCES, n_samples))
    lines = []
    for index in track(range(n_mixtures)):
        scene = draw_scene(scene_rng("mixture", split, index), clips, bank, noises, n_samples)
        mixtures[index] = np.round(scene.mixture * FULL_SCALE)
        # stems can add up to less than full scale and still exceed it one by one
        stems[index, : len(scene.stems)] = np.clip(np.round(scene.stems * FULL_SCALE), -FULL_SCALE, FULL_SCALE)
        truth = {"snr_db": scene.snr_db, "room": scene.room, "events": [asdict(event) for event in scene.events]}
        lines.append(json.dumps(truth))
    mixtures.flush()
    stems.flush()
    (folder / "truth.jsonl").write_text("\n".join(lines) + "\n")
    return MixtureStore.load(folder)
