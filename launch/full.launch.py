"""One node that localizes, separates and classifies; with file:= or device:=, also the node that plays to it.

`ros2 launch seld_overlap full.launch.py --show-args` lists the arguments. What is started and what may be set stands
in seld_overlap_ros/graphs.py, which `seld-overlap up full` starts as well.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from seld_overlap_ros.graphs import GRAPHS, Process

GRAPH = GRAPHS["full"]


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value="", description=description)
        for name, description in GRAPH.arguments().items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start_nodes)])


def start_nodes(context: LaunchContext) -> list[Node]:
    """Only now is it known which arguments were given; the others are left to the parameter file and the nodes."""
    given = {name: LaunchConfiguration(name).perform(context) for name in GRAPH.arguments()}
    return [node(process) for process in GRAPH.processes(given)]


def node(process: Process) -> Node:
    return Node(
        package="seld_overlap",
        executable=process.node.name,
        name=process.node.name,
        namespace=process.namespace,
        parameters=[source for source in (process.params_file, process.parameters) if source],
        output="screen",
        on_exit=end_all_after_a_failure,
    )


def end_all_after_a_failure(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    if not event.returncode:
        return None
    return Shutdown(reason=f"{event.process_name} ended with exit code {event.returncode}")
