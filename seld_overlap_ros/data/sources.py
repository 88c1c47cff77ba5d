"""Where a manifest row's sound lies in its package, and how it is read: plain file, container member or note.

A row's `source` reads `PACKAGE/path`, `PACKAGE/un/path in a container`, either with ` @12.2s` for a piece of a long
file; `....pat sample N name` for a GUS patch, with ` +3st` when it is played 3 semitones up; `bank B prog P note K vel
V sample NAME` for a soundfont. A note lasts as long as the row's `duration` says.
"""

from __future__ import annotations

import csv
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import soundfile

from .containers import ContainerError, open_container
from .instruments import Envelope, InstrumentError, play, read_patch
from .soundfonts import SoundFont

Row = Mapping[str, str]
_PIECE = re.compile(r"(?P<path>.+?)(?: @(?P<start>[\d.]+)s)?")
_PATCH = re.compile(r"(?P<path>.+\.pat) sample (?P<number>\d+).*?(?: (?P<shift>[+-]\d+)st)?")
_NOTE = re.compile(r"bank (?P<bank>\d+) prog (?P<prog>\d+) note (?P<note>\d+) vel (?P<vel>\d+) sample (?P<name>.*)")


def read_manifest(name: str = "sounds") -> list[Row]:
    """Rows of a manifest shipped with the package: "sounds", "noise" or "containers"."""
    text = resources.files(__package__).joinpath(f"manifests/{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


@lru_cache(maxsize=1)
def _containers() -> list[Row]:
    return read_manifest("containers")


def file_in_package(row: Row) -> str:
    """Path, within its package, of the file that holds a row's sound; raises ValueError."""
    package, source = row["package"], row["source"]
    inner = source.removeprefix(f"{package}/")
    if inner == source or inner.startswith("un/"):
        return _container(package, inner.removeprefix("un/"))["file"]
    patch = _PATCH.fullmatch(inner)
    return patch["path"] if patch else _PIECE.fullmatch(inner)["path"]


def _container(package: str, inner: str) -> Row:
    for holder in _containers():
        if holder["package"] == package and inner.startswith(holder["prefix"]):
            return holder
    raise ValueError(f"no container of {package} holds {inner}; add it to manifests/containers.csv.")


class PackageSources:
    """Reads the sounds of one package from its extracted files (path in the package to path on disk)."""

    def __init__(self, package: str, files: Mapping[str, Path]) -> None:
        self.package = package
        self._files = files
        self._soundfonts = lru_cache(maxsize=None)(SoundFont)
        self._patches = lru_cache(maxsize=None)(read_patch)
        self._containers = lru_cache(maxsize=None)(open_container)
        self._decoded = lru_cache(maxsize=2)(self._decode)  # the pieces of a long file follow each other

    def read(self, row: Row) -> tuple[np.ndarray, int]:
        """A row's sound as ((n,) float32 mono, rate).

        Raises OSError, ContainerError or InstrumentError, with one sentence that says what to do.
        """
        path = file_in_package(row)
        if path not in self._files:
            raise FileNotFoundError(f"{self.package} holds no {path} in this version.")
        inner = row["source"].removeprefix(f"{self.package}/")
        if note := _NOTE.fullmatch(inner):
            return self._note(self._files[path], note, float(row["duration"]))
        if patch := _PATCH.fullmatch(inner):
            return self._patch(self._files[path], patch, float(row["duration"]))
        piece = _PIECE.fullmatch(inner)
        samples, rate = self._decoded(path, piece["path"])
        return samples[round(float(piece["start"] or 0) * rate) :], rate

    def _decode(self, path: str, inner: str) -> tuple[np.ndarray, int]:
        file = self._files[path] if not inner.startswith("un/") else io.BytesIO(self._member(path, inner))
        try:
            samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            reason = error.error_string.rstrip(".")
            raise OSError(f"{inner} cannot be decoded ({reason}); fetch its package again.") from error
        return samples.mean(axis=1), rate

    def _member(self, path: str, inner: str) -> bytes:
        inner = inner.removeprefix("un/")
        name = inner.removeprefix(_container(self.package, inner)["prefix"])
        members = self._containers(self._files[path])
        if name not in members:
            raise FileNotFoundError(f"{self.package} holds no {name} in {path} in this version.")
        try:
            return members[name]()
        except (zipfile.BadZipFile, zlib.error, struct.error, IndexError) as error:
            raise ContainerError(f"{inner} is damaged ({error}); fetch its package again.") from error

    def _patch(self, path: Path, patch: re.Match[str], length_s: float) -> tuple[np.ndarray, int]:
        samples = self._patches(path)
        number = int(patch["number"])
        if number >= len(samples):
            raise InstrumentError(f"{path.name} holds no sample {number}.")
        return play(samples[number], float(patch["shift"] or 0), Envelope(), length_s), round(samples[number].rate)

    def _note(self, path: Path, note: re.Match[str], length_s: float) -> tuple[np.ndarray, int]:
        font, key, velocity = self._soundfonts(path), int(note["note"]), int(note["vel"])
        for zone in font.zones(int(note["bank"]), int(note["prog"])):
            if zone.sounds(key, velocity) and font.sample_name(zone.sample) == note["name"]:
                return font.play(zone, key, length_s)
        raise InstrumentError(f"{path.name} has no zone for {note.group()}.")
