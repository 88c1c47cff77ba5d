"""Plays the audio of a bag as it was recorded, to the byte, on the clock of the bag."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from seld_overlap_ros.bags.reading import Bag, read_bag
from seld_overlap_ros.graphs import BAG_PLAYER
from seld_overlap_ros.nodes import convert
from seld_overlap_ros.nodes.audio_messages import find_message, message_type
from seld_overlap_ros.nodes.running import RunnableNode, run

TICK_S = 0.01
CLOCK_EVERY_S = 0.02
SETTLE_S = 0.5  # from the first sign of the listeners until they surely hear, and from the last chunk to the end
AUDIO_QOS = QoSProfile(depth=100)
INFO_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CLOCK_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)  # as rosbag2's player


class BagPlayer(RunnableNode):
    """Publishes the audio and its `audio_info`, each when its time has come, and `/clock`.

    For where there is no rosbag2: of other topics, and of namespaces, it knows nothing. Is done when the bag is.
    """

    def __init__(self) -> None:
        super().__init__(BAG_PLAYER)
        self._bag = read_bag(Path(self.value("bag")))
        kind = self._bag.kind
        if (audio_type := message_type(kind)) is None:
            raise ValueError(f"{kind.type_name}, the audio of {self._bag.path}, is not installed here: install it, or "
                             "evaluate the bag offline")
        self._audio = self.create_publisher(audio_type, kind.topic, AUDIO_QOS)
        self._info = None
        if kind.info:
            info_type = find_message("audio_common_msgs", "AudioInfo")
            self._info = self.create_publisher(info_type, "audio_info", INFO_QOS)
        self._clock = self.create_publisher(Clock, "/clock", CLOCK_QOS)
        self._steps = self._play(self._bag)
        self._timer = self.create_timer(TICK_S, lambda: next(self._steps, None))

    def _play(self, bag: Bag) -> Iterator[None]:
        """The whole bag, a moment further with each tick of the timer."""
        while self._audio.get_subscription_count() < self.value("listeners"):
            yield
        yield from _pause()
        self.get_logger().info(f"playing {bag.path} to {self._audio.topic_name}")
        began, start_ns = time.monotonic(), None
        for is_audio, time_ns, raw in bag.recorded():
            start_ns = time_ns if start_ns is None else start_ns
            yield from self._until(began, start_ns, time_ns)
            if is_audio:
                self._audio.publish(raw)
            elif self._info is not None:
                self._info.publish(raw)
        yield from _pause()
        self.done.set_result(0)

    def _until(self, began: float, start_ns: int, time_ns: int) -> Iterator[None]:
        """Until the bag's clock, which showed start_ns at monotonic time `began` [s], shows time_ns; publishes it."""
        told = -CLOCK_EVERY_S
        while True:
            past_s = time.monotonic() - began
            now_ns = min(time_ns, start_ns + int(past_s * self.value("rate") * convert.SECOND))
            if now_ns == time_ns or past_s - told >= CLOCK_EVERY_S:
                self._clock.publish(Clock(clock=convert.to_time(now_ns)))
                told = past_s
            if now_ns == time_ns:
                return
            yield


def _pause() -> Iterator[None]:
    until = time.monotonic() + SETTLE_S
    while time.monotonic() < until:
        yield


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    return run(BagPlayer, args)


if __name__ == "__main__":
    sys.exit(main())
