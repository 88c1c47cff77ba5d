"""Hears the audio window by window, in a thread of its own, so that the audio keeps flowing in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rclpy.parameter import Parameter

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.graphs import AUTO
from seld_overlap_ros.nodes.audio_input import AudioInput
from seld_overlap_ros.nodes.managed import ManagedNode
from seld_overlap_ros.streaming.channel_order import ChannelOrder
from seld_overlap_ros.streaming.health import Work
from seld_overlap_ros.streaming.hop import AutoHop
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
        cost_s: Callable[[], float] | None = None,
    ) -> None:
        """cost_s: measures what a window takes, for a hop that is to be found; without it, `took` is to be told."""
        self._node, self._why_dropped, self._front_end = node, why_dropped, config.front_end
        self._is_whole = cost_s is not None  # all work on a window is done in `handle`
        self._auto: AutoHop | None = None
        self._setting = threading.Lock()  # of the hop: one that is found is not to undo one that was set meanwhile
        self.work = Work(config.front_end.window_s, lambda: node.get_clock().now().nanoseconds)
        self._handle, self._order = handle, ChannelOrder(config)
        self._input = AudioInput(  # first, as it may refuse, and then nothing is to be left
            node,
            config.front_end,
            config.array.n_microphones,
            self._first_hop(node.value("hop"), cost_s),
            node.notices,
            self._on_windows,
        )
        self._worker: Worker[tuple[Window, str]] = Worker(self._hear, self._dropped, node.crash)
        self._watched = {
            "audio": self._input.status, "channel order": self._order.status, "windows": self.work.status
        }
        node.watched |= self._watched
        self._watch_hop()
        node.add_post_set_parameters_callback(self._on_parameters)

    @property
    def topic_name(self) -> str:
        """The topic of the audio, as ROS resolves it."""
        return self._input.topic.name

    def took(self, cost_s: float) -> None:
        """What a window has taken through all stages [s], for a hop that is to be found."""
        with self._setting:
            if self._auto is not None and self._auto.took(cost_s):
                self._set_hop(self._auto.hop_s)

    def close(self) -> None:
        """Listen no more, and end the thread: that first, as a process must not end while it is at work."""
        self._worker.close()
        self._node.remove_post_set_parameters_callback(self._on_parameters)
        for subject in (*self._watched, "hop"):
            self._node.watched.pop(subject, None)
        self._input.close()

    def _on_parameters(self, parameters: list[Parameter]) -> None:
        for parameter in parameters:
            if parameter.name == "hop":
                with self._setting:
                    self._set_hop(self._first_hop(parameter.value))
                self._watch_hop()

    def _first_hop(self, wanted: float | str, cost_s: Callable[[], float] | None = None) -> float:
        """A hop as the parameter has it, or the first one of those that are to be found."""
        self._auto = None
        if wanted != AUTO:
            return float(wanted)
        self._auto = AutoHop(self._front_end, cost_s() if cost_s else None, self._node.get_logger().info)
        return self._auto.hop_s

    def _watch_hop(self) -> None:
        self._node.watched.pop("hop", None)
        if self._auto is not None:
            self._node.watched["hop"] = self._auto.status

    def _set_hop(self, hop_s: float) -> None:
        self._input.intake.stream.set_hop(hop_s)
        self.work.hop_changed()

    def _on_windows(self, windows: list[Window], frame_id: str) -> None:
        for window in windows:
            self.work.came(window.stamp_ns)
        self._worker.put(*((window, frame_id) for window in windows))

    def _hear(self, item: tuple[Window, str]) -> None:
        began_s = time.monotonic()
        self._handle(*item)
        self._order.hear(item[0].samples)
        if self._is_whole:
            self.took(time.monotonic() - began_s)

    def _dropped(self, item: tuple[Window, str]) -> None:
        self.work.dropped()
        self._node.notices("dropped", f"a window is left out, as {self._why_dropped}")
