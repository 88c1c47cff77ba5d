"""The overlapped system with a node a stage: SSL, two SSS, the gate, SSC; with `file` or `device`, a player.

`ros2 launch seld_overlap stages.launch.py --show-args` lists the arguments. What is started and what may be set stands
in seld_overlap_ros/graphs.py, which `seld-overlap up stages` starts as well.
"""

from launch import LaunchDescription

from seld_overlap_ros.nodes.launching import describe


def generate_launch_description() -> LaunchDescription:
    return describe("stages")
