"""A short scene with its truth, and bags of it."""

import json

import numpy as np
import pytest
import soundfile
from two_sounds import RATE, SECONDS, SOUNDS

from seld_overlap_ros.bags.scenes import from_scene
from seld_overlap_ros.bags.writing import write_bag


@pytest.fixture
def samples():
    """(n, 8), to 16 bits, so that S16LE and FLAC lose nothing."""
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (SECONDS * RATE, 8))
    return (np.rint(noise * 2**15) / 2**15).astype(np.float32)


@pytest.fixture
def scene(tmp_path, samples):
    soundfile.write(tmp_path / "scene.flac", samples, RATE, subtype="PCM_16")
    sounds = [{**sound, "source": "a.wav", "licence": "CC0"} for sound in SOUNDS]
    (tmp_path / "scene.json").write_text(json.dumps({"title": "Two sounds", "events": sounds, "noise": []}))
    return tmp_path / "scene.flac"


@pytest.fixture(params=["mcap", "sqlite3"])
def storage(request):
    return request.param


@pytest.fixture
def bag(scene, tmp_path, storage):
    """Path of a bag of the scene."""
    write_bag(tmp_path / "bag", from_scene(scene), storage)
    return tmp_path / "bag"
