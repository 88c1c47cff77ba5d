"""Shows the sounds in the terminal while they are heard, and leaves them as files: a WAV for each, and events.json."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile
from rich.console import Console
from seld_overlap.msg import LabelTable, SeparatedSource, SoundEventArray
from soundfile import SoundFileError

from seld_overlap_ros.evaluation.events import printable
from seld_overlap_ros.evaluation.recording import Recording
from seld_overlap_ros.evaluation.terminal import Display
from seld_overlap_ros.graphs import AUTO, EVENT_RECORDER
from seld_overlap_ros.messages import AudioKind, from_event, to_seconds
from seld_overlap_ros.nodes import convert
from seld_overlap_ros.nodes.audio_input import AudioTopic
from seld_overlap_ros.nodes.running import RunnableNode, run
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.pcm import AudioError, Description
from seld_overlap_ros.streaming.tracks import IDS_A_SECOND

LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
WATCH_S = 0.2
SHOWN = 100  # sounds that a display gets anew with each window: more than one can hold
LATE_S = 1.0  # by which chunks may come after the events of their window
QOS = QoSProfile(depth=50)  # a window may bring a dozen separated sounds at once


class EventRecorder(RunnableNode):
    """Listens to `events`, `separated`, `labels` and, for time 0, the audio.

    It writes a sound when no window can hold it any more, and the rest, with the list of all, when it ends.
    """

    def __init__(self) -> None:
        super().__init__(EVENT_RECORDER)
        self._folder = new_folder(self.value("folder"))
        self._recording = Recording()
        self._console = Console()
        self._display = Display(self._console)
        self._notices = Notices(self.get_logger().warning)
        # Looks since something came, not seconds: after a stall there is one look, and what waits comes only after it.
        self._n_quiet: int | None = None
        self._audio = AudioTopic(self, AUTO, self._on_audio)
        self._numbers: dict[int, int] = {}  # id of a sound -> its number in this recording
        self._next_chunk: dict[int, int] = {}  # that number -> sequence of its next chunk
        self.create_subscription(SoundEventArray, "events", self._on_events, QOS)
        self.create_subscription(SeparatedSource, "separated", self._on_separated, QOS)
        self.create_subscription(LabelTable, "labels", self._on_labels, LATCHED_QOS)
        self.create_timer(WATCH_S, self._on_watch)

    def close(self) -> None:
        try:
            self._display.close()
        finally:  # whatever becomes of the terminal
            self._write()

    def _write(self) -> None:
        # Not with the logger: it wants the network, which may be gone by now.
        try:
            self._recording.write(self._folder)
        except (OSError, SoundFileError) as error:
            sys.exit(f"event_recorder: the recording is lost, as {self._folder} cannot be written: {error}")
        n_sounds = len(self._recording.events())
        self._console.print(f"{n_sounds} sounds recorded in {self._folder}", highlight=False, markup=False)

    def _on_audio(self, kind: AudioKind, message: Any) -> None:
        self._n_quiet = 0
        try:
            chunk = kind.read(message, Description(0, 0, ""))
        except AudioError:
            return  # whoever listens to it says so
        self._recording.begin(chunk.stamp_ns / convert.SECOND)

    def _on_events(self, message: SoundEventArray) -> None:
        self._n_quiet = 0
        for event in [*message.events, *message.ended]:
            try:
                self._recording.add_event(replace(from_event(event), id=self._number(event.id)))
            except ValueError as error:
                self._notices("event", f"an event is left out: {error}")
        start_s = to_seconds(message.header.stamp)
        end_s = start_s + to_seconds(message.window)
        try:
            self._recording.write_ended(start_s - LATE_S, self._folder)
        except (OSError, SoundFileError) as error:
            self._notices("file", f"a sound cannot be written, and is tried again: {error}")
        self._display.show(self._recording.events(SHOWN), self._recording.since_start(end_s))

    def _on_separated(self, message: SeparatedSource) -> None:
        self._n_quiet = 0
        number = self._number(message.event.id)
        expected = self._next_chunk.get(number, message.sequence)
        if message.sequence != expected:
            self._notices("lost", f"sound {number} lacks a part of its waveform, as chunk {message.sequence} came in "
                                  f"place of {expected}: give the machine or the network less to do")
        self._next_chunk[number] = message.sequence + 1
        try:
            self._recording.add_source(number, *convert.from_separated(message))
        except ValueError as error:
            self._notices("source", f"a separated sound is left out: {error}")

    def _number(self, sound_id: int) -> int:
        """A short number for an id: its last digits, or the first free one after them."""
        if sound_id not in self._numbers:
            taken = set(self._numbers.values())
            self._numbers[sound_id] = next(n for n in count(sound_id % IDS_A_SECOND) if n not in taken)
        return self._numbers[sound_id]

    def _on_labels(self, message: LabelTable) -> None:
        self._console.print(
            f"Model {printable(message.model)}: {len(message.labels)} classes, {len(message.azimuths)} directions",
            markup=False,
        )

    def _on_watch(self) -> None:
        if self._n_quiet is None:
            return
        self._n_quiet += 1
        end_after = self.value("end_after")
        if end_after and self._n_quiet * WATCH_S > end_after:
            self.done.set_result(0)


def new_folder(name: str) -> Path:
    """A folder that holds no recording yet, made if need be. Raises ValueError."""
    folder = Path(name).expanduser()  # no shell does that in folder:=~/heard
    if (folder / "events.json").exists():
        raise ValueError(f"{folder} already holds a recording: set the parameter folder to another, or move it away")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"folder {folder} cannot be made ({error}): set the parameter folder to another") from error
    return folder


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    return run(EventRecorder, args)


if __name__ == "__main__":
    sys.exit(main())
