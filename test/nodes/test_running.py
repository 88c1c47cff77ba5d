"""The end of a node's process."""

import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

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
