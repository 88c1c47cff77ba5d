"""What a graph said while it listened, as a rosbag2 bag: its topics, each message when it came, and the audio's stamps.

The audio itself is not in it, for it is in the bag that was played: `audio_came` holds the stamp of each chunk's first
sample, as a std_msgs/Header, received when the chunk was.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import StoragePlugin, Writer

from seld_overlap_ros.bags.definitions import TRUTH_TYPE, type_store
from seld_overlap_ros.bags.storage import BagError, Storage, short
from seld_overlap_ros.messages import SECOND, to_ns

AUDIO_TOPIC = "/audio_came"
DIAGNOSTICS = "/diagnostics"
TYPES = {
    "/events": TRUTH_TYPE,
    "/separated": "seld_overlap/msg/SeparatedSource",
    "/labels": "seld_overlap/msg/LabelTable",
    DIAGNOSTICS: "diagnostic_msgs/msg/DiagnosticArray",
    AUDIO_TOPIC: "std_msgs/msg/Header",
}


class RunWriter:
    """Writes messages as they come."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError if it is there already, or cannot be made."""
        if path.exists():
            raise ValueError(f"{path} is there already: name another folder, or move it away")
        self._store = type_store()
        self._writer = Writer(path, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP)
        try:
            self._writer.open()
        except OSError as error:
            raise ValueError(f"{path} cannot be made ({error}): name another folder") from error
        self._connections = {topic: self._writer.add_connection(topic, kind, typestore=self._store)
                             for topic, kind in TYPES.items()}

    def write(self, topic: str, raw: bytes) -> None:
        """A message in CDR that has just come."""
        self._writer.write(self._connections[f"/{topic.lstrip('/')}"], time.time_ns(), raw)

    def audio_came(self, stamp_ns: int) -> None:
        """A chunk of audio has just come; stamp_ns is its first sample's."""
        types = self._store.types
        header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, SECOND)), "")
        self.write(AUDIO_TOPIC, self._store.serialize_cdr(header, TYPES[AUDIO_TOPIC]))

    def close(self) -> None:
        """Finish the bag."""
        self._writer.close()


@dataclass
class Run:
    """What was recorded; times of reception are [s] of one clock, whichever it is."""

    windows: list[tuple[float, Any]] = field(default_factory=list)  # received, SoundEventArray
    separated: list[Any] = field(default_factory=list)  # SeparatedSource
    audio: list[tuple[int, float]] = field(default_factory=list)  # stamp of a chunk's first sample [ns], received
    model: str = ""  # of the graph, as its parameter had it; empty where it did not tell
    factors: dict[str, float] = field(default_factory=dict)  # node -> its real-time factor, as it last told it
    notes: list[str] = field(default_factory=list)  # what is wrong with the recording


def read_run(path: Path) -> Run:
    """Raises BagError if there is no bag that can be read, or none of a run."""
    if not path.exists():
        raise BagError(f"no bag {path}")
    storage, run = Storage(path), Run()
    wanted = [c for c in storage.connections if TYPES.get(c.topic) == c.msgtype]
    if not {"/events", AUDIO_TOPIC} <= {c.topic for c in wanted}:
        raise BagError(f"{path.name} is no recording of a run: make one with `seld-overlap evaluate --live`, or with "
                       "run_recorder")
    store = storage.types(wanted)
    for connection, time_ns, raw in storage.messages(wanted):
        try:
            message = store.deserialize_cdr(raw, connection.msgtype)
            _take(run, connection.topic, time_ns, message)
        except Exception as error:  # rosbags lets through whatever its parsers run into
            storage.note(f"a message on {connection.topic} of {path.name} is left out: {short(error)}")
    run.notes = storage.notes
    return run


def _take(run: Run, topic: str, time_ns: int, message: Any) -> None:
    if topic == "/events":
        run.windows.append((time_ns / SECOND, message))
    elif topic == "/separated":
        run.separated.append(message)
    elif topic == "/labels":
        run.model = message.model
    elif topic == AUDIO_TOPIC:
        run.audio.append((to_ns(message.stamp), time_ns / SECOND))
    elif topic == DIAGNOSTICS:
        run.factors |= _factors(message)


def _factors(message: Any) -> dict[str, float]:
    """Node -> real-time factor, of the lines of /diagnostics that tell one. Raises ValueError where it is no number."""
    told = {status.name.partition(": ")[0]: pair.value for status in message.status for pair in status.values
            if pair.key == "real-time factor" and pair.value != "unknown"}
    return {node: _number(node, value) for node, value in told.items()}


def _number(node: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"the real-time factor of {node} is {value!r}, which is no number")
    return number
