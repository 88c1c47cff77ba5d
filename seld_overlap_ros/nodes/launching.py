"""A graph for ROS's launch, from the one description of it that `seld-overlap up` starts as well."""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, EmitEvent, LogInfo, OpaqueFunction
from launch.events.process import ProcessExited, ShutdownProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from seld_overlap_ros.graphs import Graph, Process, find_graph
from seld_overlap_ros.up import END_S, Ends, enclave, fast_dds


def describe(name: str) -> LaunchDescription:
    """The graph of that name: its arguments, and the nodes that they ask for. Raises GraphError."""
    graph = find_graph(name)
    arguments = [
        DeclareLaunchArgument(argument, default_value="", description=description)
        for argument, description in graph.arguments().items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_start_nodes, args=[graph])])


def _start_nodes(context: LaunchContext, graph: Graph) -> list[Node]:
    """Only now is it known which arguments were given; the others are left to the parameter file and the nodes."""
    given = {name: LaunchConfiguration(name).perform(context) for name in graph.arguments()}
    together = Together()
    return [to_action(process, graph, together) for process in graph.processes(given)]


class Together:
    """The nodes of a graph. Where one refuses, all of them end, and nothing else that was launched beside them."""

    def __init__(self) -> None:
        self.ends = Ends()
        self.nodes: list[Node] = []
        self.are_ending = False

    def end(self, reason: str) -> list[Action]:
        """What ends them."""
        self.are_ending = True
        return [LogInfo(msg=reason), EmitEvent(event=ShutdownProcess(process_matcher=lambda node: node in self.nodes))]


def to_action(process: Process, graph: Graph, together: Together) -> Node:
    """What starts a process, and starts it again after a crash."""

    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action]:
        """`respawn` would start again what has refused or has come to its end, too."""
        if context.is_shutdown or together.are_ending:
            return []
        verdict, sentence = together.ends.judge(process.node.name, event.returncode)
        if verdict == "again":
            return [to_action(process, graph, together)]
        if verdict == "all" or process.node.name == graph.ends_with:
            return together.end(sentence or f"{process.node.name} has ended")
        return []

    node = Node(
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
    together.nodes.append(node)
    return node
