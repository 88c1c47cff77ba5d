"""Many mixtures on disk, memory-mapped: 16-bit samples in two arrays, and the truth in one JSON line each."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

from seld_overlap_ros.config import MicrophoneArray
from seld_overlap_ros.simulation.fresh import FreshMixtures
from seld_overlap_ros.simulation.mixture import MAX_SOURCES, Event, Scene

FULL_SCALE = 32767


@dataclass(frozen=True)
class MixtureStore:
    """N stored mixtures: mixtures (N, M, n) and stems (N, MAX_SOURCES, n), int16; `truth[i]` as in `Scene`."""

    array: MicrophoneArray
    azimuths: tuple[float, ...]  # centre of each direction [rad]
    labels: tuple[str, ...]  # every class that it was drawn from
    mixtures: np.ndarray
    stems: np.ndarray
    truth: list[dict]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def content(self) -> str:
        """What was drawn, and for which array, in short: other mixtures have another.

        Not the samples, whose last bits differ from processor to processor.
        """
        about = [self.array.positions, self.azimuths, self.truth]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]

    @property
    def recordings(self) -> list[str]:
        """The recording of each of its S sources, in their order."""
        return [event["clip"] for truth in self.truth for event in truth["events"]]

    @property
    def sources(self) -> set[str]:
        """The recordings that are in it."""
        return set(self.recordings)

    def __getitem__(self, index: int) -> Scene:
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
        about = json.loads((folder / "about.json").read_text())
        array = MicrophoneArray(tuple(map(tuple, about["positions"])))
        truth = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
        mixtures, stems = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("mixtures", "stems"))
        return cls(array, tuple(about["azimuths"]), tuple(about["labels"]), mixtures, stems, truth)


def check_space(folder: Path, drawn: Mapping[str, FreshMixtures]) -> None:
    """Raises ValueError where the disk has no room for these stores, by their names in `folder`.

    Said in time, as a mapped file that the disk cannot hold ends the process without a word.
    """
    needed = sum(len(fresh) * (fresh.bank.array.n_microphones + MAX_SOURCES) * fresh.n_samples * np.int16().nbytes
                 for fresh in drawn.values())
    replaced = sum(file.stat().st_blocks * 512 for name in drawn for file in (folder / name).glob("*.npy"))
    free = shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists())).free
    if needed > free + replaced:
        raise ValueError(f"the mixtures take {needed / 1e9:.3g} GB, and {(free + replaced) / 1e9:.3g} GB are free for "
                         f"{folder}: make room, or fewer of them (`--train`, `--val`, `--test`)")


def make_store(folder: Path, fresh: FreshMixtures, workers: int = 0, track: Callable = iter) -> MixtureStore:
    """Draw mixtures in so many processes and store them: the same bits whatever their number.

    `track` wraps the iterable of scenes (progress bars).
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "truth.jsonl").unlink(missing_ok=True)  # it is written last and says that the store is whole
    about = {"positions": fresh.bank.array.positions, "azimuths": fresh.bank.azimuths, "labels": sorted(fresh.clips)}
    (folder / "about.json").write_text(json.dumps(about))
    open_array = np.lib.format.open_memmap
    n, n_mics = len(fresh), fresh.bank.array.n_microphones
    mixtures = open_array(folder / "mixtures.npy", "w+", np.int16, (n, n_mics, fresh.n_samples))
    stems = open_array(folder / "stems.npy", "w+", np.int16, (n, MAX_SOURCES, fresh.n_samples))
    lines = []
    for index, scene in enumerate(track(DataLoader(fresh, batch_size=None, num_workers=workers))):
        mixtures[index] = np.round(scene.mixture * FULL_SCALE)
        # stems can add up to less than full scale and still exceed it one by one
        stems[index, : len(scene.stems)] = np.clip(np.round(scene.stems * FULL_SCALE), -FULL_SCALE, FULL_SCALE)
        truth = {"snr_db": scene.snr_db, "room": scene.room, "events": [asdict(event) for event in scene.events]}
        lines.append(json.dumps(truth))
    mixtures.flush()
    stems.flush()
    (folder / "truth.jsonl").write_text("\n".join(lines) + "\n")
    return MixtureStore.load(folder)
