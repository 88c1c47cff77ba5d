"""Hears the audio window by window, in a thread of its own, so that the audio keeps flowing in."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.parameter import Parameter

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.nodes.audio_input import AudioInput
from seld_overlap_ros.nodes.managed import ManagedNode
from seld_overlap_ros.streaming.channel_order import ChannelOrder
from seld_overlap_ros.streaming.health import Work
from seld_overlap_ros.streaming.stream import Window
from seld_overlap_ros.streaming.worker import Worker


class Listener:
    """Calls `handle(window, frame_id)` for each window; where that takes too long, the oldest is left out, and said.

    `handle` is to work in `work.window(stamp_ns)`, for /diagnostics.
    """

    def __init__(
        self,
        node: ManagedNode,
        config: SystemConfig,
        handle: Callable[[Window, str], None],
        why_dropped: str = "windows come faster than they are heard: set a longer hop",
    ) -> None:
        self._node, self._why_dropped = node, why_dropped
        self.work = Work(config.front_end.window_s, lambda: node.get_clock().now().nanoseconds)
        self._handle, self._order = handle, ChannelOrder(config)
        self._worker: Worker[tuple[Window, str]] = Worker(self._hear, self._dropped, node.crash)
        self._input = AudioInput(
            node,
            config.front_end,
            config.array.n_microphones,
            node.value("hop"),
            node.notices,
            self._on_window,
        )
        self._watched = {
            "audio": self._input.status, "channel order": self._order.status, "windows": self.work.status
        }
        node.watched |= self._watched
        node.add_post_set_parameters_callback(self._on_parameters)

    @property
    def topic_name(self) -> str:
        """The topic of the audio, as ROS resolves it."""
        return self._input.topic.name

    def close(self) -> None:
        """Listen no more, and end the thread."""
        self._node.remove_post_set_parameters_callback(self._on_parameters)
        for subject in self._watched:
            del self._node.watched[subject]
        self._input.close()
        self._worker.close()

    def _on_parameters(self, parameters: list[Parameter]) -> None:
        for parameter in parameters:
            if parameter.name == "hop":
                self._input.intake.stream.set_hop(parameter.value)

    def _on_window(self, window: Window, frame_id: str) -> None:
        self.work.came(window.stamp_ns)
        self._worker.put((window, frame_id))

    def _hear(self, item: tuple[Window, str]) -> None:
        self._handle(*item)
        self._order.hear(item[0].samples)

    def _dropped(self, item: tuple[Window, str]) -> None:
        self.work.dropped()
        self._node.notices("dropped", f"a window is left out, as {self._why_dropped}")
