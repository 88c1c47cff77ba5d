"""A bag to what a node would have heard of it, to the true events in it, and to each of them alone.

Topics are found by type and by the last part of their name, so a namespace does not matter. What is wrong with a bag
is said in a sentence each (`notes`), and what can be read is read; a bag without any audio is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from rosbags.interfaces import Connection
from rosbags.typesys.store import Typestore

from seld_overlap_ros.bags.definitions import INFO_TYPE, STEMS_TYPE, TRUTH_TYPE
from seld_overlap_ros.bags.storage import BagError, Storage, same, short
from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.evaluation.recording import Recording, Track
from seld_overlap_ros.graphs import SAMPLE_FORMAT, SAMPLE_RATE
from seld_overlap_ros.messages import AUDIO_KINDS, SECOND, AudioKind, from_audio_info, from_event, to_ns
from seld_overlap_ros.streaming.intake import Intake, stand_still
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.pcm import AudioError, AudioFormat, Description
from seld_overlap_ros.streaming.stream import Window

TRUTH_TOPIC, STEMS_TOPIC, INFO_TOPIC = "truth", "stems", "audio_info"
JUMP_NS = round(FrontEnd().window_s * SECOND)  # stamps off by more are a jump to AudioStream, by less a gap


def read_bag(path: Path, n_channels: int = 1) -> Bag:
    """Open a bag: its folder, or one of its files. Raises BagError that says what is wrong.

    `n_channels`: of audio that does not say how many it has, the microphones of whoever will listen to it.
    """
    if not path.exists():
        raise BagError(f"no bag {path}")
    storage = Storage(path)
    topics = _find_topics(storage)
    return Bag(path, storage, topics, _survey(storage, topics, n_channels))


@dataclass(frozen=True)
class _Topics:
    """The topics of a bag that matter, and how to read them."""

    kind: AudioKind
    audio: Connection
    info: Connection | None
    truth: Connection | None
    stems: Connection | None
    store: Typestore

    @property
    def heard(self) -> list[Connection]:
        """What a node listens to."""
        return [topic for topic in (self.audio, self.info) if topic is not None]

    @property
    def surveyed(self) -> list[Connection]:
        """What is read when a bag is opened."""
        return [*self.heard, *([self.truth] if self.truth else [])]

    def read(self, connection: Connection, raw: bytes) -> Any:
        """A message. Raises AudioError if it is not one of the type that the bag says."""
        try:
            return self.store.deserialize_cdr(raw, connection.msgtype)
        except Exception as error:  # rosbags lets through whatever its parsers run into
            raise AudioError("message", f"a message on {connection.topic} is no {connection.msgtype} "
                                        f"({short(error)}): record the bag again") from error


def _find_topics(storage: Storage) -> _Topics:
    """Raises BagError if there is no audio."""
    there = sorted({(c.topic, c.msgtype): c for c in storage.connections}.values(), key=lambda c: len(c.topic))
    found = [(kind, c) for kind in AUDIO_KINDS for c in there
             if c.msgtype == kind.type_name and c.topic.rsplit("/", 1)[-1] == kind.topic]
    if not found:
        known = ", ".join(f"{kind.topic} ({kind.type_name})" for kind in AUDIO_KINDS)
        said = ", ".join(f"{c.topic} ({c.msgtype})" for c in there) or "nothing"
        raise BagError(f"{storage.name} holds no audio that is understood: it has {said}; record one of {known}")
    kind, audio = min(found, key=lambda one: not one[1].msgcount)  # the first that has messages
    namespace = audio.topic.rsplit("/", 1)[0]
    info = next((c for c in there if kind.info and c.topic == f"{namespace}/{INFO_TOPIC}" and c.msgtype == INFO_TYPE),
                None)
    truth, no_truth = _named(there, TRUTH_TOPIC, TRUTH_TYPE)
    stems, no_stems = _named(there, STEMS_TOPIC, STEMS_TYPE)
    if truth is None:
        storage.note(f"{storage.name} has no ground truth ({no_truth}): there is nothing to score against")
    elif stems is None and "no topic" not in no_stems:
        storage.note(f"{storage.name}: {no_stems}, and separation is not scored")
    store = storage.types([topic for topic in (audio, info, truth, stems) if topic is not None])
    return _Topics(kind, audio, info, truth, stems, store)


def _named(there: Sequence[Connection], name: str, kind: str) -> tuple[Connection | None, str]:
    """The topic of a name and a type, or why there is none."""
    named = [c for c in there if c.topic.rsplit("/", 1)[-1] == name]
    found = next((c for c in named if c.msgtype == kind), None)
    return found, f"{named[0].topic} is a {named[0].msgtype} and no {kind}" if named else f"no topic {name}"


@dataclass
class _Stretch:
    """Audio whose stamps do not jump."""

    start_ns: int  # stamp of its first sample
    end_ns: int  # stamp that follows its last sample
    at_ns: int  # when it starts on the scene's clock

    def away_ns(self, stamp_ns: int) -> int:
        """How far a stamp lies outside."""
        return max(self.start_ns - stamp_ns, stamp_ns - self.end_ns, 0)


@dataclass
class _Survey:
    """What a first pass finds."""

    n_channels: int  # where nothing tells them
    chunks: list[tuple[int, int, Description | None]] = field(default_factory=list)  # stamp [ns], bytes, format
    received_ns: int = 0  # when the first chunk was
    described: Description | None = None  # the first format that is told
    events: dict[int, tuple[int, Event]] = field(default_factory=dict)  # id -> stamp of the onset, event
    n_truth: int = 0  # messages of truth

    @property
    def stamped(self) -> bool:
        """Whether the audio has stamps that tell its time: not where there is none, or all are the same one."""
        stamps = {stamp_ns for stamp_ns, _, _ in self.chunks}
        length_ns = sum(self.length_ns(n_bytes, described) for _, n_bytes, described in self.chunks)
        # then a node takes it for unbroken too
        unbroken = len(stamps) == 1 and stand_still(len(self.chunks), length_ns / SECOND)
        return any(stamps) and not unbroken

    def length_ns(self, n_bytes: int, described: Description | None) -> int:
        """Of a chunk; 0 where its format is none, which is said when it is listened to."""
        try:
            audio = AudioFormat(*(described or _told(self.described, self.n_channels)))
        except AudioError:
            return 0
        return n_bytes // audio.frame_bytes * SECOND // audio.sample_rate


def _survey(storage: Storage, topics: _Topics, n_channels: int) -> _Survey:
    """Raises BagError if there is no audio."""
    found = _Survey(n_channels)
    for connection, time_ns, raw in storage.messages(topics.surveyed):
        try:
            _take(found, storage, topics, connection, time_ns, topics.read(connection, raw))
        except (ValueError, AttributeError) as error:  # of audio it is said again, and counted, when it is listened to
            storage.note(f"{connection.topic}: {short(error)}")
    if not found.chunks:
        raise BagError(f"{storage.name} has no message of audio on {topics.audio.topic} that can be read")
    if topics.kind.info and found.described is None:
        storage.note(f"no {INFO_TOPIC} beside {topics.audio.topic}: the audio is taken for as many channels as the "
                     f"model has microphones, {SAMPLE_FORMAT.default} at {SAMPLE_RATE.default} Hz")
    return found


def _take(
    found: _Survey, storage: Storage, topics: _Topics, connection: Connection, time_ns: int, message: Any
) -> None:
    if same(connection, topics.audio):
        chunk = topics.kind.read(message, _told(found.described, found.n_channels))
        found.received_ns = found.received_ns or time_ns
        found.chunks.append((chunk.stamp_ns, len(chunk.data), chunk.described))
    elif topics.info is not None and same(connection, topics.info):
        found.described = found.described or from_audio_info(message)
    else:
        found.n_truth += 1
        if len({event.id for event in message.events}) < len(message.events):
            storage.note(f"{connection.topic}: of sounds of one message that share an id only the last one counts")
        for event in [*message.events, *message.ended]:
            try:
                found.events[event.id] = (to_ns(event.onset), from_event(event))
            except ValueError as error:
                storage.note(f"{connection.topic}: {short(error)}")


def _told(described: Description | None, n_channels: int) -> Description:
    """The format of audio that does not say, as far as it is told."""
    return described or Description(n_channels, SAMPLE_RATE.default, SAMPLE_FORMAT.default)


def _stretches(found: _Survey) -> list[_Stretch]:
    stretches: list[_Stretch] = []
    stamped = found.stamped  # it goes through all chunks
    for stamp_ns, n_bytes, described in found.chunks:
        last = stretches[-1] if stretches else None
        length_ns = found.length_ns(n_bytes, described)
        if not stamped:  # then it is unbroken, and was received when its last sample had sounded
            stamp_ns = last.end_ns if last else found.received_ns - length_ns
        if last is None or abs(stamp_ns - last.end_ns) > JUMP_NS:
            stretches.append(_Stretch(stamp_ns, stamp_ns, last.at_ns + last.end_ns - last.start_ns if last else 0))
        stretches[-1].end_ns = stamp_ns + length_ns
    return stretches


class Bag:
    """A bag that was opened. Its files are read anew each time it is listened to; the stems are kept.

    Time 0 of the scene is the first sample. Where the stamps jump, the scene's clock does not: what follows goes on at
    once. Stamps that come twice, after a clock was set back, are not told apart.
    """

    def __init__(self, path: Path, storage: Storage, topics: _Topics, survey: _Survey) -> None:
        self.path = path
        self.notes = storage.notes  # a sentence for each thing that is wrong
        self.credits = storage.credits  # a line for each recording in it, where the bag says so
        self.n_chunks = len(survey.chunks)  # messages of audio
        self.described = survey.described  # what AudioInfo tells, unchecked; None: the messages say it, or nothing does
        self._storage, self._topics = storage, topics
        self._stems: dict[int, dict[int, Track]] = {}  # rate -> what `stems` gives
        self._stretches = _stretches(survey)
        # of the stamps of a node, which count from the only one that the audio has, and from 0 where it has none
        self.shift_ns = 0 if survey.stamped else self._stretches[0].start_ns - survey.chunks[0][0]
        # None: no ground truth; a bag of silence has a message that says so
        self.events = self._true_events(survey) if topics.truth and survey.n_truth else None
        if topics.truth and not survey.n_truth:
            storage.note(f"{storage.name} has no ground truth (no message of {topics.truth.topic} that can be read): "
                         "there is nothing to score against")

    @property
    def duration_s(self) -> float:
        """Length of the audio [s], gaps included and jumps left out."""
        last = self._stretches[-1]
        return (last.at_ns + last.end_ns - last.start_ns) / SECOND

    def since_start(self, stamp_ns: int) -> float:
        """A stamp on the scene's clock [s]."""
        stretch = min(self._stretches, key=lambda one: one.away_ns(stamp_ns))
        return (stretch.at_ns + stamp_ns - stretch.start_ns) / SECOND

    def stamp_at(self, at_ns: int) -> int:
        """The stamp of a moment on the scene's clock, both [ns]; where the audio has none, when it was received."""
        stretch = next((one for one in reversed(self._stretches) if one.at_ns <= at_ns), self._stretches[0])
        return stretch.start_ns + at_ns - stretch.at_ns

    def windows(self, front_end: FrontEnd, n_channels: int, hop_s: float, notices: Notices,
                tick: Callable[[], object] = lambda: None, channel_map: tuple[int, ...] = ()) -> Iterator[Window]:
        """The windows that a node with this front end and so many microphones gets; `tick` is called for each chunk.

        `channel_map`: see Intake.
        """
        topics, intake = self._topics, Intake(front_end, n_channels, hop_s, notices, channel_map)
        told = _told(self.described, n_channels)
        if topics.kind.info:
            intake.describe(told)
        for connection, _, raw in self._storage.messages(topics.heard):
            try:
                message = topics.read(connection, raw)
                if same(connection, topics.audio):
                    tick()
                    yield from map(self._stamped, intake.push(topics.kind.read(message, told)))
                else:
                    intake.describe(from_audio_info(message))
            except (ValueError, AttributeError) as error:
                intake.refuse(error if isinstance(error, AudioError) else AudioError("message", str(error)))
        yield from map(self._stamped, intake.stream.settle())

    def stems(self, sample_rate: int) -> dict[int, Track]:
        """Each true sound alone as microphone 0 hears it, by its id, on the scene's clock; {} where there are none."""
        if sample_rate not in self._stems:
            self._stems[sample_rate] = self._read_stems(sample_rate)
        return self._stems[sample_rate]

    def _read_stems(self, sample_rate: int) -> dict[int, Track]:
        topic, found = self._topics.stems, Recording()
        for _, _, raw in self._storage.messages([topic] if topic else []):
            try:
                message = self._topics.read(topic, raw)
                at_s = self.since_start(to_ns(message.header.stamp))
                found.add_source(message.event.id, at_s, np.asarray(message.samples), message.sample_rate)
            except (ValueError, AttributeError) as error:
                self._storage.note(f"{topic.topic}: {short(error)}")
        true = {event.id for event in self.events or ()}
        return {known: _at_rate(track, sample_rate) for known, track in found.tracks.items() if known in true}

    @property
    def tells_its_format(self) -> bool:
        """Whether its messages say the audio's rate and channels, or AudioInfo beside them does."""
        return self.described is not None or not self.kind.info

    @property
    def kind(self) -> AudioKind:
        """The type of its audio."""
        return self._topics.kind

    @property
    def types(self) -> Typestore:
        """The types of its topics, and of those that are written beside them."""
        return self._topics.store

    @property
    def heard(self) -> list[Connection]:
        """What a node listens to: the audio, and AudioInfo if there is any."""
        return self._topics.heard

    @property
    def heard_topics(self) -> dict[str, str]:
        """All that a node listens to: a topic of the bag -> what a node without a namespace calls it."""
        return {topic.topic: f"/{topic.topic.rsplit('/', 1)[-1]}" for topic in self._topics.heard}

    def recorded(self) -> Iterator[tuple[bool, int, bytes]]:
        """All that a node listens to, as it was recorded: whether it is audio or AudioInfo, when it came [ns], CDR."""
        for connection, time_ns, raw in self._storage.messages(self._topics.heard):
            yield same(connection, self._topics.audio), time_ns, bytes(raw)

    def _stamped(self, window: Window) -> Window:
        return replace(window, stamp_ns=window.stamp_ns + self.shift_ns)

    def _true_events(self, survey: _Survey) -> tuple[Event, ...]:
        """By onset, as far as the audio reaches."""
        events = [replace(event, onset_s=self.since_start(ns)) for ns, event in survey.events.values()]
        inside = [replace(event, duration_s=min(event.duration_s, self.duration_s - event.onset_s))
                  for event in events if event.onset_s < self.duration_s and event.end_s > 0]
        if n_outside := len(events) - len(inside):
            self._storage.note(f"{n_outside} of {len(events)} true sounds lie before or after the audio and are not "
                               "counted")
        return tuple(sorted(inside, key=lambda event: (event.onset_s, event.id)))


def _at_rate(track: Track, sample_rate: int) -> Track:
    if track.sample_rate == sample_rate:
        return track
    samples = soxr.resample(track.samples(), track.sample_rate, sample_rate)
    start = round(track.start * sample_rate / track.sample_rate)
    return Track(sample_rate, {start: samples}, start + len(samples))
