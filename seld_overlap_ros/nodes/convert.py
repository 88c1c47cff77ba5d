"""Arrays to messages, and those of single windows back. Those of audio: audio_messages.py; the rest: messages.py."""

from __future__ import annotations

import array
import math
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from seld_overlap.msg import (
    AudioWindow,
    ClassHypothesis,
    DirectionActivity,
    GateWeights,
    LabelTable,
    SeparatedSource,
    SeparatedSpectra,
    SoundEvent,
    SoundEventArray,
)
from std_msgs.msg import Header

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.hearing import Activity, Spectra, check_window
from seld_overlap_ros.messages import SECOND, to_seconds
from seld_overlap_ros.messages import to_ns as to_ns  # the nodes' convert.to_ns
from seld_overlap_ros.streaming.pcm import LOUDEST
from seld_overlap_ros.streaming.streams import Chunk
from seld_overlap_ros.streaming.tracks import TrackedSound

FIRST_NS, LAST_NS = -(2**31) * SECOND, 2**31 * SECOND - 1  # a Time holds none before and none after
N_HYPOTHESES = 5


def to_time(ns: int) -> Time:
    """The reverse of `to_ns`; what lies beyond the range of a stamp becomes its first or last."""
    sec, nanosec = divmod(max(FIRST_NS, min(ns, LAST_NS)), SECOND)
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
        samples=to_floats(chunk.samples),
    )


def from_separated(message: SeparatedSource) -> tuple[float, np.ndarray, int]:
    """Stamp of the first sample of a sound's chunk [s], samples (n,) float32 and their rate [Hz]."""
    samples = np.asarray(message.samples, np.float32)
    return to_seconds(message.header.stamp), samples, message.sample_rate


def to_window(header: Header, samples: np.ndarray, config: SystemConfig) -> AudioWindow:
    """Window (M, window_samples) float32 to a message."""
    return AudioWindow(
        header=header,
        sample_rate=config.front_end.sample_rate,
        channels=len(samples),
        samples=to_floats(samples),
    )


def from_window(message: AudioWindow, config: SystemConfig) -> np.ndarray:
    """The samples (M, window_samples) float32, not copied. Raises ValueError if the model cannot use them."""
    expected = config.front_end.sample_rate
    if message.sample_rate != expected:
        raise ValueError(f"it is at {message.sample_rate} Hz and the model needs {expected} Hz")
    samples = np.asarray(message.samples, np.float32)
    if not message.channels or len(samples) % message.channels:
        raise ValueError(f"{len(samples)} samples are no whole number for each of {message.channels} microphones")
    samples = samples.reshape(message.channels, -1)
    check_window(samples, config)
    if not (np.abs(samples) <= LOUDEST).all():
        raise ValueError("it holds samples that are NaN, infinite or absurdly large")
    return samples


def to_activity(header: Header, activity: Activity) -> DirectionActivity:
    """What SSL hands on, as a message."""
    return DirectionActivity(
        header=header, scores=to_floats(activity.scores), directions=_indices(activity.directions)
    )


def from_activity(message: DirectionActivity, config: SystemConfig) -> Activity:
    """The reverse of `to_activity`. Raises ValueError if it is not of the model's directions."""
    scores = np.asarray(message.scores, np.float32)
    if len(scores) != len(config.azimuths):
        raise ValueError(f"it has {len(scores)} directions and the model {len(config.azimuths)}")
    _check_unit("scores", scores)
    return Activity(scores, _directions(message.directions, len(scores)))


def to_spectra(header: Header, spectra: Spectra) -> SeparatedSpectra:
    """What SSS or the gate hands on, as a message."""
    _, n_bins, n_frames = spectra.log_mag.shape
    return SeparatedSpectra(
        header=header,
        directions=_indices(spectra.directions),
        direction_scores=to_floats(spectra.direction_scores),
        n_bins=n_bins,
        n_frames=n_frames,
        log_mag=to_floats(spectra.log_mag),
    )


def from_spectra(message: SeparatedSpectra) -> Spectra:
    """The reverse of `to_spectra`. Raises ValueError if it does not fit together."""
    scores, log_mag = np.asarray(message.direction_scores, np.float32), np.asarray(message.log_mag, np.float32)
    shape = (len(message.directions), message.n_bins, message.n_frames)
    if len(scores) != shape[0] or log_mag.size != math.prod(shape):
        raise ValueError(f"{log_mag.size} values and {len(scores)} scores are no spectra of shape {shape} (K, F, T)")
    _check_unit("scores", scores)
    _check_unit("magnitudes", log_mag)
    return Spectra(_directions(message.directions, 2**16), scores, log_mag.reshape(shape))


def from_spectra_of(message: SeparatedSpectra, config: SystemConfig) -> Spectra:
    """As `from_spectra`, for the model that is to classify them. Raises ValueError if it cannot."""
    spectra = from_spectra(message)
    expected = (config.front_end.n_bins, config.front_end.n_frames)
    if spectra.log_mag.shape[1:] != expected:
        raise ValueError(f"they are of shape {spectra.log_mag.shape[1:]} (F, T) and the model needs {expected}")
    _directions(message.directions, len(config.azimuths))
    return spectra


def to_gate_weights(header: Header, directions: np.ndarray, weights: np.ndarray) -> GateWeights:
    """Directions (K,) and the weights of the first SSS (K, F, T) to a message."""
    return GateWeights(
        header=header,
        directions=_indices(directions),
        n_bins=weights.shape[1],
        n_frames=weights.shape[2],
        weights=to_floats(weights),
    )


def to_floats(values: np.ndarray) -> array.array:
    """Values of any shape as the field of a message; of a list or an array rclpy would check every element."""
    return array.array("f", np.ascontiguousarray(values, np.float32).tobytes())


def _indices(values: np.ndarray) -> array.array:
    return array.array("H", values.astype(np.uint16).tobytes())


def _directions(values: Sequence[int], n_directions: int) -> np.ndarray:
    directions = np.asarray(values, np.int64)
    if len(set(directions.tolist())) < len(directions) or (directions >= n_directions).any():
        raise ValueError(f"directions {directions.tolist()} are no choice of {n_directions}")
    return directions


def _check_unit(name: str, values: np.ndarray) -> None:
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"its {name} do not all lie in [0, 1]")
