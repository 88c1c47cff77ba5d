"""Plays the audio of a bag as it was recorded, to the byte, on the clock of the bag."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from seld_overlap.msg import SoundEventArray

from seld_overlap_ros.bags.reading import Bag, read_bag
from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.graphs import BAG_PLAYER
from seld_overlap_ros.messages import SECOND, to_ns, to_seconds
from seld_overlap_ros.nodes import convert
from seld_overlap_ros.nodes.audio_messages import find_message, message_type
from seld_overlap_ros.nodes.running import RunnableNode, run

TICK_S = 0.01
BURST = 10  # messages a tick, of a window that is sent at once: a listener keeps 100 that it has no time for
CLOCK_EVERY_S = 0.02
SETTLE_S = 1.5  # from the first sign of the listeners until they surely hear, and from the last chunk to the end
FRONT_END = FrontEnd()  # of a graph's model, which the player does not know
PATIENCE_S = 30.0  # for the events of a window, on a busy machine
AUDIO_QOS = QoSProfile(depth=100)
INFO_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CLOCK_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)  # as rosbag2's player
Recorded = tuple[bool, int, bytes]  # as Bag.recorded gives it


class BagPlayer(RunnableNode):
    """Publishes the audio and its `audio_info`, each when its time has come, and `/clock`. Is done when the bag is.

    For where there is no rosbag2: of other topics, and of namespaces, it knows nothing.
    """

    def __init__(self) -> None:
        super().__init__(BAG_PLAYER)
        bag = read_bag(Path(self.value("bag")).expanduser())
        if (audio_type := message_type(bag.kind)) is None:
            raise ValueError(f"{bag.kind.type_name}, the audio of {bag.path}, is not installed here: install it, or "
                             "evaluate the bag offline")
        self._audio = self.create_publisher(audio_type, bag.kind.topic, AUDIO_QOS)
        self._info = None
        if bag.kind.info:
            info_type = find_message("audio_common_msgs", "AudioInfo")
            self._info = self.create_publisher(info_type, "audio_info", INFO_QOS)
        self._now = self.create_publisher(Clock, "/clock", CLOCK_QOS)
        self._heard = self.create_subscription(SoundEventArray, "events", self._on_events, QoSProfile(depth=50))
        self._first_ns: int | None = None  # stamp of the first window since listening began, or began anew
        self._heard_ns = 0  # stamp of the window that was heard last
        self._next_end_s = self.value("window")  # of the window that is to be heard next, from the start of the audio
        self._steps = self._play(bag)
        self._timer = self.create_timer(TICK_S, lambda: next(self._steps, None))

    def _on_events(self, message: SoundEventArray) -> None:
        stamp_ns, window_s = to_ns(message.header.stamp), to_seconds(message.window)
        if self._first_ns is None or stamp_ns - self._heard_ns >= window_s * SECOND:
            self._first_ns = stamp_ns
        self._heard_ns = stamp_ns
        hop_s = FRONT_END.whole_hops(self.value("hop")) / FRONT_END.sample_rate  # as AudioStream rounds what is asked
        self._next_end_s = (stamp_ns - self._first_ns) / SECOND + window_s + hop_s

    def _play(self, bag: Bag) -> Iterator[None]:
        """The whole bag, a moment further with each tick of the timer."""
        while self._audio.get_subscription_count() < self.value("listeners"):
            yield
        yield from _pause()
        self.get_logger().info(f"playing {bag.path} to {self._audio.topic_name}")
        messages, rate = bag.recorded(), self.value("rate")
        yield from self._in_time(messages, rate) if rate else self._in_step(messages)
        yield from _pause()
        self.done.set_result(0)

    def _in_time(self, messages: Iterable[Recorded], rate: float) -> Iterator[None]:
        """Each message when the bag's clock shows its time."""
        began, start_ns, told_ns = time.monotonic(), None, 0
        every_ns = int(CLOCK_EVERY_S * rate * SECOND)
        for is_audio, time_ns, raw in messages:
            start_ns = time_ns if start_ns is None else start_ns
            while (now_ns := start_ns + int((time.monotonic() - began) * rate * SECOND)) < time_ns:
                if now_ns - told_ns >= every_ns:
                    told_ns = self._tell(now_ns)
                yield
            told_ns = self._tell(time_ns)
            self._send(is_audio, raw)

    def _in_step(self, messages: Iterator[Recorded]) -> Iterator[None]:
        """So much as completes a window, and when it has been heard, so much as completes the next."""
        start_ns = last_ns = None
        for number, (is_audio, time_ns, raw) in enumerate(messages):
            if number % BURST == 0:
                yield
            deadline = time.monotonic() + PATIENCE_S
            while last_ns is not None and (last_ns - start_ns) / SECOND > self._next_end_s:
                yield
                if time.monotonic() > deadline:  # all at once, most of the rest would be lost on its way
                    self.get_logger().warning(f"no events within {PATIENCE_S:g} s: playing on in real time")
                    yield from self._in_time(chain([(is_audio, time_ns, raw)], messages), 1.0)
                    return
            if is_audio and last_ns is not None and (time_ns - last_ns) / SECOND >= self.value("window"):
                yield from _pause()  # for a window that was just complete
                start_ns, self._first_ns, self._next_end_s = time_ns, None, self.value("window")  # nodes begin anew
            self._tell(time_ns)
            self._send(is_audio, raw)
            if is_audio:
                start_ns, last_ns = time_ns if start_ns is None else start_ns, time_ns

    def _tell(self, now_ns: int) -> int:
        """The time, to all."""
        self._now.publish(Clock(clock=convert.to_time(now_ns)))
        return now_ns

    def _send(self, is_audio: bool, raw: bytes) -> None:
        if is_audio:
            self._audio.publish(raw)
        elif self._info is not None:
            self._info.publish(raw)


def _pause() -> Iterator[None]:
    until = time.monotonic() + SETTLE_S
    while time.monotonic() < until:
        yield


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    return run(BagPlayer, args)


if __name__ == "__main__":
    sys.exit(main())
