"""A scene as a rosbag2 bag: what capture nodes publish, `truth`, `stems` and `/clock`; and a truth for a recorded bag.

`truth` is a SoundEventArray with the true sounds, score 1: one at the start, and one whenever a sound begins or ends.
Its `events` are those that sound at its stamp, each with its whole duration; its `ended` those that end there. So
whoever listens, or has the first half of a bag only, knows each sound as soon as it begins.

`stems`, where the scene has them, are SeparatedSources, as `separated` would carry them were it perfect: each true
sound as microphone 0 hears it alone, in chunks, with the event of that id.
"""

from __future__ import annotations

import heapq
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys.store import Typestore

from seld_overlap_ros.bags.definitions import INFO_TYPE, STEMS_TYPE, TRUTH_TYPE, type_store
from seld_overlap_ros.bags.reading import Bag
from seld_overlap_ros.bags.scenes import BagScene
from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.evaluation.recording import Track
from seld_overlap_ros.graphs import FRAME_ID
from seld_overlap_ros.messages import SECOND
from seld_overlap_ros.streaming.pcm import encode
from seld_overlap_ros.streaming.sources import CHUNK_S

STORAGES = ("mcap", "sqlite3")
VERSION = 8  # of the metadata: the latest that Humble reads; what came later reads it too
START_NS = 1_700_000_000 * SECOND  # of every bag: the same scene gives the same bag
INFO_EVERY_NS = SECOND
FOREVER = QosTime(9223372036, 854775807)  # RMW_DURATION_INFINITE, as rosbag2 writes what a publisher leaves open


def _qos(depth: int, durability: QosDurability = QosDurability.VOLATILE,
         reliability: QosReliability = QosReliability.RELIABLE) -> Qos:
    return Qos(QosHistory.KEEP_LAST, depth, reliability, durability, FOREVER, FOREVER, QosLiveliness.AUTOMATIC, FOREVER,
               False)


STEMS = "/stems"
TOPICS = {  # topic -> type, and how scene_player or rosbag2's player publish it
    "/audio_stamped": ("audio_common_msgs/msg/AudioDataStamped", _qos(100)),
    "/audio_info": (INFO_TYPE, _qos(1, QosDurability.TRANSIENT_LOCAL)),
    "/truth": (TRUTH_TYPE, _qos(50)),
    STEMS: (STEMS_TYPE, _qos(50)),
    "/clock": ("rosgraph_msgs/msg/Clock", _qos(1, reliability=QosReliability.BEST_EFFORT)),
}


class _Timed(NamedTuple):
    time_ns: int  # when it would have been received
    topic: str
    message: object


def write_bag(path: Path, scene: BagScene, storage: str = STORAGES[0]) -> None:
    """Write a new bag, a folder. Raises ValueError if that cannot be, or what the scene's audio raises."""
    with _new_bag(path, storage, scene.title, scene.credits) as writer:
        _write(writer, scene)


def label_bag(path: Path, bag: Bag, events: tuple[Event, ...], storage: str = STORAGES[0]) -> None:
    """Write a new bag, a folder: the audio of a recorded one as it was recorded, and a truth on its scene's clock.

    Raises ValueError if that cannot be.
    """
    types, make = bag.types, _Messages(bag.types.types, sorted({event.label or "" for event in events}))
    came_ns = next(ns for is_audio, ns, _ in bag.recorded() if is_audio)
    kind, qos = TOPICS["/truth"]
    with _new_bag(path, storage, bag.path.name, bag.credits) as writer:
        connections = [writer.add_connection(one.topic, one.msgtype, typestore=types,
                                             offered_qos_profiles=one.ext.offered_qos_profiles) for one in bag.heard]
        truth = writer.add_connection("/truth", kind, typestore=types, offered_qos_profiles=[qos])
        heard = ((ns, connections[0 if is_audio else 1], raw) for is_audio, ns, raw in bag.recorded())
        said = ((timed.time_ns, truth, _serialized(timed, types, bag.path.name))
                for timed in _truth(events, make, came_ns, bag.stamp_at))
        for ns, connection, raw in heapq.merge(heard, said, key=lambda one: one[0]):
            writer.write(connection, ns, raw)


@contextmanager
def _new_bag(path: Path, storage: str, title: str, credits: Iterable[str]) -> Iterator[Writer]:
    """Raises ValueError if there is no such storage, or something at `path`."""
    if storage not in STORAGES:
        raise ValueError(f"no storage {storage!r}: {' or '.join(STORAGES)}")
    if path.exists():
        raise ValueError(f"{path} is there already: name another folder, or move it away")
    writer = Writer(path, version=VERSION, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_custom_data("title", title)
    writer.set_custom_data("credits", "\n".join(credits))
    try:
        with writer:
            yield writer
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)  # half a bag would be taken for a whole one
        raise


def _write(writer: Writer, scene: BagScene) -> None:
    store = type_store()
    connections = {topic: writer.add_connection(topic, kind, typestore=store, offered_qos_profiles=[qos])
                   for topic, (kind, qos) in TOPICS.items() if topic != STEMS or scene.stems}
    make = _Messages(store.types, sorted({event.label or "" for event in scene.events}))
    stems = (_stem(event, scene.stems[event.id], make) for event in scene.events if event.id in scene.stems)
    truth = _truth(scene.events, make, START_NS, lambda at_ns: START_NS + at_ns)
    said = heapq.merge(_sound(scene, make), truth, *stems, key=lambda timed: timed.time_ns)
    for timed in said:
        writer.write(connections[timed.topic], timed.time_ns, _serialized(timed, store, scene.title))


def _serialized(timed: _Timed, store: Typestore, title: str) -> bytes:
    """Raises ValueError for a number that no message can hold."""
    try:
        return store.serialize_cdr(timed.message, TOPICS[timed.topic][0])
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{title}: a number is too large for a message on {timed.topic} ({error}): look at its "
                         "times, which are in seconds, and at its number of channels") from error


class _Messages:
    """Makes messages of the types of a store; a class is known by its place in `labels`."""

    def __init__(self, types: dict[str, type], labels: list[str]) -> None:
        self._types, self._labels = types, labels

    def time(self, ns: int, kind: str = "Time") -> object:
        return self._types[f"builtin_interfaces/msg/{kind}"](*divmod(ns, SECOND))

    def header(self, stamp_ns: int) -> object:
        return self._types["std_msgs/msg/Header"](self.time(stamp_ns), FRAME_ID.default)

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

    def truth(self, now_ns: int, stamp_ns: int, events: list[object], ended: list[object]) -> _Timed:
        message = self._types[TRUTH_TYPE](header=self.header(stamp_ns), window=self.time(0, "Duration"), events=events,
                                          ended=ended)
        return _Timed(now_ns, "/truth", message)

    def stem(self, stamp_ns: int, event: object, sequence: int, rate: int, samples: np.ndarray) -> _Timed:
        message = self._types[STEMS_TYPE](header=self.header(stamp_ns), event=event, sequence=sequence,
                                          sample_rate=rate, samples=samples)
        return _Timed(stamp_ns + len(samples) * SECOND // rate, STEMS, message)

    def event(self, stamp_ns: int, event: Event, onset_ns: int, ended: bool) -> object:
        label = event.label or ""
        hypothesis = self._types["seld_overlap/msg/ClassHypothesis"](self._labels.index(label), label, event.score)
        return self._types["seld_overlap/msg/SoundEvent"](
            header=self.header(stamp_ns), id=event.id, azimuth=event.azimuth, azimuth_resolution=0.0,
            direction_score=1.0, hypotheses=[hypothesis], unknown=event.label is None, onset=self.time(onset_ns),
            duration=self.time(round(event.duration_s * SECOND), "Duration"), ended=ended)


def _span(event: Event) -> tuple[int, int]:
    """Onset and end on the scene's clock [ns]."""
    onset_ns = round(event.onset_s * SECOND)
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


def _truth(events: tuple[Event, ...], make: _Messages, came_ns: int,
           stamp_at: Callable[[int], int]) -> Iterator[_Timed]:
    """What sounds and what ends, at the start and whenever that changes.

    came_ns: when the first one is received; stamp_at: of a moment on the scene's clock [ns].
    """
    spans = {event: _span(event) for event in events}
    for now_ns in sorted({0, *(ns for span in spans.values() for ns in span)}):
        stamp_ns = stamp_at(now_ns)
        sounding, ended = ([make.event(stamp_ns, event, stamp_at(onset_ns), is_over)
                            for event, (onset_ns, end_ns) in spans.items()
                            if (end_ns == now_ns if is_over else onset_ns <= now_ns < end_ns)]
                           for is_over in (False, True))
        yield make.truth(came_ns + now_ns, stamp_ns, sounding, ended)


def _stem(event: Event, stem: Track, make: _Messages) -> Iterator[_Timed]:
    """One sound alone, each chunk when its last sample has sounded."""
    samples, rate = stem.samples(), stem.sample_rate
    size = round(CHUNK_S * rate)
    for sequence, first in enumerate(range(0, len(samples), size)):
        stamp_ns = START_NS + (stem.start + first) * SECOND // rate
        about = make.event(stamp_ns, event, START_NS + _span(event)[0], first + size >= len(samples))
        yield make.stem(stamp_ns, about, sequence, rate, samples[first : first + size])
