"""The other package that is called audio_common_msgs is recognised."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")


@pytest.mark.parametrize("node", ["full_node", "scene_player", "event_recorder"])
def test_the_other_audio_common_msgs_ends_in_a_sentence(tmp_path, node):
    package = tmp_path / "audio_common_msgs"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "msg.py").write_text("class AudioStamped: ...\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    line = [sys.executable, "-m", f"seld_overlap_ros.nodes.{node}"]
    done = subprocess.run(line, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "ros-drivers/audio_common are needed" in done.stderr
    assert "Traceback" not in done.stderr
