"""The demo with its nodes: the shipped scene is heard well by the shipped model, and a node that fails is named."""

import json
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import pytest
import soundfile

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from seld_overlap_ros.demo import DemoError, play
from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.evaluation.matching import match

pytestmark = pytest.mark.ros
SCENE = Path(str(resources.files("seld_overlap_ros") / "scenes" / "demo.flac"))
COMMAND = [sys.executable, "-c", "from seld_overlap_ros.cli import app; app()", "demo"]


def events(path: Path) -> list[Event]:
    return [Event.from_json(entry) for entry in json.loads(path.read_text())]


def test_the_shipped_demo_hears_its_own_scene_without_torch(tmp_path, without_torch):
    out = tmp_path / "demo"
    start = time.monotonic()
    demo = subprocess.run([*COMMAND, "--out", str(out)], capture_output=True, text=True, timeout=110)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert time.monotonic() - start < 90
    assert "is computed by OpenVINO" in (out / "log" / "full_node.log").read_text()
    truth, heard = events(out / "truth.json"), events(out / "events.json")
    matching = match(truth, heard)
    assert matching.found_rate >= 0.8, demo.stdout
    assert matching.named_rate >= 0.6, demo.stdout
    scene = soundfile.info(SCENE)
    for event in heard:
        separated = soundfile.info(next((out / "separated").glob(f"{event.id}_*.wav")))
        assert (separated.channels, separated.samplerate) == (1, scene.samplerate)
    assert (out / "index.html").read_text().count("<audio") > len(matching.pairs)
    assert f"found {len(matching.pairs)} of {len(truth)}, named {len(matching.named)} of {len(truth)}" in demo.stdout
    assert (out / "index.html").as_uri() in demo.stdout
    assert all(f"#{event.id} " in demo.stdout for event in heard)  # the live lines


def test_a_node_that_fails_is_named_with_its_reason(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "events.json").write_text("of an earlier demo")
    with pytest.raises(DemoError, match=r"^full_node ended with exit code 1: no model 'none'"):
        play(SCENE, tmp_path, model="none")
    assert (tmp_path / "notes.txt").read_text() == "mine"
