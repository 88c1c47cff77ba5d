"""A system of one SSS with a node a stage: SSL, SSS, SSC; with `file` or `device`, also the node that plays.

`ros2 launch seld_overlap cascade.launch.py --show-args` lists the arguments. What is started and what may be set stands
in seld_overlap_ros/graphs.py, which `seld-overlap up cascade` starts as well.
"""

from launch import LaunchDescription

from seld_overlap_ros.nodes.launching import describe


def generate_launch_description() -> LaunchDescription:
    return describe("cascade")
