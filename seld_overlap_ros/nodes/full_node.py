"""Hears what is in the audio of a microphone array: where, what, when, and each sound alone."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import torch
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from seld_overlap_ros.graphs import FULL_NODE
from seld_overlap_ros.hearing import Hearing
from seld_overlap_ros.memory import keep_freed_memory
from seld_overlap_ros.models.checkpoint import load_model
from seld_overlap_ros.nodes import convert
from seld_overlap_ros.nodes.convert import AudioDataStamped, AudioInfo
from seld_overlap_ros.nodes.event_output import EventOutput
from seld_overlap_ros.nodes.running import RunnableNode, run
from seld_overlap_ros.streaming.intake import Intake
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.stream import Window
from seld_overlap_ros.streaming.worker import Worker

INFO_WAIT_S = 6.0  # capture nodes repeat audio_info every 5 s
AUDIO_WAIT_S = 10.0
# Best effort hears reliable and best-effort sources alike. The depth bridges a busy moment of some seconds.
AUDIO_QOS = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
# Old capture nodes do not latch, and a latching subscriber would get nothing from them.
INFO_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.VOLATILE)


@dataclass(frozen=True)
class _Task:
    window: Window
    frame_id: str


class FullNode(RunnableNode):
    """Audio in; `events` and `separated` out for every window of it, and the latched `labels`."""

    def __init__(self) -> None:
        super().__init__(FULL_NODE)
        use_cores_in_peace()
        keep_freed_memory()
        self._notices = Notices(self.get_logger().warning)
        self._hearing = Hearing(load_model(self.value("model")), self.value("direction_threshold"))
        self._config = self._hearing.config
        self._known: list[int] = []  # the directions in which a sound was heard last
        self._intake = Intake(
            self._config.front_end, self._config.array.n_microphones, self.value("hop"), self._notices
        )
        self._worker: Worker[_Task] = Worker(self._hear, self._dropped, self._failed)
        self._started = time.monotonic()
        self._first_audio: float | None = None
        self._last_audio = self._started
        self._connect()

    def close(self) -> None:
        self._worker.close()

    def _connect(self) -> None:
        self._output = EventOutput(self, self._config)
        self._info_in = self.create_subscription(AudioInfo, "audio_info", self._on_info, INFO_QOS)
        self._audio_in = self.create_subscription(AudioDataStamped, "audio_stamped", self._on_audio, AUDIO_QOS)
        self._watch = self.create_timer(1.0, self._on_watch)
        self.add_post_set_parameters_callback(self._on_parameters)
        self.get_logger().info(f"listening to {self._audio_in.topic_name} for {', '.join(self._config.labels)}")

    def _on_info(self, message: AudioInfo) -> None:
        self._take(
            self._intake.describe(
                message.channels, message.sample_rate, message.sample_format, message.coding_format
            )
        )

    def _on_audio(self, message: AudioDataStamped) -> None:
        self._last_audio = time.monotonic()
        if self._first_audio is None:
            self._first_audio = self._last_audio
        self._frame_id = message.header.frame_id or self.value("frame_id")
        self._take(self._intake.push(*convert.from_audio(message)))

    def _on_watch(self) -> None:
        """Say what is amiss if nothing can be heard, and do without audio_info if none comes."""
        now = time.monotonic()
        if self._first_audio is None and now - self._started > AUDIO_WAIT_S:
            self._notices("no audio", f"no audio on {self._audio_in.topic_name} yet: is its source started, and there?")
        elif self._first_audio is not None and now - self._first_audio > INFO_WAIT_S and not self._intake.knows_format:
            rate, sample_format = self.value("sample_rate"), self.value("sample_format")
            n_channels = self._config.array.n_microphones
            self._notices(
                "no info",
                f"no {self._info_in.topic_name}: the audio is taken for {n_channels} channels of {sample_format} at "
                f"{rate} Hz, as the parameters sample_rate and sample_format say",
            )
            # of what has waited, the newest window is enough: all at once would be more than can be heard in time
            self._take(self._intake.describe(n_channels, rate, sample_format, "wave")[-1:])
        elif self._first_audio is not None and (quiet_s := now - self._last_audio) > AUDIO_WAIT_S:
            self._notices(
                "no audio",
                f"no more audio on {self._audio_in.topic_name} for {quiet_s:.0f} s: is its source still running?",
            )

    def _on_parameters(self, parameters: list[Parameter]) -> None:
        for parameter in parameters:
            if parameter.name == "hop":
                self._intake.stream.set_hop(parameter.value)
            elif parameter.name == "direction_threshold":
                self._hearing.direction_threshold = parameter.value

    def _take(self, windows: list[Window]) -> None:
        for window in windows:
            self._worker.put(_Task(window, self._frame_id))

    def _hear(self, task: _Task) -> None:
        """In the worker's thread, so that the audio keeps flowing in."""
        sources = self._hearing(task.window.samples, self._known)
        self._known = [source.direction for source in sources]
        self._output.publish(convert.to_header(task.window.stamp_ns, task.frame_id), sources)

    def _dropped(self, task: _Task) -> None:
        self._notices("dropped", "a window is left out, as windows come faster than they are heard: set a longer hop")

    def _failed(self, error: Exception) -> None:
        if self.context.ok():  # else it is the end that cut it short
            self.get_logger().fatal(f"hearing failed: {error!r}")
            self.done.set_result(1)


def use_cores_in_peace() -> None:
    """Leave one core to the audio and to other nodes.

    torch's threads wait for each other by spinning: on two cores beside one busy process, a window of eight sounds
    took 2.5 s with two threads and 0.6 s with one.
    """
    torch.set_num_threads(max(1, torch.get_num_threads() - 1))


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    return run(FullNode, args)


if __name__ == "__main__":
    sys.exit(main())
