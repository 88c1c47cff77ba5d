"""For ROS's launch: rosbag2 plays a bag to a graph once all its nodes are active, and what they said is scored."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessExit, OnProcessIO
from launch.events.process import ProcessExited, ProcessIO
from launch.substitutions import LaunchConfiguration
from launch_ros.substitutions import ExecutableInPackage

from seld_overlap_ros.graphs import MODEL, find_graph, replay_graphs, replay_processes
from seld_overlap_ros.nodes.launching import Together, to_action
from seld_overlap_ros.nodes.run_recorder import READY

if TYPE_CHECKING:
    from seld_overlap_ros.bags.reading import Bag

CLOCK_HZ = 50
DELAY_S = 3.0  # from when the player has its publishers: it does not look whether they have been found
DEFAULTS = {"graph": "full", "rate": "1.0", "folder": "replay"}
# arguments of graphs and of `evaluate`
HEARING = ("model", "engine", "hop", "direction_threshold", "class_threshold", "channel_map", "classes")


def describe() -> LaunchDescription:
    """Its arguments, and what they ask for. Raises GraphError."""
    known = find_graph("full").arguments()
    described = {
        "bag": "Rosbag with audio and ground truth, as `seld-overlap bag make` leaves it.",
        "graph": f"Graph that hears it: one of {', '.join(replay_graphs())}.",
        "rate": "How many times faster than real time it is played.",
        "folder": "New folder for evaluation.json, its page, and run, the recording of what the graph said.",
        **{name: known[name] for name in HEARING},
    }
    arguments = [DeclareLaunchArgument("bag", description=described.pop("bag"))]
    arguments += [DeclareLaunchArgument(name, default_value=DEFAULTS.get(name, ""), description=text)
                  for name, text in described.items()]
    return LaunchDescription([*arguments, OpaqueFunction(function=_start, args=[("bag", *described)])])


class _WithPlayer(Together):
    """Here the bag's player ends with the nodes, and nothing is scored."""

    def end(self, reason: str) -> list[Action]:
        """What ends all that is launched."""
        return [Shutdown(reason=reason)]


def _start(context: LaunchContext, names: tuple[str, ...]) -> list[Action]:
    given = {name: LaunchConfiguration(name).perform(context) for name in names}
    graph, folder, together = find_graph(given["graph"]), Path(given["folder"]).expanduser(), _WithPlayer()
    bag = _read(Path(given["bag"]).expanduser())
    folder.mkdir(parents=True, exist_ok=True)
    heard = {name: given[name] for name in HEARING if given[name]}
    recorder, *nodes = (to_action(process, graph, together)
                        for process in replay_processes(graph, heard, str(folder / "run")))
    playing = _playing(bag, given["rate"])

    def on_line(event: ProcessIO) -> list[Action] | None:
        return [playing] if READY in event.text.decode(errors="replace") else None

    def on_recorded(event: ProcessExited, context: LaunchContext) -> list[Action]:
        model = heard.get("model") or graph.presets.get("model", MODEL.default)
        return [] if event.returncode or context.is_shutdown else [_evaluation(bag, folder, model, heard)]

    return [
        RegisterEventHandler(OnProcessIO(target_action=recorder, on_stdout=on_line, on_stderr=on_line)),
        RegisterEventHandler(OnProcessExit(target_action=recorder, on_exit=on_recorded)),
        recorder,
        *nodes,
    ]


def _playing(bag: Bag, rate: str) -> Action:
    """rosbag2's player, on whose clock the nodes are, with the bag's audio under the name that they listen to.

    It plays nothing else: a clock in the bag would be a second one, and events in it would be taken for the graph's.
    """

    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action]:
        if not event.returncode or context.is_shutdown:
            return []
        return [Shutdown(reason=f"`ros2 bag play` ended with exit code {event.returncode}: is rosbag2 installed? "
                                f"`seld-overlap evaluate {bag.path} --live` needs none")]

    return ExecuteProcess(
        cmd=["ros2", "bag", "play", str(bag.path), "--rate", rate, "--delay", str(DELAY_S), "--clock", str(CLOCK_HZ),
             "--topics", *bag.heard_topics, "--remap", *(f"{old}:={new}" for old, new in bag.heard_topics.items()),
             "--disable-keyboard-controls"],
        name="ros2_bag_play",
        output="screen",
        on_exit=on_exit,
    )


def _read(path: Path) -> Bag:
    """Raises ValueError if it is none, or if what reads bags is not here: `ros2` runs on a Python of its own."""
    try:
        from seld_overlap_ros.bags.reading import read_bag
    except ImportError as error:
        raise ValueError(f"no {error.name} for the Python that `ros2` runs on ({sys.executable}): let PYTHONPATH name "
                         "the site-packages of the environment that has it, or run "
                         f"`seld-overlap evaluate {path} --live`") from error
    return read_bag(path)


def _evaluation(bag: Bag, folder: Path, model: str, heard: Mapping[str, str]) -> Action:
    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action]:
        return [Shutdown(reason=f"`evaluate` ended with exit code {event.returncode}" if event.returncode else
                         "the bag is evaluated")]

    options = [word for name, value in heard.items() if name != "model"
               for word in (f"--{name.replace('_', '-')}", value)]
    return ExecuteProcess(
        cmd=[ExecutableInPackage("seld-overlap", "seld_overlap"), "evaluate", str(bag.path), "--system", model,
             *options, "--run", str(folder / "run"), "--out", str(folder / "evaluation.json")],
        name="evaluate",
        output="screen",
        on_exit=on_exit,
    )
