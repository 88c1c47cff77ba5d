"""Containers of game packages: each kind made by hand from its format, read back, and refused when damaged."""

import gzip
import struct
import zipfile
import zlib

import pytest

from seld_overlap_ros.data.containers import ContainerError, open_container
from seld_overlap_ros.data.sources import PackageSources, file_in_package

FILES = {"a.wav": b"first sound", "deep/b.wav": b"second sound" * 50}


def write_zip(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)


def write_rcc(path, version=2, flags=1):
    """Nodes: root (2 children), a.wav packed as the flags say, folder `deep` (1 child), b.wav plain."""
    names, name_at = b"", {}
    for name in ("a.wav", "deep", "b.wav"):
        name_at[name] = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    first, second = FILES["a.wav"], FILES["deep/b.wav"]
    packed = struct.pack(">I", len(first)) + zlib.compress(first)
    blocks = struct.pack(">I", len(packed)) + packed + struct.pack(">I", len(second)) + second
    time = b"" if version == 1 else bytes(8)
    tree = b"".join(
        struct.pack(">IHII", *node) + time
        for node in ((0, 2, 2, 1), (name_at["a.wav"], flags, 0, 0), (name_at["deep"], 2, 1, 3),
                     (name_at["b.wav"], 0, 0, 4 + len(packed)))
    )  # fmt: skip
    head = struct.pack(">4I", version, 20, 20 + len(tree), 20 + len(tree) + len(blocks))
    path.write_bytes(b"qres" + head + tree + blocks + names)


def scramble(head):
    """As OpenClonk does: bytes 0 and 2 of each three swapped, then XOR 237."""
    mixed = bytearray(head)
    for at in range(0, len(mixed) - 2, 3):
        mixed[at], mixed[at + 2] = mixed[at + 2], mixed[at]
    return bytes(value ^ 237 for value in mixed)


def group(entries):
    """A group of (name, data, is a group itself)."""
    head = struct.pack("<28s2i", b"RedWolf Design GrpFolder", 1, 2).ljust(36, b"\0") + struct.pack("<i", len(entries))
    table, body = b"", b""
    for name, data, is_group in entries:
        entry = name.encode().ljust(264, b"\0") + struct.pack("<4i", is_group, len(data), 0, len(body))
        table, body = table + entry.ljust(316, b"\0"), body + data
    return scramble(head.ljust(204, b"\0")) + table + body


def write_group(path):
    inner = group([("b.wav", FILES["deep/b.wav"], 0)])
    packed = gzip.compress(group([("a.wav", FILES["a.wav"], 0), ("deep", inner, 1)]))
    path.write_bytes(b"\x1e\x8c" + packed[2:])


def write_catalogue(path):
    table, body = b"", b""
    for data in FILES.values():
        entry = b"\x07credit\0" + data
        table += struct.pack("<2I", 8 * len(FILES) + len(body), len(data))
        body += entry
    path.write_bytes(table + body)


@pytest.mark.parametrize("write, name", [(write_zip, "x.zip"), (write_rcc, "x.rcc"), (write_group, "x.ocg")])
def test_members_come_out_by_name(tmp_path, write, name):
    write(tmp_path / name)
    members = open_container(tmp_path / name)
    assert {member: read() for member, read in members.items()} == FILES


def test_first_version_of_qt_resources_has_shorter_nodes(tmp_path):
    write_rcc(tmp_path / "x.rcc", version=1)
    assert {member: read() for member, read in open_container(tmp_path / "x.rcc").items()} == FILES


def test_catalogue_members_are_numbered(tmp_path):
    write_catalogue(tmp_path / "x.cat")
    members = open_container(tmp_path / "x.cat")
    assert {name: read() for name, read in members.items()} == {
        "00.wav": FILES["a.wav"], "01.wav": FILES["deep/b.wav"],
    }  # fmt: skip


def test_unknown_file_is_named(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"anything")
    with pytest.raises(ContainerError, match="x.bin is no zip, Qt resource"):
        open_container(tmp_path / "x.bin")


@pytest.mark.parametrize("write, name", [(write_zip, "x.zip"), (write_rcc, "x.rcc"), (write_group, "x.ocg")])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_cut_off_container_is_refused(tmp_path, write, name, share):
    write(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: max(4, round(share * len(content)))])
    with pytest.raises(ContainerError, match=f"{name} is damaged"):
        open_container(tmp_path / name)


def test_zstd_in_a_qt_resource_is_said(tmp_path):
    write_rcc(tmp_path / "x.rcc", flags=4)
    with pytest.raises(ContainerError, match="packed with zstd"):
        open_container(tmp_path / "x.rcc")["a.wav"]()


def test_damaged_member_is_refused_when_it_is_read(tmp_path, row):
    path = tmp_path / "0snd.pk3"
    write_zip(path)
    content = bytearray(path.read_bytes())
    at = content.index(b"a.wav") + len("a.wav")
    content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    wanted = row("ufoai-sound", "ufoai-sound/un/a.wav")
    sources = PackageSources("ufoai-sound", {file_in_package(wanted): path})
    with pytest.raises(ContainerError, match="a.wav is damaged .* fetch its package again"):
        sources.read(wanted)


def test_member_that_is_not_there_is_named(tmp_path, row):
    write_zip(tmp_path / "0snd.pk3")
    wanted = row("ufoai-sound", "ufoai-sound/un/gone.wav")
    sources = PackageSources("ufoai-sound", {file_in_package(wanted): tmp_path / "0snd.pk3"})
    with pytest.raises(FileNotFoundError, match="ufoai-sound holds no gone.wav"):
        sources.read(wanted)


@pytest.mark.parametrize(
    "package, source, file",
    [
        ("ding", "ding/usr/a.wav", "usr/a.wav"),
        ("ding", "ding/usr/a.wav @12.2s", "usr/a.wav"),
        ("freepats", "freepats/usr/b.pat sample 3 name +2st", "usr/b.pat"),
        ("fluid-soundfont-gm", "bank 0 prog 1 note 60 vel 110 sample X", "usr/share/sounds/sf2/FluidR3_GM.sf2"),
    ],
)
def test_each_way_of_naming_a_source_leads_to_its_file(row, package, source, file):
    assert file_in_package(row(package, source)) == file


def test_source_in_an_unknown_container_is_named(row):
    with pytest.raises(ValueError, match="no container of ding holds a.wav; add it to manifests/containers.csv"):
        file_in_package(row("ding", "ding/un/a.wav"))
