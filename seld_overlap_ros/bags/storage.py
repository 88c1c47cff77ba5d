"""The files of a bag: the messages in them as far as they can be read, and a sentence for each thing that is wrong."""

from __future__ import annotations

import re
import shutil
import weakref
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.storage_mcap import McapReader
from rosbags.typesys.store import Typestore

from seld_overlap_ros.bags.definitions import type_store
from seld_overlap_ros.bags.mending import mend

SUFFIXES = (".mcap", ".db3")


class BagError(ValueError):
    """A bag that cannot be used; the sentence says why."""


class Storage:
    """The messages in the files of a bag, as far as they can be read."""

    def __init__(self, path: Path) -> None:
        self.notes: list[str] = []
        self.name = path.name
        self._files = self._readable(path)
        self.connections: list[Connection] = []
        self.credits: list[str] = []  # what `bag make` wrote of the recordings in it
        for file in self._files:
            with closing(_opened(file)) as reader:
                self.connections += reader.connections
                self.credits += str((reader.storage.metadata.custom or {}).get("credits", "")).splitlines()

    def messages(self, wanted: Sequence[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """Of these topics: topic, time of reception [ns] and content, in order of time where the bag has an index."""
        for file in self._files:
            with closing(_opened(file)) as reader:
                connections = [c for c in reader.connections if any(same(c, one) for one in wanted)]
                try:
                    if connections:
                        yield from _messages(reader, connections)
                except Exception as error:  # rosbags lets through whatever its parsers run into
                    self.note(f"{self.name} is damaged, and what follows there is left out: {short(error)}")

    def types(self, wanted: Sequence[Connection]) -> Typestore:
        """The types of these topics. Raises BagError where the bag defines them in a way that cannot be read."""
        try:
            return type_store(wanted)
        except Exception as error:  # rosbags lets through whatever its parsers run into
            raise BagError(f"{self.name} holds message definitions that cannot be read: {short(error)}") from error

    def _readable(self, path: Path) -> list[Path]:
        """The bag itself where it is whole, else its files, mended."""
        try:
            with closing(_opened(path)):
                return [path]
        except Exception as error:
            reason = short(error)
        inside = sorted(path.iterdir(), key=_numbered) if path.is_dir() else [path]
        if path.is_dir() and not any(file.suffix in SUFFIXES for file in inside) and any(
                file.suffix in SUFFIXES for file in path.rglob("*")):
            raise BagError(f"{path} is a folder of bags: name the bags in it one by one")
        mended = Path(mkdtemp(prefix="seld_overlap_bag_"))
        weakref.finalize(self, shutil.rmtree, mended, ignore_errors=True)
        files = [self._whole(file, mended) for file in inside if file.suffix in SUFFIXES]
        files = [file for file in files if file is not None]
        if not files:
            raise BagError(f"{path} is no bag that can be read: {' '.join(self.notes) or reason}")
        self.note(f"{path.name} is not whole, and what can be read of it is read: {reason}")
        return files

    def _whole(self, file: Path, mended: Path) -> Path | None:
        """The file, or what can be read of it in the folder `mended`; None where that is nothing."""
        for find in (lambda: file, lambda: mend(file, mended)):
            try:
                found = find()
                with closing(_opened(found)):
                    return found
            except Exception as error:
                reason = short(error)
        self.note(f"{file.name} is left out: {reason}")
        return None

    def note(self, sentence: str) -> None:
        """Say it, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)


def _numbered(path: Path) -> list[tuple[str, int]]:
    """What sorts files as they were recorded: bag_2.mcap before bag_10.mcap."""
    return [(word, int(number or 0)) for part in path.parts for word, number in re.findall(r"(\D*)(\d*)", part)]


def _opened(path: Path) -> Reader:
    reader = Reader(path)
    reader.open()
    return reader


def _messages(reader: Reader, connections: list[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
    """rosbags refuses an MCAP without an index whose messages were not written in order of time; here that will do."""
    storage = reader.storage
    unindexed = isinstance(storage, McapReader) and not storage.chunks
    return storage.messages_scan(connections) if unindexed else reader.messages(connections)


def same(one: Connection, other: Connection) -> bool:
    """Whether both are the same topic, in one file of a bag or in several."""
    return (one.topic, one.msgtype) == (other.topic, other.msgtype)


def short(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:300]
