"""What a stage takes: the parts of each window, from several topics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from seld_overlap_ros.nodes import convert
from seld_overlap_ros.nodes.managed import ManagedNode
from seld_overlap_ros.streaming.health import Work
from seld_overlap_ros.streaming.pairing import Pairing
from seld_overlap_ros.streaming.worker import Worker

STAGE_QOS = QoSProfile(depth=5)  # reliable; more than are ever on their way, as SSL waits for them
UNHEARD = 5  # windows; fewer, after the start, may be those before all have found each other


class NextStage:
    """Says so where a stage works for nobody: without the next one, the graph would be silent and seem well."""

    def __init__(self, node: ManagedNode, sentence: str) -> None:
        """sentence: what to say if the next stage has not been found for some windows."""
        self._node, self._sentence = node, sentence
        self._unheard = 0

    def look(self, is_there: bool) -> None:
        """To be called with each window. is_there: whether the next stage has been found."""
        self._unheard = 0 if is_there else self._unheard + 1
        if self._unheard > UNHEARD:
            self._node.notices("next stage", self._sentence)


class WindowParts:
    """Brings together what has the same stamp and hands it to `handle` in a thread, window by window.

    topics: name -> message type, and what makes an array of such a message or raises ValueError. `handle` gets the
    header of the first topic's message, and the parts in the order of the topics.
    """

    def __init__(
        self,
        node: ManagedNode,
        topics: Mapping[str, tuple[type, Callable]],
        handle: Callable[..., None],
        window_s: float | None = None,
    ) -> None:
        """window_s: length of a window, for what /diagnostics says of the latency; None: unknown."""
        self._node, self._handle = node, handle
        self._work = Work(window_s, lambda: node.get_clock().now().nanoseconds)
        self._pairing = Pairing(tuple(topics), self._lost)
        self._worker: Worker[tuple[Header, tuple]] = Worker(self._on_window, self._dropped, node.crash)
        self._subscriptions = [
            node.create_subscription(kind, topic, partial(self._on_message, topic, decode), STAGE_QOS)
            for topic, (kind, decode) in topics.items()
        ]
        node.watched["windows"] = self._work.status

    def close(self) -> None:
        """Listen no more, and end the thread: that first, as a process must not end while it is at work."""
        self._worker.close()
        del self._node.watched["windows"]
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _on_message(self, topic: str, decode: Callable, message: object) -> None:
        try:
            part = decode(message)
        except ValueError as error:
            self._node.notices(f"refused {topic}", f"a message of {topic} is left out: {error}")
            return
        stamp_ns = convert.to_ns(message.header.stamp)
        parts = self._pairing.put(topic, stamp_ns, (message.header, part))
        if parts:
            self._work.came(stamp_ns)
            self._worker.put((parts[0][0], tuple(part for _, part in parts)))

    def _on_window(self, item: tuple[Header, tuple]) -> None:
        header, parts = item
        with self._work.window(convert.to_ns(header.stamp)):
            self._handle(header, *parts)

    def _lost(self, stamp_ns: int, missing: list[str]) -> None:
        self._node.notices(
            "lost",
            f"the window at {stamp_ns / convert.SECOND:.3f} s is left out: no {' and no '.join(missing)} came for it",
        )

    def _dropped(self, item: tuple[Header, tuple]) -> None:
        self._work.dropped()
        self._node.notices("dropped", "a window is left out, as windows come faster than they are worked on: "
                                      "set a longer hop")
