"""Archives that game packages keep their sounds in: zip, Qt resources, OpenTTD catalogues, OpenClonk groups."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

Members = Mapping[str, Callable[[], bytes]]


class ContainerError(ValueError):
    """A container that cannot be read."""


def open_container(path: Path) -> Members:
    """Members of an archive by name, each a function that reads its bytes; raises ContainerError."""
    with path.open("rb") as file:
        magic = file.read(4)
    try:
        if magic[:2] == b"PK":
            return _zip_members(path)
        if magic == b"qres":
            return _rcc_members(path.read_bytes())
        if magic[:2] in (b"\x1e\x8c", b"\x1f\x8b"):
            return _group_members(path.read_bytes())
        if path.suffix == ".cat":
            return _catalogue_members(path.read_bytes())
    except (struct.error, zlib.error, zipfile.BadZipFile, IndexError, UnicodeDecodeError) as error:
        raise ContainerError(f"{path.name} is damaged ({error}); fetch its package again.") from error
    raise ContainerError(f"{path.name} is no zip, Qt resource, OpenTTD catalogue or OpenClonk group.")


def _zip_members(path: Path) -> Members:
    archive = zipfile.ZipFile(path)
    return {name: partial(archive.read, name) for name in archive.namelist()}


def _rcc_members(data: bytes) -> Members:
    """Qt binary resources (rcc format versions 1 to 3): a tree of big-endian nodes, names and data blocks."""
    version, tree, blocks, names = struct.unpack_from(">4I", data, 4)
    node_size = 14 if version == 1 else 22

    def walk(first: int, count: int, prefix: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
        for node in range(first, first + count):
            name_at, flags, low, high = struct.unpack_from(">IHII", data, tree + node * node_size)
            name = prefix + _rcc_name(data, names + name_at)
            if flags & 2:
                yield from walk(high, low, name + "/")
            else:
                yield name, partial(_rcc_block, data, blocks + high, flags)

    _, _, count, first = struct.unpack_from(">IHII", data, tree)
    return dict(walk(first, count, ""))


def _rcc_name(data: bytes, at: int) -> str:
    (length,) = struct.unpack_from(">H", data, at)
    return data[at + 6 : at + 6 + 2 * length].decode("utf-16-be")


def _rcc_block(data: bytes, at: int, flags: int) -> bytes:
    (size,) = struct.unpack_from(">I", data, at)
    block = data[at + 4 : at + 4 + size]
    if flags & 4:
        raise ContainerError("a Qt resource is packed with zstd, which is not read here.")
    return zlib.decompress(block[4:]) if flags & 1 else block


def _catalogue_members(data: bytes) -> Members:
    """OpenTTD sample catalogue: (offset, size) pairs; each entry is a length byte, a credit line and a RIFF file."""
    count = (struct.unpack_from("<I", data)[0] & 0x7FFFFFFF) // 8
    members = {}
    for number in range(count):
        offset, size = struct.unpack_from("<2I", data, 8 * number)
        start = (offset & 0x7FFFFFFF) + 1 + data[offset & 0x7FFFFFFF]
        members[f"{number:02d}.wav"] = partial(data.__getitem__, slice(start, start + size))
    return members


def _group_members(packed: bytes) -> Members:
    """OpenClonk group: gzip under another magic number, then a scrambled head and fixed-size entries."""
    data = zlib.decompress(b"\x1f\x8b" + packed[2:], wbits=31)
    return dict(_walk_group(data, 0, ""))


_GROUP_HEAD, _GROUP_ENTRY = 204, 316


def _walk_group(data: bytes, at: int, prefix: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
    head = _unscramble(data[at : at + _GROUP_HEAD])
    if not head.startswith(b"RedWolf Design GrpFolder"):
        raise ContainerError("an OpenClonk group has an unknown head; fetch its package again.")
    (count,) = struct.unpack_from("<i", head, 36)
    base = at + _GROUP_HEAD + count * _GROUP_ENTRY
    for number in range(count):
        entry = at + _GROUP_HEAD + number * _GROUP_ENTRY
        name = prefix + data[entry : entry + 260].split(b"\0")[0].decode("latin-1")
        is_group, size, _, offset = struct.unpack_from("<4i", data, entry + 264)
        if is_group:
            yield from _walk_group(data, base + offset, name + "/")
        else:
            yield name, partial(data.__getitem__, slice(base + offset, base + offset + size))


def _unscramble(head: bytes) -> bytes:
    """Undo OpenClonk's MemScramble: every byte XOR 237, then bytes 0 and 2 of each three swapped."""
    plain = bytearray(value ^ 237 for value in head)
    plain[0:-2:3], plain[2::3] = plain[2::3], plain[0:-2:3]
    return bytes(plain)
