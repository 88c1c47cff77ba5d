"""The shipped scene as a bag, heard by the library and by real nodes over DDS: the same events, the same scores."""

import json
import os
import subprocess
import sys

import pytest
import soundfile
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from typer.testing import CliRunner

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from seld_overlap_ros.bags.definitions import type_store  # noqa: E402
from seld_overlap_ros.cli import app  # noqa: E402
from seld_overlap_ros.models.engine import DEFAULT_MODEL  # noqa: E402
from seld_overlap_ros.streaming.sources import find_scene  # noqa: E402

pytestmark = pytest.mark.ros
SECONDS, LIMIT_S = 8, 250.0
PLAYER = """\
#!/bin/sh
# In place of rosbag2's player, whose options are: bag play BAG --rate RATE ...
[ "$1 $2 $4" = "bag play --rate" ] || exit 3
echo "$*" > {said}
exec {python} -m seld_overlap_ros.nodes.bag_player --ros-args -p bag:="$3" -p rate:="$5"
"""


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """The beginning of the demo's scene."""
    folder = tmp_path_factory.mktemp("scene")
    samples, rate = soundfile.read(find_scene("demo"), dtype="float32", stop=SECONDS * 16000)
    soundfile.write(folder / "scene.flac", samples, rate, subtype="PCM_16")
    (folder / "scene.json").write_text(find_scene("demo").with_suffix(".json").read_text())
    made = CliRunner().invoke(app, ["bag", "make", str(folder / "scene.flac"), str(folder / "bag")])
    assert made.exit_code == 0, made.output
    return folder / "bag"


@pytest.fixture
def bag_of_a_robot(bag, tmp_path):
    """The same in a namespace."""
    with Reader(bag) as reader, Writer(tmp_path / "robot", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        made = {one.topic: writer.add_connection(f"/robot{one.topic}", one.msgtype,
                                                 typestore=type_store(reader.connections))
                for one in reader.connections}
        for connection, ns, raw in reader.messages():
            writer.write(made[connection.topic], ns, raw)
    return tmp_path / "robot"


def same(result: dict) -> None:
    """Of each system, live is as offline in every score."""
    offline, live = (result["systems"][name]["all"] for name in (DEFAULT_MODEL, f"{DEFAULT_MODEL}, live"))
    numbers = {score for score, value in offline.items() if isinstance(value, float)}
    assert [live[score] for score in numbers] == pytest.approx([offline[score] for score in numbers], abs=0.02)
    assert offline["found"] > 0.5
    [run] = result["live"][f"{DEFAULT_MODEL}, live"]
    assert run["differences"] == [] and run["dropped_s"] == []
    assert run["n_heard"] == run["n_expected"] == len(result["run_time"][f"{DEFAULT_MODEL}, live"]["latency_s"]) > 8


def test_live_is_as_offline(bag, tmp_path):
    words = ["evaluate", bag, "--live", "--rate", 0, "--classes", "organ,saxophone", "--out", tmp_path / "scores.json"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert f"{DEFAULT_MODEL}, live, bag: " in done.output and "events as offline" in done.output
    result = json.loads((tmp_path / "scores.json").read_text())
    same(result)
    bags = [bag for system in result["systems"].values() for bag in system["heard"]]
    heard = {event["label"] for bag in bags for event in bag["events"]}
    assert heard == {"organ", "saxophone"}


def test_a_graph_that_cannot_hear_the_bag_is_told_in_a_sentence(bag, tmp_path, cascade_model):
    words = ["evaluate", bag, "--live", "--graph", "stages", "--system", cascade_model, "--hop", 2,
             "--out", tmp_path / "scores.json"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 2
    assert ("bag cannot be heard by cascade, live, and counts for the other systems alone: bag could not be played to "
            "the graph stages") in done.output
    assert "Traceback" not in done.output
    result = json.loads((tmp_path / "scores.json").read_text())
    assert result["systems"]["cascade"]["all"]["n"] and not result["systems"]["cascade, live"]["all"]["n"]


@pytest.mark.parametrize("starter", ["launch"], indirect=True)
def test_the_launch_file_plays_records_and_scores(starter, bag_of_a_robot, tmp_path, monkeypatch):
    """With a stand-in for rosbag2's player, to which the audio is told out of its namespace."""
    pytest.importorskip("launch_ros", reason="ROS's launch and launch_ros are not here")
    player = tmp_path / "bin" / "ros2"
    player.parent.mkdir()
    player.write_text(PLAYER.format(python=sys.executable, said=tmp_path / "said"))
    player.chmod(0o755)
    monkeypatch.setenv("PATH", f"{player.parent}{os.pathsep}{os.environ['PATH']}")
    line = [*starter("replay"), f"bag:={bag_of_a_robot}", "hop:=0.5", "rate:=0.0", f"folder:={tmp_path / 'replay'}"]
    ended = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S)
    assert "events as offline" in ended.stdout and "Traceback" not in ended.stdout, ended.stdout
    same(json.loads((tmp_path / "replay" / "evaluation.json").read_text()))
    assert ("--topics /robot/audio_stamped /robot/audio_info --remap /robot/audio_stamped:=/audio_stamped "
            "/robot/audio_info:=/audio_info --") in (tmp_path / "said").read_text()
