"""Messages to arrays and back, and nothing else. Those of audio are in audio_messages.py."""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from seld_overlap.msg import ClassHypothesis, LabelTable, SeparatedSource, SoundEvent, SoundEventArray
from std_msgs.msg import Header

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.streaming.streams import Chunk
from seld_overlap_ros.streaming.tracks import TrackedSound

SECOND = 1_000_000_000  # [ns]
LAST_NS = 2**31 * SECOND - 1  # a Time holds no later one
N_HYPOTHESES = 5


def to_ns(time: Time) -> int:
    """Nanoseconds of a stamp."""
    return time.sec * SECOND + time.nanosec


def to_time(ns: int) -> Time:
    """The reverse of `to_ns`; what lies beyond the range of a stamp becomes its last."""
    sec, nanosec = divmod(min(ns, LAST_NS), SECOND)
    return Time(sec=sec, nanosec=nanosec)


def to_duration(ns: int) -> Duration:
    """Nanoseconds to a message."""
    sec, nanosec = divmod(ns, SECOND)
    return Duration(sec=sec, nanosec=nanosec)


def to_header(stamp_ns: int, frame_id: str) -> Header:
    """Stamp [ns] and frame to a message."""
    return Header(stamp=to_time(stamp_ns), frame_id=frame_id)


def to_label_table(stamp_ns: int, frame_id: str, model: str, config: SystemConfig) -> LabelTable:
    """What a model can tell apart."""
    return LabelTable(
        header=to_header(stamp_ns, frame_id),
        model=model,
        labels=list(config.labels),
        azimuths=array.array("f", config.azimuths),
    )


def to_hypotheses(class_scores: np.ndarray, labels: Sequence[str]) -> list[ClassHypothesis]:
    """Scores (C,) and names -> the best N_HYPOTHESES classes, by falling score."""
    best = np.argsort(-class_scores, kind="stable")[:N_HYPOTHESES]
    return [ClassHypothesis(class_id=int(c), label=labels[c], score=float(class_scores[c])) for c in best]


def to_event(header: Header, sound: TrackedSound, config: SystemConfig) -> SoundEvent:
    """A sound of the window whose stamp the header carries."""
    return SoundEvent(
        header=header,
        id=sound.id,
        azimuth=config.azimuths[sound.direction],
        azimuth_resolution=config.azimuth_resolution,
        direction_score=sound.direction_score,
        hypotheses=to_hypotheses(sound.class_scores, config.labels),
        unknown=sound.unknown,
        onset=to_time(sound.onset_ns),
        duration=to_duration(sound.duration_ns),
        ended=sound.ended,
    )


def to_event_array(
    header: Header, sounds: Sequence[TrackedSound], ended: Sequence[TrackedSound], config: SystemConfig
) -> SoundEventArray:
    """All sounds of the window whose stamp the header carries, and those that have ended with it."""
    front_end = config.front_end
    return SoundEventArray(
        header=header,
        window=to_duration(front_end.window_samples * SECOND // front_end.sample_rate),
        events=[to_event(header, sound, config) for sound in sounds],
        ended=[to_event(header, sound, config) for sound in ended],
    )


def to_separated(header: Header, chunk: Chunk, config: SystemConfig) -> SeparatedSource:
    """The chunk of a sound that came with the window whose stamp the header carries."""
    return SeparatedSource(
        header=to_header(chunk.stamp_ns, header.frame_id),
        event=to_event(header, chunk.sound, config),
        sequence=chunk.sequence,
        sample_rate=config.front_end.sample_rate,
        samples=array.array("f", chunk.samples.astype(np.float32).tobytes()),
    )


def to_seconds(time: Time | Duration) -> float:
    """Seconds of a stamp or a duration."""
    return time.sec + time.nanosec / SECOND


def from_event(message: SoundEvent) -> Event:
    """The likeliest reading of a sound, its onset in the time of the stamps. Raises ValueError if there is none.

    The label of one whose class is unknown is None.
    """
    if not message.hypotheses:
        raise ValueError(f"sound {message.id} names no class")
    best = message.hypotheses[0]
    return Event(
        id=message.id,
        azimuth=message.azimuth,
        label=None if message.unknown else best.label,
        onset_s=to_seconds(message.onset),
        duration_s=to_seconds(message.duration),
        score=best.score,
    )


def from_separated(message: SeparatedSource) -> tuple[int, float, np.ndarray, int]:
    """Id of a sound, stamp of the first sample of its chunk [s], samples (n,) float32 and their rate [Hz]."""
    samples = np.asarray(message.samples, np.float32)
    return message.event.id, to_seconds(message.header.stamp), samples, message.sample_rate
