"""The full graph, as `seld-overlap up` and as the launch file start it: the same nodes, which hear the same file."""

import importlib.util
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from seld_overlap.msg import SoundEventArray  # noqa: E402

pytestmark = pytest.mark.ros
HAS_LAUNCH = all(importlib.util.find_spec(name) for name in ("launch", "launch_ros"))
LIMIT_S = 100.0  # two processes load their libraries, and one of them torch


@pytest.fixture
def ear():
    """A node in a context of its own."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("ear", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    yield node, executor
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_both_nodes_come_and_hear_the_file_and_end_when_told_to(starter, ear, model, tmp_path):
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (3 * 16000, 8))
    soundfile.write(tmp_path / "scene.wav", noise, 16000)
    node, executor = ear
    heard, names, deadline = [], set(), time.monotonic() + LIMIT_S
    node.create_subscription(SoundEventArray, "/audio/events", heard.append, 50)
    given = [f"file:={tmp_path / 'scene.wav'}", f"model:={model}", "namespace:=audio", "frame_id:=head", "hop:=1"]
    line = [*starter("full"), *given]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            while not heard:
                assert process.poll() is None and time.monotonic() < deadline
                executor.spin_once(timeout_sec=0.1)
                names |= set(node.get_node_names_and_namespaces())
        finally:
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=LIMIT_S)[0]
    assert {("full_node", "/audio"), ("scene_player", "/audio")} <= names
    assert len(heard[0].events) == 2
    assert heard[0].header.frame_id == "head"
    assert "playing" in said
    assert "Traceback" not in said


LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "full.launch.py"
BESIDE = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import ExecuteProcess, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
robot = ExecuteProcess(cmd=[sys.executable, "-u", "-c", "import time; time.sleep(15); print('the robot drives on')"],
                       output="screen")
ears = IncludeLaunchDescription(PythonLaunchDescriptionSource(sys.argv[1]),
                                launch_arguments=[argument.split(":=", 1) for argument in sys.argv[2:]])
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([robot, ears]))
sys.exit(service.run())
"""


@pytest.mark.skipif(not HAS_LAUNCH, reason="ROS's launch and launch_ros are not here")
def test_a_graph_that_ends_ends_nothing_that_is_launched_beside_it(model):
    line = [sys.executable, "-c", BESIDE, str(LAUNCH_FILE), "file:=nowhere.wav", f"model:={model}"]
    ended = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S)
    assert "nowhere.wav cannot be played" in ended.stdout
    assert ended.stdout.index("so the graph ends") < ended.stdout.index("the robot drives on")


def test_a_player_that_fails_ends_the_other(starter, model):
    line = [*starter("full"), "file:=nowhere.wav", f"model:={model}"]
    ended = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S)
    assert "nowhere.wav cannot be played" in ended.stdout
    assert "scene_player" in ended.stdout
    assert "exit code 1" in ended.stdout
