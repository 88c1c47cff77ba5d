"""The end of a node's process."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from seld_overlap_ros.graphs import CRASHED, GRAPHS, REFUSED
from seld_overlap_ros.nodes.running import one_line
from seld_overlap_ros.up import command

pytestmark = pytest.mark.ros
IMPATIENT = """
import os, signal, sys, time
from seld_overlap_ros.graphs import NodeKind
from seld_overlap_ros.nodes.running import RunnableNode, run

class Node(RunnableNode):
    def __init__(self):
        super().__init__(NodeKind("node", ()))
        self.create_timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))

    def close(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
            time.sleep(0.1)
        print("closed")

sys.exit(run(Node))
"""


def test_a_second_signal_does_not_cut_the_end_short():
    ended = subprocess.run([sys.executable, "-c", IMPATIENT], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "closed\n")


FAILING = """
import sys
from seld_overlap_ros.graphs import NodeKind
from seld_overlap_ros.nodes.running import Refusal, RunnableNode, run
from seld_overlap_ros.streaming.pcm import AudioError

class Node(RunnableNode):
    def __init__(self):
        super().__init__(NodeKind("node", ()))
        self.create_timer(0.01, self.fail)

    def fail(self):
        raise {}

sys.exit(run(Node))
"""


@pytest.mark.parametrize(("error", "code"), [
    ("Refusal('mend this')", REFUSED), ("AudioError('device', 'mend this')", REFUSED),
    ("ValueError('shapes do not fit')", CRASHED),
])
def test_a_callback_is_refused_what_it_names_and_crashes_for_a_mistake(error, code):
    ended = subprocess.run([sys.executable, "-c", FAILING.format(error)], stderr=subprocess.PIPE, text=True, timeout=60)
    assert ended.returncode == code
    if code == REFUSED:
        [line] = ended.stderr.splitlines()
        assert line.endswith("mend this")
    else:
        assert "Traceback" in ended.stderr and "shapes do not fit" in ended.stderr


def test_what_an_error_says_is_one_line_that_steers_no_terminal():
    assert one_line(ValueError("no topic\n  \x1b[2J/audio")) == "no topic ?[2J/audio"


PARAMETERS = """
import json, sys
from seld_overlap_ros.graphs import FULL_NODE
from seld_overlap_ros.nodes.running import RunnableNode, run

class Node(RunnableNode):
    def __init__(self):
        super().__init__(FULL_NODE)
        print(json.dumps({name: self.value(name) for name in ("model", "hop", "classes", "class_threshold")}))
        self.done.set_result(0)

sys.exit(run(Node))
"""


def test_an_argument_comes_before_the_parameter_file_and_that_before_a_preset(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/**/full_node:\n  ros__parameters: {model: mine, hop: 1.0, classes: door}\n")
    given = {"params_file": str(file), "hop": "0.25"}
    [process] = replace(GRAPHS["full"], presets={"model": "cascade", "class_threshold": "0.3"}).processes(given)
    line = [sys.executable, "-c", PARAMETERS, *command(process)[3:]]
    said = subprocess.run(line, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    assert json.loads(said) == {"model": "mine", "hop": 0.25, "classes": "door", "class_threshold": 0.3}
