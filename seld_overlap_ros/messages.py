"""What messages say, be they rclpy's or read from a bag: only their fields are looked at, and no ROS is needed.

The audio messages are all that are understood: where each is published, and how a chunk is read from it. Two packages
are called audio_common_msgs, that of ros-drivers (AudioData, AudioDataStamped, AudioInfo) and that of mgonzs13
(AudioStamped).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.streaming.intake import Chunk
from seld_overlap_ros.streaming.pcm import SECOND, AudioError, Description

# audio_utils' names to GStreamer's
FRAME_FORMATS = {
    f"{sign}_{name}": f"{sign[0].upper()}{ours}"
    for sign in ("signed", "unsigned")
    for name, ours in (("8", "8"), ("16", "16LE"), ("24", "24LE"), ("padded_24", "24_32LE"), ("32", "32LE"))
} | {"float": "F32LE", "double": "F64LE"}
# PortAudio's flags, in mgonzs13's AudioInfo: the array that holds the samples, how, and as what
ARRAYS = {
    1: ("float32_data", "<f4", "F32LE"),
    2: ("int32_data", "<i4", "S32LE"),
    8: ("int16_data", "<i2", "S16LE"),
    16: ("int8_data", "<i1", "S8"),
    32: ("uint8_data", "<u1", "U8"),
}
HARK_FULL_SCALE = np.float32(2**15)  # its floats are in the range of 16-bit integers

def to_ns(time: Any) -> int:
    """Nanoseconds of a stamp or a duration."""
    return time.sec * SECOND + time.nanosec


def to_seconds(time: Any) -> float:
    """Seconds of a stamp or a duration."""
    return time.sec + time.nanosec / SECOND


def from_event(message: Any) -> Event:
    """The likeliest reading of a SoundEvent, its onset in the time of the stamps. Raises ValueError if there is none.

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


def read_audio_data(message: Any, described: Description) -> Chunk:
    """audio_common_msgs/AudioData of ros-drivers. Its format is in AudioInfo, and it has no stamp."""
    return Chunk(0, np.frombuffer(message.data, np.uint8))


def read_audio_data_stamped(message: Any, described: Description) -> Chunk:
    """audio_common_msgs/AudioDataStamped of ros-drivers. Its format is in AudioInfo."""
    data = np.frombuffer(message.audio.data, np.uint8)
    return Chunk(to_ns(message.header.stamp), data, frame_id=message.header.frame_id)


def read_audio_stamped(message: Any, described: Description) -> Chunk:
    """audio_common_msgs/AudioStamped of mgonzs13. Raises AudioError on an unknown format."""
    info = message.audio.info
    if info.format not in ARRAYS:
        raise AudioError("format", f"unknown sample format {info.format}: let the source send one of {sorted(ARRAYS)}, "
                         "PortAudio's numbers")
    field, dtype, sample_format = ARRAYS[info.format]
    data = np.asarray(getattr(message.audio.audio_data, field), dtype).view(np.uint8)
    said = Description(info.channels, info.rate, sample_format)
    return Chunk(to_ns(message.header.stamp), data, said, frame_id=message.header.frame_id)


def read_audio_frame(message: Any, described: Description) -> Chunk:
    """audio_utils_msgs/AudioFrame."""
    sample_format = FRAME_FORMATS.get(message.format, message.format)
    said = Description(message.channel_count, message.sampling_frequency, sample_format)
    data = np.frombuffer(message.data, np.uint8)
    return Chunk(to_ns(message.header.stamp), data, said, frame_id=message.header.frame_id)


def read_raw_audio(message: Any, described: Description) -> Chunk:
    """foxglove_msgs/RawAudio. Raises AudioError unless it is pcm-s16, the only format that it knows."""
    if message.format != "pcm-s16":
        raise AudioError("format", f"unknown audio format {message.format!r}: let the source send pcm-s16")
    said = Description(message.number_of_channels, message.sample_rate, "S16LE")
    return Chunk(to_ns(message.timestamp), np.frombuffer(message.data, np.uint8), said)


def read_hark_wave(message: Any, described: Description) -> Chunk:
    """hark_msgs/HarkWave: overlapping frames. It says no rate: `described`'s is taken. Raises AudioError."""
    waves = [np.asarray(source.wavedata, np.float32) for source in message.src]
    lengths = {len(wave) for wave in waves}
    if len(lengths) > 1:
        raise AudioError("bytes", f"a frame whose microphones have {sorted(lengths)} samples is left out: "
                         "check the source")
    samples = np.stack(waves, axis=1) / HARK_FULL_SCALE if waves else np.empty((0, 0), np.float32)
    said = Description(len(waves), described.sample_rate, "F32LE")
    data = np.ascontiguousarray(samples, "<f4").reshape(-1).view(np.uint8)
    return Chunk(to_ns(message.header.stamp), data, said, message.count, message.header.frame_id)


def from_audio_info(message: Any) -> Description:
    """What ros-drivers' message says of the chunks beside it, unchecked."""
    return Description(message.channels, message.sample_rate, message.sample_format, message.coding_format)


@dataclass(frozen=True)
class AudioKind:
    """A message type, and where its sources publish it unless they are remapped."""

    package: str
    name: str
    topic: str
    read: Callable[[Any, Description], Chunk]  # of a message, and of the format that parameters tell
    info: bool = False  # whether the format is in the AudioInfo on audio_info; then it is ros-drivers' package

    @property
    def type_name(self) -> str:
        """As ROS writes it."""
        return f"{self.package}/msg/{self.name}"


# The best first: those with a stamp before those without, and what the player here sends before all.
AUDIO_KINDS = (
    AudioKind("audio_common_msgs", "AudioDataStamped", "audio_stamped", read_audio_data_stamped, info=True),
    AudioKind("audio_common_msgs", "AudioStamped", "audio", read_audio_stamped),
    AudioKind("audio_utils_msgs", "AudioFrame", "audio_out", read_audio_frame),
    AudioKind("foxglove_msgs", "RawAudio", "audio", read_raw_audio),
    AudioKind("hark_msgs", "HarkWave", "HarkWave", read_hark_wave),
    AudioKind("audio_common_msgs", "AudioData", "audio", read_audio_data, info=True),
)
