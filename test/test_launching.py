"""What the launch files ask of ROS's launch, which not every machine has. Here it is only asked; test/nodes runs it."""

import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest

from seld_overlap_ros.graphs import CRASHED, GRAPHS, REFUSED

LAUNCHING = "seld_overlap_ros.nodes.launching"
STOOD_IN_FOR = ("launch", "launch.action", "launch.actions", "launch.events", "launch.events.process",
                "launch.substitutions", "launch_ros", "launch_ros.actions")


class Asked:
    """A class of launch that keeps what it was made of."""

    def __init__(self, *args, **given):
        self.args, self.given = args, given

    def perform(self, context):
        """Of LaunchConfiguration: the value of an argument."""
        return context.arguments[self.args[0]]


class Context:
    """Of a launch, with arguments as they were typed."""

    is_shutdown = False

    def __init__(self, description, typed):
        declared = [each for each in description.args[0] if type(each).__name__ == "DeclareLaunchArgument"]
        self.arguments = {each.args[0]: each.given["default_value"] for each in declared} | typed


@pytest.fixture
def actions(monkeypatch):
    """What a graph's launch file comes to: `actions(graph, name=value, ...)` -> its context and its nodes."""
    for name in STOOD_IN_FOR:
        module = ModuleType(name)
        module.__getattr__ = lambda kind: type(kind, (Asked,), {})
        monkeypatch.setitem(sys.modules, name, module)
    sys.modules.pop(LAUNCHING, None)

    def asked(graph, **typed):
        path = Path(__file__).parents[1] / "launch" / f"{graph}.launch.py"
        description = runpy.run_path(str(path))["generate_launch_description"]()
        context, start = Context(description, typed), description.args[0][-1]
        return context, start.given["function"](context, *start.given["args"])

    yield asked
    sys.modules.pop(LAUNCHING, None)


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_launch_file_starts_what_up_starts(actions, graph, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/**: {ros__parameters: {engine: torch}}")
    for typed in ({}, {"hop": "1", "namespace": "audio", "params_file": str(file)}, {"device": "default"}):
        _, nodes = actions(graph, **typed)
        processes = GRAPHS[graph].processes(typed)
        assert [node.given["name"] for node in nodes] == [process.node.name for process in processes]
        for node, process in zip(nodes, processes, strict=True):
            wanted = [source for source in (process.params_file, process.parameters) if source]
            assert (node.given["parameters"], node.given["namespace"]) == (wanted, process.namespace)
            assert (node.given["package"], node.given["executable"]) == ("seld_overlap", process.node.program)


def test_a_node_that_crashes_is_started_again_and_one_that_refuses_ends_the_others(actions):
    context, [ssl_node, *_, ssc_node] = actions("cascade")
    event = Asked()
    event.returncode = CRASHED
    [again] = ssl_node.given["on_exit"](event, context)
    assert (again.given["name"], again.given["parameters"]) == ("ssl_node", ssl_node.given["parameters"])
    event.returncode = 0
    assert ssc_node.given["on_exit"](event, context) == []
    event.returncode = REFUSED
    said, end = ssc_node.given["on_exit"](event, context)
    assert said.given["msg"] == "ssc_node ended with exit code 1, so the graph ends"
    matches = end.given["event"].given["process_matcher"]
    assert matches(again) and matches(ssc_node) and not matches(Asked())
    assert again.given["on_exit"](event, context) == []  # they are ending
