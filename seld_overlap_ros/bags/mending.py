"""Storage files of a bag whose end is missing, as a recorder leaves them that is killed: what is whole is copied."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from contextlib import closing, suppress
from pathlib import Path

MAGIC = b"\x89MCAP0\r\n"
DATA_END, FOOTER = 0x0F, 2  # opcodes
TABLES = {"schema", "metadata", "topics", "message_definitions", "messages"}  # of rosbag2's sqlite3 storage
RECORD = struct.Struct("<BQ")  # opcode and length
END = RECORD.pack(DATA_END, 4) + bytes(4) + RECORD.pack(FOOTER, 20) + bytes(20) + MAGIC  # without index and summary


def mend(path: Path, into: Path) -> Path:
    """Copy what can be read of an .mcap or .db3 file into a folder. Raises ValueError if that is nothing."""
    copy = into / path.name
    try:
        (_mend_mcap if path.suffix == ".mcap" else _mend_sqlite)(path, copy)
    except (OSError, sqlite3.Error, struct.error) as error:
        raise ValueError(f"{path.name} cannot be read at all ({error})") from error
    return copy


def _mend_mcap(path: Path, copy: Path) -> None:
    """Whole records up to the first that is cut, with an end put after them."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise OSError("it is no MCAP file")
        end = len(MAGIC)
        while len(start := file.read(RECORD.size)) == RECORD.size:
            opcode, length = RECORD.unpack(start)
            if opcode in (DATA_END, FOOTER, 0) or end + RECORD.size + length > size:
                break
            end = file.seek(end + RECORD.size + length)
        file.seek(0)
        with copy.open("wb") as mended:
            shutil.copyfileobj(_First(file, end), mended)
            mended.write(END)


class _First:
    """The first bytes of a file, to be read."""

    def __init__(self, file: object, n_bytes: int) -> None:
        self._file, self._left = file, n_bytes

    def read(self, n_bytes: int) -> bytes:
        data = self._file.read(min(n_bytes, self._left))
        self._left -= len(data)
        return data


def _mend_sqlite(path: Path, copy: Path) -> None:
    """Whole rows of each table up to the first that cannot be read."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as old, \
            closing(sqlite3.connect(copy)) as new:
        old.execute("PRAGMA writable_schema = ON")  # else SQLite refuses a file that has fewer pages than it says
        definition = dict(old.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        for name in TABLES & definition.keys():
            new.execute(definition[name])
            with suppress(sqlite3.DatabaseError):  # the first row may lie beyond the end already, as that of metadata
                for row in old.execute(f'SELECT * FROM "{name}"'):
                    new.execute(f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(row))})', row)
        new.commit()
