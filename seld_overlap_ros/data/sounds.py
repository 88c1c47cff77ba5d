"""Labelled clips of 75 classes and background noise, cut from Debian packages as the manifests say.

`fetch_sounds` fills a folder; `load_clips` and `load_noise` read it. A clip is 16 kHz mono, peak-normalised, with
silence trimmed, and at most WINDOW_S long; on disk it is a 16-bit FLAC listed in `sounds.csv` (`noise.csv`).
"""

from __future__ import annotations

import csv
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr
from scipy import signal

from .containers import ContainerError
from .instruments import InstrumentError
from .packages import PackageError, download_package, extract_files, find_package
from .sources import PackageSources, Row, file_in_package, read_manifest

RATE = 16000
WINDOW_S = 4.192  # 131 hops of 32 ms, the paper's mixture length
NOISE_PIECE_S = 30.0
SILENCE_DB = -42.0  # 10 ms frames this far below the loudest one are silence
USABLE_NOISE = ("crowd", "city", "harbour", "machine", "static")  # the other kinds hold target classes
_RUMBLE = signal.butter(2, 20, "highpass", fs=RATE, output="sos")

Progress = Callable[[str, int, int], None]  # (package at work, clips ready, clips in all)


class SoundsError(RuntimeError):
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


@dataclass
class FetchReport:
    """What `fetch_sounds` did: clips ready, and one sentence for each package or source that is missing."""

    ready: int = 0
    total: int = 0
    changed: list[str] = field(default_factory=list)  # sources whose samples differ from the manifest's SHA-256
    missing: dict[str, str] = field(default_factory=dict)


def fetch_sounds(
    folder: Path,
    *,
    classes: Sequence[str] | None = None,
    packages_folder: Path | None = None,
    progress: Progress | None = None,
) -> FetchReport:
    """Cut every clip of the manifest (of some classes) and the usable noise into a folder; goes on where it stopped.

    Packages are looked for in packages_folder and kept there; without one each is deleted once it is cut.
    Raises SoundsError for an unknown class or when nothing could be made.
    """
    indexes = {name: _Index(folder, name) for name in ("sounds", "noise")}
    jobs = [(indexes["sounds"], row) for row in _wanted_clips(classes)]
    jobs += [(indexes["noise"], row) for row in read_manifest("noise") if row["kind"] in USABLE_NOISE]
    todo = [(index, row) for index, row in jobs if not index.holds(row)]
    report = FetchReport(ready=len(jobs) - len(todo), total=len(jobs))
    for package in dict.fromkeys(row["package"] for _, row in todo):
        mine = [(index, row) for index, row in todo if row["package"] == package]
        if progress:
            progress(package, report.ready, report.total)
        try:
            _cut_package(package, mine, packages_folder or folder / "packages", report)
        except PackageError as error:
            report.missing[package] = str(error)
        for index in indexes.values():
            index.save()
        if packages_folder is None and (deb := find_package(package, folder / "packages")):
            deb.unlink()
    if not report.ready:
        raise SoundsError(f"no clip could be made: {next(iter(report.missing.values()))}")
    return report


def _wanted_clips(classes: Sequence[str] | None) -> list[Row]:
    rows = read_manifest("sounds")
    unknown = set(classes or ()) - {row["class"] for row in rows}
    if unknown:
        raise SoundsError(f"no class is called {', '.join(sorted(unknown))}; the manifest sounds.csv lists all 75.")
    return [row for row in rows if not classes or row["class"] in classes]


def _cut_package(package: str, jobs: list[tuple[_Index, Row]], debs: Path, report: FetchReport) -> None:
    deb = find_package(package, debs) or download_package(package, debs)
    with tempfile.TemporaryDirectory(dir=jobs[0][0].folder) as scratch:
        files = extract_files(deb, {file_in_package(row) for _, row in jobs}, Path(scratch))
        sources = PackageSources(package, files)
        for index, row in jobs:
            try:
                digest = index.add(row, _cut(sources, row))
            except (OSError, ContainerError, InstrumentError, soundfile.LibsndfileError) as error:
                report.missing[row["source"]] = str(error)
                continue
            report.ready += 1
            if row["sha256"] not in ("", digest):
                report.changed.append(row["source"])


def _cut(sources: PackageSources, row: Row) -> np.ndarray:
    """A row's sound as int16 (n,), 16 kHz; noise is neither trimmed nor cut to the window."""
    samples, rate = sources.read(row)
    if "kind" in row:
        return to_pcm(resample(samples[: round(NOISE_PIECE_S * rate)], rate))
    # three windows, so that what is trimmed off the front does not shorten the clip
    head = resample(samples[: round(3 * WINDOW_S * rate)], rate)
    return to_pcm(trim_silence(head)[: round(WINDOW_S * RATE)])


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """Samples (n,) at any rate as (m,) float32 at 16 kHz."""
    return samples if rate == RATE else soxr.resample(samples, rate, RATE).astype(np.float32)


def trim_silence(samples: np.ndarray) -> np.ndarray:
    """Samples (n,) without rumble below 20 Hz, from 10 ms before the first loud 10 ms frame to 20 ms after the last.

    Frames below SILENCE_DB re the loudest one are not loud; digital silence gives an empty array.
    """
    hop = RATE // 100
    # a constant offset (common in 8-bit files) would count as sound
    samples = signal.sosfiltfilt(_RUMBLE, samples).astype(np.float32) if len(samples) > hop else samples
    frames = np.pad(samples, (0, -len(samples) % hop)).reshape(-1, hop)  # (T, hop)
    power = np.mean(frames.astype(np.float64) ** 2, axis=1)
    (loud,) = np.nonzero(power > power.max(initial=0) * 10 ** (SILENCE_DB / 10))
    return samples[max(loud[0] - 1, 0) * hop : (loud[-1] + 3) * hop] if len(loud) else samples[:0]


def to_pcm(samples: np.ndarray) -> np.ndarray:
    """Samples (n,) peak-normalised to int16; raises OSError when they are silent."""
    peak = np.abs(samples).max(initial=0)
    if not np.isfinite(peak) or peak < 1e-6:
        raise OSError("the recording is silent or broken; fetch its package again.")
    return np.round(samples / peak * 32767).astype("<i2")


def _label(row: Row) -> str:
    return row.get("class") or row["kind"]


class _Index:
    """The list of what a folder holds, one CSV row a clip, and the FLAC files beside it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.path = folder, folder / f"{name}.csv"
        self.rows = {row["source"]: row for row in _read_csv(self.path)} if self.path.exists() else {}
        folder.mkdir(parents=True, exist_ok=True)

    def holds(self, row: Row) -> bool:
        """Whether a manifest row's clip is there and was cut for the same SHA-256; takes over changed labels."""
        mine = self.rows.get(row["source"])
        if mine is None or mine["sha256"] != row["sha256"] or not (self.folder / mine["file"]).exists():
            return False
        if _label(mine) != _label(row):
            return False  # the class is part of the path
        mine.update(row)
        return True

    def add(self, row: Row, pcm: np.ndarray) -> str:
        """Write a clip, list it and return its SHA-256, taken over the little-endian 16-bit samples."""
        name = hashlib.sha256(row["source"].encode()).hexdigest()[:12]
        file = Path(self.path.stem, _label(row), f"{name}.flac")
        (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(self.folder / file, pcm, RATE, subtype="PCM_16")
        digest = hashlib.sha256(pcm.tobytes()).hexdigest()
        self.rows[row["source"]] = {**row, "file": file.as_posix(), "sha256_here": digest, "samples": str(len(pcm))}
        return digest

    def keep_only(self, rows: Iterable[Row]) -> None:
        """Forget clips that the manifest no longer lists."""
        listed = {row["source"] for row in rows}
        self.rows = {source: row for source, row in self.rows.items() if source in listed}

    def save(self) -> None:
        """Write the list in one step, so that a stopped run leaves a whole one."""
        if not self.rows:
            return
        columns = list(dict.fromkeys(key for row in self.rows.values() for key in row))
        partial = self.path.with_suffix(".part")
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows.values())
        os.replace(partial, self.path)


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
        for row, samples in zip(rows, _read_all(folder, rows))
    ]


def load_noise(folder: Path, split: str | None = None, kinds: Iterable[str] | None = None) -> list[NoiseClip]:
    """Background recordings of a folder, of one split ("train" or "test") and some kinds; raises SoundsError."""
    wanted = set(USABLE_NOISE if kinds is None else kinds)
    rows = [
        row for row in _read_csv(folder / "noise.csv") if row["kind"] in wanted and split in (None, row["split"])
    ]
    return [
        NoiseClip(row["kind"], row["source"], row["split"], row["licence"], samples)
        for row, samples in zip(rows, _read_all(folder, rows))
    ]


def _read_all(folder: Path, rows: list[Row]) -> list[np.ndarray]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda row: _read_flac(folder / row["file"]), rows))


def _read_flac(path: Path) -> np.ndarray:
    try:
        pcm, _ = soundfile.read(path, dtype="int16")
    except soundfile.LibsndfileError as error:
        raise SoundsError(f"{path} cannot be read; delete it and run `seld-overlap data sounds` again.") from error
    return pcm.astype(np.float32) / 32767


def _read_csv(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        raise SoundsError(f"{path} is missing; run `seld-overlap data sounds` to fetch the sounds.")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
