"""A scene as a rosbag2 bag: what capture nodes publish, `truth`, and `/clock`.

`truth` is a SoundEventArray with the true sounds, score 1: one at the start, and one whenever a sound begins or ends.
Its `events` are those that sound at its stamp, each with its whole duration; its `ended` those that end there. So
whoever listens, or has the first half of a bag only, knows each sound as soon as it begins.
"""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer

from seld_overlap_ros.bags.definitions import INFO_TYPE, TRUTH_TYPE, type_store
from seld_overlap_ros.bags.scenes import BagScene
from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.messages import SECOND
from seld_overlap_ros.streaming.pcm import encode

STORAGES = ("mcap", "sqlite3")
START_NS = 1_700_000_000 * SECOND  # of every bag: the same scene gives the same bag
INFO_EVERY_NS = SECOND
FRAME_ID = "microphone_array"
FOREVER = QosTime(9223372036, 854775807)  # RMW_DURATION_INFINITE, as rosbag2 writes what a publisher leaves open


def _qos(depth: int, durability: QosDurability = QosDurability.VOLATILE,
         reliability: QosReliability = QosReliability.RELIABLE) -> Qos:
    return Qos(QosHistory.KEEP_LAST, depth, reliability, durability, FOREVER, FOREVER, QosLiveliness.AUTOMATIC, FOREVER,
               False)


TOPICS = {  # topic -> type, and how scene_player or rosbag2's player publish it
    "/audio_stamped": ("audio_common_msgs/msg/AudioDataStamped", _qos(100)),
    "/audio_info": (INFO_TYPE, _qos(1, QosDurability.TRANSIENT_LOCAL)),
    "/truth": (TRUTH_TYPE, _qos(50)),
    "/clock": ("rosgraph_msgs/msg/Clock", _qos(1, reliability=QosReliability.BEST_EFFORT)),
}


class _Timed(NamedTuple):
    time_ns: int  # when it would have been received
    topic: str
    message: object


def write_bag(path: Path, scene: BagScene, storage: str = STORAGES[0]) -> None:
    """Write a new bag, a folder. Raises ValueError if that cannot be, or what the scene's audio raises."""
    if storage not in STORAGES:
        raise ValueError(f"no storage {storage!r}: {' or '.join(STORAGES)}")
    if path.exists():
        raise ValueError(f"{path} is there already: name another folder, or move it away")
    writer = Writer(path, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_custom_data("title", scene.title)
    writer.set_custom_data("credits", "\n".join(scene.credits))
    try:
        with writer:
            _write(writer, scene)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)  # half a bag would be taken for a whole one
        raise


def _write(writer: Writer, scene: BagScene) -> None:
    store = type_store()
    connections = {topic: writer.add_connection(topic, kind, typestore=store, offered_qos_profiles=[qos])
                   for topic, (kind, qos) in TOPICS.items()}
    make = _Messages(store.types)
    for time_ns, topic, message in heapq.merge(_sound(scene, make), _truth(scene.events, make), key=lambda m: m[0]):
        writer.write(connections[topic], time_ns, store.serialize_cdr(message, TOPICS[topic][0]))


class _Messages:
    """Makes messages of the types of a store."""

    def __init__(self, types: dict[str, type]) -> None:
        self._types = types

    def time(self, ns: int, kind: str = "Time") -> object:
        return self._types[f"builtin_interfaces/msg/{kind}"](*divmod(ns, SECOND))

    def header(self, stamp_ns: int) -> object:
        return self._types["std_msgs/msg/Header"](self.time(stamp_ns), FRAME_ID)

    def clock(self, now_ns: int) -> _Timed:
        return _Timed(now_ns, "/clock", self._types["rosgraph_msgs/msg/Clock"](self.time(now_ns)))

    def info(self, now_ns: int, scene: BagScene) -> _Timed:
        audio = scene.audio
        message = self._types[INFO_TYPE](
            channels=audio.channels, sample_rate=audio.sample_rate, sample_format=audio.sample_format,
            bitrate=8 * audio.frame_bytes * audio.sample_rate, coding_format=audio.coding)
        return _Timed(now_ns, "/audio_info", message)

    def audio(self, now_ns: int, stamp_ns: int, data: bytes) -> _Timed:
        audio = self._types["audio_common_msgs/msg/AudioData"](np.frombuffer(data, np.uint8))
        message = self._types["audio_common_msgs/msg/AudioDataStamped"](self.header(stamp_ns), audio)
        return _Timed(now_ns, "/audio_stamped", message)

    def truth(self, now_ns: int, events: list[object], ended: list[object]) -> _Timed:
        message = self._types[TRUTH_TYPE](header=self.header(now_ns), window=self.time(0, "Duration"), events=events,
                                          ended=ended)
        return _Timed(now_ns, "/truth", message)

    def event(self, now_ns: int, event: Event, class_id: int, ended: bool) -> object:
        onset_ns, end_ns = _span(event)
        hypothesis = self._types["seld_overlap/msg/ClassHypothesis"](class_id, event.label or "", event.score)
        return self._types["seld_overlap/msg/SoundEvent"](
            header=self.header(now_ns), id=event.id, azimuth=event.azimuth, azimuth_resolution=0.0, direction_score=1.0,
            hypotheses=[hypothesis], unknown=event.label is None, onset=self.time(onset_ns),
            duration=self.time(end_ns - onset_ns, "Duration"), ended=ended)


def _span(event: Event) -> tuple[int, int]:
    """Stamps of onset and end [ns]."""
    onset_ns = START_NS + round(event.onset_s * SECOND)
    return onset_ns, onset_ns + round(event.duration_s * SECOND)


def _sound(scene: BagScene, make: _Messages) -> Iterator[_Timed]:
    """The audio, each chunk when its last sample has sounded, its format, and the clock."""
    now_ns, next_info_ns, n_samples = START_NS, START_NS, 0
    yield make.clock(now_ns)
    for chunk in scene.chunks:
        if now_ns >= next_info_ns:
            yield make.info(now_ns, scene)
            next_info_ns += INFO_EVERY_NS
        stamp_ns = now_ns
        n_samples += len(chunk)
        now_ns = START_NS + n_samples * SECOND // scene.audio.sample_rate
        yield make.audio(now_ns, stamp_ns, encode(chunk, scene.audio.sample_format))
        yield make.clock(now_ns)


def _truth(events: tuple[Event, ...], make: _Messages) -> Iterator[_Timed]:
    labels = sorted({event.label or "" for event in events})
    spans = {event: _span(event) for event in events}
    moments = {START_NS, *(ns for span in spans.values() for ns in span)}
    for now_ns in sorted(moments):
        sounding, ended = ([make.event(now_ns, event, labels.index(event.label or ""), is_over)
                            for event, (onset_ns, end_ns) in spans.items()
                            if (end_ns == now_ns if is_over else onset_ns <= now_ns < end_ns)]
                           for is_over in (False, True))
        yield make.truth(now_ns, sounding, ended)
