"""A folder of sounds: 16-bit FLAC files of 16 kHz mono, and the lists of them, `sounds.csv` and `noise.csv`.

`data.fetch` fills it from Debian packages, `data.corpora` from a user's own recordings; everything else reads it here.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from .cutting import RATE
from .sources import Row

OWN_NOISE = "own"  # kind of the background recordings that a user brings
USABLE_NOISE = ("crowd", "city", "harbour", "machine", "static", OWN_NOISE)  # the other kinds hold target classes


class SoundsError(ValueError):
    """Sounds that cannot be fetched or read; the message is one sentence with the way out."""


@dataclass(frozen=True)
class Clip:
    """One labelled sound: samples (n,) float32, 16 kHz mono, peak 1."""

    label: str
    split: str
    group: str
    source: str
    licence: str
    samples: np.ndarray


@dataclass(frozen=True)
class NoiseClip:
    """One background recording: samples (n,) float32, 16 kHz mono, peak 1."""

    kind: str
    source: str
    split: str
    licence: str
    samples: np.ndarray


def _label(row: Row) -> str:
    return row.get("class") or row["kind"]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While this lasts, no other command writes the lists of a folder. Raises SoundsError where one does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SoundsError(f"another command is filling {folder}; wait until it has ended.") from error
        yield


class Index:
    """The list of what a folder holds, one CSV row a clip, and the FLAC files beside it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.path = folder, folder / f"{name}.csv"
        self.rows = {row["source"]: row for row in _read_csv(self.path)} if self.path.exists() else {}
        folder.mkdir(parents=True, exist_ok=True)

    def holds(self, row: Row) -> bool:
        """Whether a manifest row's clip is there and was cut for the same SHA-256; takes over changed labels."""
        mine = self.rows.get(row["source"])
        if mine is None or not (self.folder / mine["file"]).exists():
            return False
        if row["sha256"] not in (mine["sha256"], mine["sha256_here"]):
            return False
        if _label(mine) != _label(row):
            return False  # the class is part of the path
        mine.update(row)
        return True

    def add(self, row: Row, pcm: np.ndarray) -> str:
        """Write a clip, list it and return its SHA-256, taken over the little-endian 16-bit samples.

        Raises OSError where it cannot be written.
        """
        name = hashlib.sha256(row["source"].encode()).hexdigest()[:12]
        file = Path(self.path.stem, _label(row), f"{name}.flac")
        (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
        _write_whole(self.folder / file, pcm)
        digest = hashlib.sha256(pcm.tobytes()).hexdigest()
        self.rows[row["source"]] = {**row, "file": file.as_posix(), "sha256_here": digest, "samples": str(len(pcm))}
        return digest

    def keep_only(self, rows: Iterable[Row]) -> None:
        """Forget clips of packages that the manifest no longer lists; a user's own, of no package, stay."""
        listed = {row["source"] for row in rows}
        self.rows = {source: row for source, row in self.rows.items() if source in listed or not row["package"]}

    def sort(self, sources: Sequence[str]) -> None:
        """List the clips in the order of these sources; those of others come last, in the order they have.

        Mixtures are drawn by it, so it is to be the same whatever came first.
        """
        self.rows = {source: self.rows[source] for source in (*sources, *self.rows) if source in self.rows}

    def save(self) -> None:
        """Write the list in one step, so that a stopped run leaves a whole one."""
        if not self.rows:
            self.path.unlink(missing_ok=True)
            return
        columns = list(dict.fromkeys(key for row in self.rows.values() for key in row))
        partial = self.path.with_suffix(".part")
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows.values())
        partial.replace(self.path)


def load_clips(
    folder: Path, split: str | None = None, by_group: bool = False, classes: Iterable[str] | None = None
) -> list[Clip]:
    """Clips of a folder, of one split ("train", "val", "test"; by_group: the harder one); raises SoundsError."""
    column = "split_by_group" if by_group else "split"
    wanted = None if classes is None else set(classes)
    rows = [
        row
        for row in _read_csv(folder / "sounds.csv")
        # classes too small to split by group, and takes that would cross it, have an empty split there
        if row[column] and split in (None, row[column]) and (wanted is None or row["class"] in wanted)
    ]
    return [
        Clip(row["class"], row[column], row["group"], row["source"], row["licence"], samples)
        for row, samples in zip(rows, _read_all(folder, rows), strict=True)
    ]


def series_in_training(folder: Path) -> dict[str, bool]:
    """Recording -> whether training has others of its class and series (takes, kit, preset, speaker).

    Raises SoundsError.
    """
    rows = _read_csv(folder / "sounds.csv")
    trained = {(row["class"], row["group"]) for row in rows if row["split"] == "train" and row["group"]}
    return {row["source"]: (row["class"], row["group"]) in trained for row in rows}


def load_noise(folder: Path, split: str | None = None) -> list[NoiseClip]:
    """Background recordings of a folder, of one split ("train" or "test"); raises SoundsError."""
    rows = [
        row for row in _read_csv(folder / "noise.csv") if row["kind"] in USABLE_NOISE and split in (None, row["split"])
    ]
    return [
        NoiseClip(row["kind"], row["source"], row["split"], row["licence"], samples)
        for row, samples in zip(rows, _read_all(folder, rows), strict=True)
    ]


def _read_all(folder: Path, rows: list[Row]) -> list[np.ndarray]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda row: _read_flac(folder / row["file"]), rows))


def _write_whole(path: Path, pcm: np.ndarray) -> None:
    """A FLAC file, whole or not at all: where a disk is full, libsndfile does not always say so. Raises OSError."""
    unfinished = path.with_suffix(".part")
    try:
        soundfile.write(unfinished, pcm, RATE, subtype="PCM_16", format="FLAC")
        if soundfile.info(unfinished).frames != len(pcm):
            raise OSError(f"{path} cannot be written whole: is the disk full?")
    except soundfile.LibsndfileError as error:
        raise OSError(f"{path} cannot be written ({error.error_string.rstrip('.')}): is the disk full?") from error
    unfinished.replace(path)


def _read_flac(path: Path) -> np.ndarray:
    try:
        pcm, _ = soundfile.read(path, dtype="int16")
    except (soundfile.LibsndfileError, ValueError) as error:  # a ValueError of a file that is cut off
        raise SoundsError(f"{path} cannot be read; delete it and run again what it came by: `seld-overlap data sounds` "
                          "or `data import`.") from error
    return pcm.astype(np.float32) / 32767


def _read_csv(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        raise SoundsError(f"{path} is missing; run `seld-overlap data sounds` to fetch the sounds, or `data "
                          "import`.")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
