"""Tiny Debian packages and the manifest rows that point into them."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from seld_overlap_ros.data import fetch

COLUMNS = "class package source source_id split split_by_group group duration licence sha256".split()


@pytest.fixture(name="tone")
def tone_fixture():
    """The function `tone`."""
    return tone


@pytest.fixture(name="write_sound")
def write_sound_fixture():
    """The function `write_sound`."""
    return write_sound


@pytest.fixture(name="row")
def row_fixture():
    """The function `row`."""
    return row


def tone(pitch: float, seconds: float = 0.5, rate: int = 16000) -> np.ndarray:
    """A decaying tone (n,), float32."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.exp(-3 * time) * np.sin(2 * np.pi * pitch * time)).astype(np.float32)


def write_sound(path: Path, samples: np.ndarray, rate: int = 16000) -> Path:
    """Write samples (n,) or (n, M), with the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
    return path


def row(package: str, source: str, label: str = "bell", split: str = "train", **more: str) -> dict[str, str]:
    """A manifest row."""
    return dict.fromkeys(COLUMNS, "") | {
        "class": label, "package": package, "source": source, "split": split, "split_by_group": split,
        "group": source, "duration": "0.5", "licence": "CC0", **more,
    }  # fmt: skip


@pytest.fixture()
def debs(tmp_path) -> Path:
    """Folder with one package, `ding`, of two sounds and a text file that pretends to be a third."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not on this machine")
    root, folder = tmp_path / "root", tmp_path / "debs"
    write_sound(root / "usr/share/ding/high.wav", tone(2000))
    write_sound(root / "usr/share/ding/low.wav", tone(400, rate=44100), 44100)
    (root / "usr/share/ding/text.ogg").write_text("no sound")
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        "Package: ding\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: sounds\n"
    )
    folder.mkdir()
    subprocess.run(["dpkg-deb", "--build", "-Zgzip", root, folder / "ding_1_all.deb"], check=True, capture_output=True)
    return folder


@pytest.fixture()
def manifest(monkeypatch) -> dict[str, list]:
    """What the manifests say for the length of a test: {"sounds": rows, "noise": rows}, to be filled."""
    rows = {"sounds": [], "noise": []}
    monkeypatch.setattr(fetch, "read_manifest", lambda name="sounds": rows[name])
    return rows
