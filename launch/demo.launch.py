"""The shipped scene, one node that hears it, and one that shows what it hears and leaves it in a folder.

`ros2 launch seld_overlap demo.launch.py --show-args` lists the arguments. What is started and what may be set stands
in seld_overlap_ros/graphs.py, which `seld-overlap up demo` starts as well.
"""

from launch import LaunchDescription

from seld_overlap_ros.nodes.launching import describe


def generate_launch_description() -> LaunchDescription:
    return describe("demo")
