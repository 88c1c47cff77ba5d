"""The whole system in one node, on the audio of a microphone array: where, what, when, and each sound alone."""

from __future__ import annotations

import sys

from seld_overlap_ros.graphs import FULL_NODE
from seld_overlap_ros.hearing import Hearing, noise_window, window_cost
from seld_overlap_ros.models.possible import Possible
from seld_overlap_ros.nodes import convert
from seld_overlap_ros.nodes.event_output import EventOutput
from seld_overlap_ros.nodes.listener import Listener
from seld_overlap_ros.nodes.managed import ManagedNode
from seld_overlap_ros.nodes.running import run
from seld_overlap_ros.streaming.stream import Window


class FullNode(ManagedNode):
    """Audio in; `events` and `separated` out for every window of it, and the latched `labels`."""

    def __init__(self) -> None:
        super().__init__(FULL_NODE)
        self.offer_enable()

    def load(self) -> None:
        engine = Possible(self.load_engine(), self.value("classes"))
        Hearing(engine, always_strongest=True)(noise_window(engine.config))  # the first time takes longest
        self._hearing = Hearing(engine)
        self._known: list[int] = []  # the directions in which a sound was heard last
        self._output = EventOutput(self, engine.config)

    def start(self) -> None:
        config = self._hearing.config
        self._listener = Listener(self, config, self._hear, cost_s=lambda: window_cost(self._hearing.engine))
        self.get_logger().info(f"listening to {self._listener.topic_name} for {self._hearing.engine.classes_in_words}")

    def stop(self) -> None:
        self._listener.close()

    def free(self) -> None:
        self._output.close()
        del self._hearing, self._output

    def _hear(self, window: Window, frame_id: str) -> None:
        with self._listener.work.window(window.stamp_ns):
            self._hearing.direction_threshold = self.value("direction_threshold")
            sources = self._hearing(window.samples, self._known)
            self._known = [source.direction for source in sources]
            self._output.publish(convert.to_header(window.stamp_ns, frame_id), sources)


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    return run(FullNode, args)


if __name__ == "__main__":
    sys.exit(main())
