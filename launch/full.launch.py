"""One node that localizes, separates and classifies; with `file` or `device`, also the node that plays to it.

`ros2 launch seld_overlap full.launch.py --show-args` lists the arguments. What is started and what may be set stands
in seld_overlap_ros/graphs.py, which `seld-overlap up full` starts as well.
"""

from launch import LaunchDescription

from seld_overlap_ros.nodes.launching import describe


def generate_launch_description() -> LaunchDescription:
    return describe("full")
