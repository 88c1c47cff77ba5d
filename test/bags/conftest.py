"""A short scene with its truth, and bags of it."""

import json

import numpy as np
import pytest
import soundfile
from two_sounds import RATE, SECONDS, SOUNDS

from seld_overlap_ros.bags.scenes import from_scene
from seld_overlap_ros.bags.writing import write_bag
from seld_overlap_ros.evaluation.truth import stem_file


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


@pytest.fixture
def stems(scene, samples):
    """id -> (n,) of each sound of the scene alone; makes the files beside the scene."""
    alone = {sound["id"]: np.zeros(len(samples), np.float32) for sound in SOUNDS}
    for sound in SOUNDS:
        first, end = (round(RATE * at) for at in (sound["onset_s"], sound["onset_s"] + sound["duration_s"] + 0.2))
        alone[sound["id"]][first:end] = samples[first:end, 0] / 2
        stem_file(scene, sound["id"]).parent.mkdir(exist_ok=True)
        soundfile.write(stem_file(scene, sound["id"]), alone[sound["id"]], RATE, subtype="PCM_24")
    return alone


@pytest.fixture(params=["mcap", "sqlite3"])
def storage(request):
    return request.param


@pytest.fixture
def bag(scene, tmp_path, storage):
    """Path of a bag of the scene."""
    write_bag(tmp_path / "bag", from_scene(scene), storage)
    return tmp_path / "bag"
