"""Hears what is in the audio of a microphone array: where, what, when, and each sound alone."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from rclpy.parameter import Parameter

from seld_overlap_ros.graphs import FULL_NODE
from seld_overlap_ros.hearing import Hearing
from seld_overlap_ros.memory import keep_freed_memory
from seld_overlap_ros.models.checkpoint import load_model
from seld_overlap_ros.nodes import convert
from seld_overlap_ros.nodes.audio_input import AudioInput
from seld_overlap_ros.nodes.event_output import EventOutput
from seld_overlap_ros.nodes.running import RunnableNode, run
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.stream import Window
from seld_overlap_ros.streaming.worker import Worker


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
        self._connect()
        self._worker: Worker[_Task] = Worker(self._hear, self._dropped, self._failed)

    def close(self) -> None:
        self._worker.close()

    def _connect(self) -> None:
        self._output = EventOutput(self, self._config)
        self._input = AudioInput(
            self, self._config.front_end, self._config.array.n_microphones, self.value("hop"), self._notices,
            lambda window, frame_id: self._worker.put(_Task(window, frame_id)),
        )
        self.add_post_set_parameters_callback(self._on_parameters)
        self.get_logger().info(f"listening to {self._input.topic.name} for {', '.join(self._config.labels)}")

    def _on_parameters(self, parameters: list[Parameter]) -> None:
        for parameter in parameters:
            if parameter.name == "hop":
                self._input.intake.stream.set_hop(parameter.value)
            elif parameter.name == "direction_threshold":
                self._hearing.direction_threshold = parameter.value

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
