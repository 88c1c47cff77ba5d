"""Records what a graph says into a bag, and when its audio came, so that a run can be scored like a bag offline."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from seld_overlap.msg import LabelTable, SeparatedSource, SoundEventArray

from seld_overlap_ros.bags.runs import RunWriter
from seld_overlap_ros.graphs import AUTO, RUN_RECORDER
from seld_overlap_ros.messages import AudioKind
from seld_overlap_ros.nodes.audio_input import AudioTopic
from seld_overlap_ros.nodes.diagnostics import TOPIC as DIAGNOSTICS
from seld_overlap_ros.nodes.running import Refusal, RunnableNode, run
from seld_overlap_ros.nodes.waiting import Awaited
from seld_overlap_ros.streaming.pcm import AudioError, Description

READY = "ready, recording into"  # what launch/replay.launch.py waits for in the log
LOOK_EVERY_S = 0.25
READY_S = 300.0  # for all nodes to load their networks; on a busy machine that takes minutes
STALLED_S = 60.0  # of silence while the player is still there, which may wait for the graph
QOS = QoSProfile(depth=200)
LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CLOCK_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
SAID = {"events": SoundEventArray, "separated": SeparatedSource, DIAGNOSTICS: DiagnosticArray, "labels": LabelTable}


class RunRecorder(RunnableNode):
    """Subscribes to the audio once all `nodes` are active; a player that waits for it does not start too early."""

    def __init__(self) -> None:
        super().__init__(RUN_RECORDER)
        self._writer = RunWriter(Path(self.value("folder")).expanduser())
        for topic, kind in SAID.items():
            qos = LATCHED_QOS if topic == "labels" else QOS
            self.create_subscription(kind, topic, self._record(topic), qos, raw=True)
        self.create_subscription(Clock, "/clock", self._on_clock, CLOCK_QOS)
        self._awaited = Awaited(self, self.value("nodes"))
        self._began = time.monotonic()
        self._audio: AudioTopic | None = None
        self._n_quiet: int | None = None  # looks since audio or events came, as event_recorder counts them
        self._n_gone: int | None = None  # looks since a player was last there
        self.create_timer(LOOK_EVERY_S, self._on_look)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # which has been said
            self._writer.close()

    def _record(self, topic: str) -> Any:
        def on_message(raw: bytes) -> None:
            with self._in_a_sentence():
                self._writer.write(topic, raw)
            if topic == "events" and self._n_quiet is not None:
                self._n_quiet = 0

        return on_message

    def _on_audio(self, kind: AudioKind, message: Any) -> None:
        self._n_quiet = 0
        try:
            stamp_ns = kind.read(message, Description(0, 0, "")).stamp_ns
        except AudioError:
            return  # whoever listens to it says so
        with self._in_a_sentence():
            self._writer.audio_came(stamp_ns)

    def _on_clock(self, message: Clock) -> None:
        """A bag whose audio pauses is still being played."""
        if self._n_quiet is not None and self.count_publishers(self._audio.name):
            self._n_quiet = 0

    @contextlib.contextmanager
    def _in_a_sentence(self) -> Iterator[None]:
        """Raises Refusal where the disk takes no more."""
        try:
            yield
        except OSError as error:
            raise Refusal(f"{self.value('folder')} cannot be written ({error}): make room, or name another folder"
                          ) from error

    def _on_look(self) -> None:
        if self._audio is None:
            self._look_for_nodes()
        elif self._n_quiet is None:
            self._look_for_player()
        else:
            self._n_quiet += 1
            if self._n_quiet * LOOK_EVERY_S > self._patience_s():
                self.done.set_result(0)

    def _patience_s(self) -> float:
        """How long audio and events may be silent."""
        return STALLED_S if self.count_publishers(self._audio.name) else self.value("end_after")

    def _look_for_player(self) -> None:
        """It publishes the clock. Raises Refusal if it has ended without any audio."""
        if self.count_publishers("/clock"):
            self._n_gone = 0
        elif self._n_gone is not None:
            self._n_gone += 1
        if self._n_gone and self._n_gone * LOOK_EVERY_S > self.value("end_after"):
            raise Refusal(f"a bag was played, and no audio came on {self._audio.name}: is its audio in a namespace, or "
                          "the package of its messages not installed here?")

    def _look_for_nodes(self) -> None:
        """Raises Refusal if they take too long."""
        missing = self._awaited.missing()
        if not missing:
            self._audio = AudioTopic(self, AUTO, self._on_audio)
            self.get_logger().info(f"{READY} {self.value('folder')} while there is audio on "
                                   f"{self._audio.name}")
        elif time.monotonic() - self._began > READY_S:
            raise Refusal(f"{', '.join(missing)} not active after {READY_S:g} s: see what they say, or name others in "
                          "the parameter nodes")


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    return run(RunRecorder, args)


if __name__ == "__main__":
    sys.exit(main())
