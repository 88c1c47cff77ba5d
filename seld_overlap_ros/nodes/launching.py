"""A graph for ROS's launch, from the one description of it that `seld-overlap up` starts as well."""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from seld_overlap_ros.graphs import Graph, Process, find_graph
from seld_overlap_ros.up import END_S, Ends, enclave, fast_dds


def describe(name: str) -> LaunchDescription:
    """The graph of that name: its arguments, and the nodes that they ask for. Raises GraphError."""
    graph = find_graph(name)
    arguments = [
        DeclareLaunchArgument(argument, default_value=graph.presets.get(argument, ""), description=description)
        for argument, description in graph.arguments().items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_start_nodes, args=[graph])])


def _start_nodes(context: LaunchContext, graph: Graph) -> list[Node]:
    """Only now is it known which arguments were given; the others are left to the parameter file and the nodes."""
    given = {name: LaunchConfiguration(name).perform(context) for name in graph.arguments()}
    ends = Ends()
    return [to_action(process, graph, ends) for process in graph.processes(given)]


def to_action(process: Process, graph: Graph, ends: Ends) -> Node:
    """What starts a process, and starts it again after a crash."""

    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action]:
        """`respawn` would start again what has refused or has come to its end, too."""
        if context.is_shutdown:
            return []
        verdict, sentence = ends.judge(process.node.name, event.returncode)
        if verdict == "again":
            return [to_action(process, graph, ends)]
        if verdict == "all" or process.node.name == graph.ends_with:
            return [Shutdown(reason=sentence or f"{process.node.name} has ended")]
        return []

    return Node(
        package="seld_overlap",
        executable=process.node.program,
        name=process.node.name,
        namespace=process.namespace,
        parameters=[source for source in (process.params_file, process.parameters) if source],
        additional_env=fast_dds(),
        ros_arguments=enclave(process.node.name) or None,
        output="screen",
        sigterm_timeout=str(END_S),
        on_exit=on_exit,
    )
