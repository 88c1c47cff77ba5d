"""Looks at a running graph for some seconds and says why nothing comes out of it: `seld-overlap doctor`."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import GetState
from rclpy.client import Client
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.task import Future
from rich.console import Console
from seld_overlap.msg import SoundEventArray

from seld_overlap_ros.doctor import Endpoint, Mismatch, Snapshot, diagnose, is_managed, table
from seld_overlap_ros.messages import AUDIO_KINDS
from seld_overlap_ros.nodes.audio_messages import message_type
from seld_overlap_ros.nodes.diagnostics import OURS, TOPIC, from_message
from seld_overlap_ros.nodes.waiting import ANSWER_S
from seld_overlap_ros.streaming.health import Status

NAME = "seld_overlap_doctor"
LOOK_EVERY_S = 0.5
PATIENCE_S = 8.0
EVENTS_TYPE = "seld_overlap/msg/SoundEventArray"


class Doctor(Node):
    """Takes in what there is while it is spun."""

    def __init__(self, context: rclpy.Context) -> None:
        super().__init__(NAME, context=context, start_parameter_services=False, enable_rosout=False)
        self._statuses: dict[str, dict[str, Status]] = {}
        self._getters: dict[str, Client] = {}  # node -> for its lifecycle state
        self._asked: dict[str, tuple[float, Future]] = {}  # node -> when it was asked last, and the answer to be
        self._states: dict[str, str] = {}  # node -> what it answered last
        self._heard: set[str] = set()  # topics
        self._n_windows = self._n_sounds = 0
        self.create_subscription(DiagnosticArray, TOPIC, self._on_diagnostics, 50)
        self.create_timer(LOOK_EVERY_S, self._look)

    def snapshot(self, seconds: float) -> Snapshot:
        """What has been seen by now, after so many seconds."""
        nodes = self._others()
        there = {name for name in nodes if is_managed(name) or name in self._statuses}
        publishers, subscribers, mismatches = self._endpoints(there)
        return Snapshot(
            os.environ.get("ROS_DOMAIN_ID") or "0",
            os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE") or "SUBNET, the default",
            frozenset(nodes),
            {name: self._states.get(name, "") for name in there},
            publishers,
            subscribers,
            mismatches,
            {name: told for name, told in self._statuses.items() if name in there},
            {kind.type_name: message_type(kind) is not None for kind in AUDIO_KINDS},
            self._n_windows,
            self._n_sounds,
            seconds,
        )

    def has_answers(self) -> bool:
        """Whether there are nodes that hear, and each has told how it is."""
        there = {name for name in self._others() if is_managed(name)}
        return bool(there) and there <= self._statuses.keys() & self._states.keys()

    def _others(self) -> set[str]:
        """Full names of all nodes but this one and hidden ones, such as the daemon of `ros2`."""
        found = self.get_node_names_and_namespaces()
        return {f"{space.rstrip('/')}/{name}" for name, space in found if name != NAME and not name.startswith("_")}

    def _look(self) -> None:
        """Ask and listen to what has newly been found."""
        for name in self._others():
            if is_managed(name) or name in self._statuses:
                self._ask(name)
        for topic, types in self.get_topic_names_and_types():
            if EVENTS_TYPE in types and topic not in self._heard:
                self._heard.add(topic)
                self.create_subscription(SoundEventArray, topic, self._on_events, QoSProfile(depth=50))

    def _ask(self, name: str) -> None:
        """For its lifecycle state: it may be another one by now, and an answer may go astray."""
        if name not in self._getters:
            self._getters[name] = self.create_client(GetState, f"{name}/get_state")
        client = self._getters[name]
        asked_s, answer = self._asked.get(name, (-math.inf, None))
        if answer is not None and answer.done():
            self._states[name] = answer.result().current_state.label
            answer = None
        if (answer is None or time.monotonic() - asked_s > ANSWER_S) and client.service_is_ready():
            self._asked[name] = time.monotonic(), client.call_async(GetState.Request())

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for line in message.status:
            if line.hardware_id == OURS:
                node, status = from_message(line)
                self._statuses.setdefault(node, {})[status.subject] = status

    def _on_events(self, message: SoundEventArray) -> None:
        self._n_windows += 1
        self._n_sounds += len(message.events)

    def _endpoints(self, ours: set[str]) -> tuple[tuple[Endpoint, ...], tuple[Endpoint, ...], tuple[Mismatch, ...]]:
        """Publishers, subscribers, and those of them that do not come together, with one of ours among the two."""
        publishers, subscribers, mismatches = [], [], []
        own = self.get_fully_qualified_name()
        for topic, _ in self.get_topic_names_and_types():
            givers = [(_endpoint(topic, info), info) for info in self.get_publishers_info_by_topic(topic)]
            takers = [(_endpoint(topic, info), info) for info in self.get_subscriptions_info_by_topic(topic)]
            publishers += [end for end, _ in givers if end.node != own]
            subscribers += [end for end, _ in takers if end.node != own]
            for giver, given in givers:
                for taker, taken in takers:
                    fits, reason = qos_check_compatible(given.qos_profile, taken.qos_profile)
                    if fits == QoSCompatibility.ERROR and {giver.node, taker.node} & ours:
                        reason = reason.removeprefix("ERROR: ").strip("; ").lower()
                        mismatches.append(Mismatch(topic, giver.node, taker.node, reason))
        return tuple(publishers), tuple(subscribers), tuple(mismatches)


def _endpoint(topic: str, info: object) -> Endpoint:
    return Endpoint(f"{info.node_namespace.rstrip('/')}/{info.node_name}", topic, info.topic_type)


def look(seconds: float, patience_s: float = PATIENCE_S) -> Snapshot:
    """Join the graph for so many seconds, and for up to patience_s more until it answers: DDS finds some nodes late."""
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        node, executor = Doctor(context), SingleThreadedExecutor(context=context)
        executor.add_node(node)
        start = time.monotonic()
        while (looked_s := time.monotonic() - start) < seconds or (
                looked_s < seconds + patience_s and not node.has_answers()):
            executor.spin_once(timeout_sec=0.1)
        seen = node.snapshot(round(looked_s, 1))
        executor.shutdown()
        node.destroy_node()
        return seen
    finally:
        rclpy.try_shutdown(context=context)


def main(args: list[str] | None = None) -> int:
    """Entry point. Returns 0 if nothing is to be mended, else 1."""
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=float)
    try:
        seen = look(parser.parse_args(args).seconds)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 1
    verdict = diagnose(seen)
    console = Console(soft_wrap=True, highlight=False)
    sentence = verdict.sentence[0].upper() + verdict.sentence[1:] + "." * (verdict.sentence[-1] not in ".?")
    console.print(sentence, style="bold green" if verdict.well else "bold red", markup=False)
    if seen.states:
        console.print(table(seen))
    return 0 if verdict.well else 1


if __name__ == "__main__":
    sys.exit(main())
