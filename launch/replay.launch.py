"""A bag played by rosbag2 to a graph, on the bag's clock; then its scores, live and offline, as a page and as JSON.

`ros2 launch seld_overlap replay.launch.py bag:=FOLDER`; `--show-args` lists the arguments. Where rosbag2 is not
installed, `seld-overlap evaluate BAG --live` does the same with a player of its own.
"""

from launch import LaunchDescription

from seld_overlap_ros.nodes.launching_replay import describe


def generate_launch_description() -> LaunchDescription:
    return describe()
