"""How a node is, on /diagnostics, once a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from seld_overlap_ros.evaluation.events import printable
from seld_overlap_ros.streaming.health import Status

TOPIC = "/diagnostics"
EVERY_S = 1.0
OURS = "seld_overlap"  # hardware_id of the statuses of this package


class Diagnostics:
    """Publishes what `look` returns: each line under the node's name and its subject, as diagnostic_updater does."""

    def __init__(self, node: Node, look: Callable[[], Sequence[Status]]) -> None:
        self._node, self._look = node, look
        self._publisher = node.create_publisher(DiagnosticArray, TOPIC, 10)
        node.create_timer(EVERY_S, self._publish)

    def _publish(self) -> None:
        name = self._node.get_fully_qualified_name().lstrip("/")
        message = DiagnosticArray(status=[to_message(name, status) for status in self._look()])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)


def to_message(node: str, status: Status) -> DiagnosticStatus:
    """A line of a node."""
    return DiagnosticStatus(
        level=bytes([status.level]),
        name=f"{node}: {status.subject}",
        message=status.sentence,
        hardware_id=OURS,
        values=[KeyValue(key=key, value=value) for key, value in status.values.items()],
    )


def from_message(message: DiagnosticStatus) -> tuple[str, Status]:
    """The reverse of `to_message`; whoever sent it, it can be shown in a terminal."""
    node, _, subject = message.name.rpartition(": ")
    values = {printable(pair.key): printable(pair.value) for pair in message.values}
    return f"/{printable(node)}", Status(subject, message.level[0], printable(message.message), values)
