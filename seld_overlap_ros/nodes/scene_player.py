"""Plays a sound file, or a microphone, as the messages of an audio capture node."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile

from seld_overlap_ros.graphs import SCENE_PLAYER
from seld_overlap_ros.nodes.audio_messages import WRITERS, kind_to_send, message_type, to_audio_info
from seld_overlap_ros.nodes.running import RunnableNode, run
from seld_overlap_ros.nodes.waiting import Awaited
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.pcm import SECOND, AudioError, AudioFormat
from seld_overlap_ros.streaming.sources import TAIL_S, FilePlayer, Microphone, SoundFile, find_scene

LISTENER_WAIT_S = 180.0  # a node that loads a network on a small machine needs a while
SETTLE_S = 1.5  # from the first sign of a listener until it surely hears, and from the last chunk to the end
INFO_EVERY_S = 1.0
AHEAD = 0.1  # of a tick, which is more than ticks are uneven
AUDIO_QOS = QoSProfile(depth=100)
INFO_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class ScenePlayer(RunnableNode):
    """Publishes `audio_stamped` and, every second, `audio_info`; with mgonzs13's audio_common_msgs, `audio`.

    Is done when the file is; a microphone never is.
    """

    def __init__(self) -> None:
        super().__init__(SCENE_PLAYER)
        if self.get_parameter("use_sim_time").value:
            raise AudioError("clock", "scene_player plays by the clock of the machine: leave use_sim_time out")
        self._source = self._open()
        self._format = AudioFormat(self._source.channels, self._source.sample_rate, self.value("sample_format"))
        self._kind = kind_to_send()
        self._audio = self.create_publisher(message_type(self._kind), self._kind.topic, AUDIO_QOS)
        self._message(0, np.zeros((0, self._format.channels), np.float32))  # refuses a format now rather than later
        if self._kind.info:
            message = to_audio_info(self._format)
            self._info = self.create_publisher(type(message), "audio_info", INFO_QOS)
            self._info.publish(message)
            self._info_timer = self.create_timer(INFO_EVERY_S, lambda: self._info.publish(message))
        self._awaited = Awaited(self, self.value("nodes"))
        self._steps = self._play()
        self._timer = self.create_timer(self._tick_s(), lambda: next(self._steps, None))

    def close(self) -> None:
        if isinstance(self._source, Microphone):
            self._source.close()

    def _open(self) -> FilePlayer | Microphone:
        file, device, chunk_s = self.value("file"), self.value("device"), self.value("chunk")
        if bool(file) == bool(device):
            raise AudioError("source", "nothing to play, or two: set either file, or device (`default`, say)")
        if file:
            return FilePlayer(SoundFile(find_scene(file)), chunk_s, TAIL_S, self.value("rate"))
        notices = Notices(self.get_logger().warning)
        return Microphone(device, self.value("channels"), self.value("sample_rate"), chunk_s, notices)

    def _tick_s(self) -> float:
        """Twice a chunk, for a chunk that misses its tick not to be late by a whole one; what timers are good at."""
        return max(0.002, self.value("chunk") / self.value("rate") / 2)

    def _play(self) -> Iterator[None]:
        """The whole performance, a moment further with each tick of the timer."""
        yield from self._wait(lambda: not self._missing(), LISTENER_WAIT_S)
        if missing := self._missing():
            self.get_logger().warning(f"{missing} after {LISTENER_WAIT_S:g} s: playing all the same")
        yield from self._wait(lambda: False, SETTLE_S)
        self.get_logger().info(f"playing {self.value('file') or self.value('device')} to {self._audio.topic_name}")
        # A little before a tick of the timer, so that a chunk is due just before one comes, and not just after it.
        ahead_s = (1 + AHEAD) * self._tick_s() - self._timer.time_until_next_call() / SECOND
        self._source.start(self.get_clock().now().nanoseconds - round(ahead_s * SECOND), ahead_s)
        while not self._source.finished:
            for stamp_ns, samples in self._source.due():
                self._audio.publish(self._message(stamp_ns, samples))
            yield
        yield from self._wait(lambda: False, SETTLE_S)
        self.done.set_result(0)

    def _wait(self, over: Callable[[], bool], at_most_s: float) -> Iterator[None]:
        deadline = time.monotonic() + at_most_s
        while not over() and time.monotonic() < deadline:
            yield

    def _missing(self) -> str:
        """Who is not there yet to hear it; empty: all are."""
        if nodes := self._awaited.missing():
            return f"{', '.join(nodes)} not active"
        if self._audio.get_subscription_count() < self.value("listeners"):
            return f"fewer than {self.value('listeners')} subscribers of {self._audio.topic_name}"
        return ""

    def _message(self, stamp_ns: int, samples: np.ndarray) -> Any:
        return WRITERS[self._kind.name](stamp_ns, self.value("frame_id"), samples, self._format)


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    return run(ScenePlayer, args)


if __name__ == "__main__":
    sys.exit(main())
