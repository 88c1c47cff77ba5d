"""The demo without its nodes: the report from a recording, a private network, and a folder that is not harmed."""

import importlib.util
import json
import math
import socket

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from seld_overlap_ros import demo
from seld_overlap_ros.cli import app
from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.evaluation.matching import match
from seld_overlap_ros.evaluation.recording import Recording
from seld_overlap_ros.evaluation.truth import load_truth

RATE = 16000
SOUND = {"azimuth_deg": 92.0, "label": "dog_bark", "onset_s": 1.5, "duration_s": 0.75, "source": "x", "licence": "CC0"}


@pytest.fixture
def scene(tmp_path):
    """A scene of 3 s with two sounds, and an empty folder `out` beside it."""
    samples = 0.1 * np.random.default_rng(0).standard_normal((3 * RATE, 8))
    soundfile.write(tmp_path / "scene.flac", samples, RATE)
    (tmp_path / "scene.json").write_text(json.dumps({
        "title": "Two sounds", "room": {"size_m": [6, 5, 3], "t60_s": 0.3}, "snr_db": 15, "noise": [],
        "events": [{"id": 1, **SOUND}, {"id": 2, **SOUND, "azimuth_deg": 0.0, "label": "speech", "onset_s": 0.5}]}))
    (tmp_path / "out").mkdir()
    return tmp_path / "scene.flac"


def test_the_report_holds_a_recording_against_the_truth(scene, tmp_path):
    out, truth = tmp_path / "out", load_truth(tmp_path / "scene.json")
    recording = Recording()
    recording.begin(0.0)
    recording.add_event(Event(5, math.pi / 2, "dog_bark", 1.5, 0.75, 0.9))
    recording.add_source(5, 0.0, np.zeros(3 * RATE, np.float32), RATE)
    recording.write(out)
    matching = demo.report(scene, truth, out)
    assert (matching.found_rate, matching.named_rate) == (0.5, 0.5)
    assert [entry["id"] for entry in json.loads((out / "truth.json").read_text())] == [2, 1]
    page = (out / "index.html").read_text()
    assert "<h1>Two sounds</h1>" in page and "8 microphones, 3 s: 2 sounds of 2 classes" in page
    assert page.count("<audio") == 2


def test_a_recording_of_nothing_still_makes_a_report(scene, tmp_path):
    Recording().write(tmp_path / "out")
    matching = demo.report(scene, load_truth(tmp_path / "scene.json"), tmp_path / "out")
    assert (matching.found_rate, len(matching.missed)) == (0.0, 2)
    assert (tmp_path / "out" / "index.html").read_text().count("<audio") == 1


def test_what_the_nodes_warned_of(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "full_node.log").write_text(
        "[INFO] [17.5] [full_node]: listening\n[WARN] [18.5] [full_node]: a window is left out: set a longer hop\n")
    assert demo.warnings(tmp_path) == ["full_node: a window is left out: set a longer hop"]


@pytest.mark.parametrize("offset", [0, 10, 13], ids=["where all meet", "the first node's", "the second node's"])
def test_the_domain_is_one_that_nobody_uses(monkeypatch, offset):
    monkeypatch.setattr(demo, "DOMAINS", range(98, 100))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 7400 + 250 * 98 + offset))
        assert {demo.free_domain() for _ in range(10)} == {99}
        monkeypatch.setattr(demo, "DOMAINS", range(98, 99))
        with pytest.raises(demo.DemoError, match="in use on this machine"):
            demo.free_domain()


def test_without_ros_the_way_out_is_said(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(demo.DemoError, match=r"^no rclpy and no seld_overlap .*: run `make setup`, and then `source"):
        demo.play(scene, tmp_path / "out")


@pytest.mark.parametrize("name", ["scene.flac", "scene.json"])
def test_a_broken_scene_is_named(scene, tmp_path, monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    (tmp_path / name).write_bytes(b"no such thing")
    with pytest.raises(demo.DemoError, match=name.replace(".", r"\.")):
        demo.play(scene, tmp_path / "out")


def test_a_log_folder_of_somebody_else_is_left_alone(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "NEEDED", ())
    (tmp_path / "out" / "log").mkdir()
    (tmp_path / "out" / "log" / "build.log").touch()
    with pytest.raises(demo.DemoError, match="another folder with --out"):
        demo.play(scene, tmp_path / "out")
    assert (tmp_path / "out" / "log" / "build.log").exists()


def test_separated_sounds_of_somebody_else_are_left_alone(tmp_path):
    (tmp_path / "separated").mkdir()
    (tmp_path / "separated" / "mine.wav").touch()
    with pytest.raises(demo.DemoError, match="separated is not a demo's: give another folder with --out"):
        demo._clear(tmp_path)
    assert (tmp_path / "separated" / "mine.wav").exists()


@pytest.mark.parametrize("names", [["log/full_node.log", "separated/1_a.wav"], ["events.json", "separated/1_a.wav"]])
def test_what_an_earlier_demo_left_is_taken_away(tmp_path, names):
    for name in [*names, "notes.txt"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    for _ in range(2):  # the second time over what a demo leaves that ends before its nodes start
        demo._clear(tmp_path)
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["log", "notes.txt"]


def test_the_command_tells_the_outcome_and_where_to_look(tmp_path, monkeypatch):
    def play(scene, out, engine, classes):
        assert {event.label for event in load_truth(scene.with_suffix(".json")).events} < set(classes.split(","))
        (out / "log").mkdir(parents=True)
        (out / "log" / "full_node.log").write_text("[WARN] [1.5] [full_node]: a window is left out\n")
        return match([Event(1, 0.0, "speech", 0.5, 1.0)], [Event(4, 0.1, "speech", 0.6, 1.0, 0.9)])

    monkeypatch.setattr(demo, "play", play)
    out = tmp_path / "a folder whose name is so long that it would not fit into one line of eighty letters"
    said = CliRunner().invoke(app, ["demo", "--out", str(out)])
    assert said.exit_code == 0, said.output
    lines = said.output.splitlines()
    assert ["0.5", "s", "speech", "↑", "front", "0°", "speech", "↑", "6°", "90", "%", "found,", "named"] in [
        line.split() for line in lines]
    assert "In all: found 1 of 1, named 1 of 1, 0 heard that were not there." in lines
    assert "full_node: a window is left out" in lines
    assert f"Look and listen: open {(out / 'index.html').as_uri()} in a browser." in lines


def test_the_command_fails_in_one_sentence(tmp_path, monkeypatch):
    def play(scene, out, engine, classes):
        raise demo.DemoError("full_node ended with exit code 1: no model [here]")

    monkeypatch.setattr(demo, "play", play)
    said = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert said.exit_code == 1
    assert said.stderr.splitlines() == ["seld-overlap demo: full_node ended with exit code 1: no model [here]"]
