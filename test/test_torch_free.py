"""A robot needs no torch: what it runs is imported without it, and hears a sound file to its events."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import soundfile

from seld_overlap_ros.streaming.sources import find_scene

PACKAGE = Path(__file__).parents[1] / "seld_overlap_ros"
FOLDERS = [".", "bags", "dsp", "streaming", *(["nodes"] if find_spec("rclpy") else [])]
ELSEWHERE = {"data_card", "listening", "launching", "launching_replay"}  # about training data; of ROS's launch
MODULES = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for folder in FOLDERS
           for path in (PACKAGE / folder).glob("*.py") if path.stem not in ELSEWHERE]
HEAR = """
import importlib, json, sys
import numpy as np, soundfile
from seld_overlap_ros.hearing import Hearing
from seld_overlap_ros.models.engine import DEFAULT_MODEL, load_engine
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.stream import AudioStream
from seld_overlap_ros.streaming.tracks import Tracks
for name in sys.argv[3:]:
    importlib.import_module(name)
engine = load_engine(DEFAULT_MODEL, sys.argv[1])
samples, rate = soundfile.read(sys.argv[2], dtype="float32", always_2d=True)
hearing, tracks, heard = Hearing(engine), Tracks(engine.config), {}
for window in AudioStream(engine.config.front_end, 8, 0.5, Notices(print)).push(0, samples, rate):
    for sound in tracks.update(window.stamp_ns, hearing(window.samples)):
        heard[sound.id] = engine.config.labels[int(sound.class_scores.argmax())]
print(json.dumps([engine.title, sorted(heard.values()), "torch" in sys.modules]))
"""


def hear(engine: str, file: Path) -> subprocess.CompletedProcess:
    line = [sys.executable, "-c", HEAR, engine, str(file), *MODULES]
    return subprocess.run(line, capture_output=True, text=True, env=os.environ | {"HOME": str(file.parent)})


@pytest.fixture
def wav(tmp_path) -> Path:
    """The first seconds of the shipped scene."""
    samples, rate = soundfile.read(find_scene("demo"), dtype="float32", stop=6 * 16000)
    soundfile.write(tmp_path / "scene.wav", samples, rate)
    return tmp_path / "scene.wav"


def test_from_a_wav_file_to_events_without_torch(wav, without_torch):
    done = hear("auto", wav)
    assert done.returncode == 0, done.stderr
    title, labels, has_torch = json.loads(done.stdout)
    assert title.startswith("OpenVINO") and not has_torch
    assert len(labels) >= 2
    assert not (wav.parent / "intel").exists()  # OpenVINO's telemetry would keep its number of this machine there
    assert "there is no torch here" in hear("torch", wav).stderr  # or the check would show nothing


@pytest.mark.parametrize("words", [("score",), ("train",), ("bag", "make", ".", "bag")])
def test_a_command_that_needs_what_training_needs_says_so_in_a_sentence(tmp_path, words):
    code = "import sys; sys.modules['torch'] = None; from seld_overlap_ros.cli import app; app()"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert f"seld-overlap {words[0]}: this needs torch, which a robot is set up without: run" in done.stderr


@pytest.mark.parametrize("plots", ["", ",matplotlib,PIL"], ids=["with matplotlib", "without matplotlib"])
def test_without_what_training_needs_every_test_that_is_left_can_be_imported(plots):
    """As in a ROS workspace, where README.md installs none of it; matplotlib comes with ROS's own plots."""
    collect = "import sys; sys.modules.update(dict.fromkeys(sys.argv[1].split(','))); import pytest; " \
              "sys.exit(pytest.main(['--collect-only', '-q', '-p', 'no:cacheprovider', *sys.argv[2:]]))"
    without = f"torch,lightning,torchmetrics,tensorboard,pyroomacoustics,rclpy{plots}"
    done = subprocess.run([sys.executable, "-c", collect, without, str(PACKAGE.parent / "test")], capture_output=True,
                          text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "test_cli_bag.py" in done.stdout and "test_variants.py" not in done.stdout
