"""Every audio message that is understood: where it is published, how a chunk is read from it, and how one is written.

None of the packages is needed: what is there is found when a node starts. Two packages are called audio_common_msgs,
that of ros-drivers (AudioData, AudioDataStamped, AudioInfo) and that of mgonzs13 (AudioStamped).
"""

from __future__ import annotations

import array
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from seld_overlap_ros.graphs import AUDIO_TYPES, AUTO
from seld_overlap_ros.nodes.convert import to_header, to_ns
from seld_overlap_ros.streaming.intake import Chunk
from seld_overlap_ros.streaming.pcm import AudioError, AudioFormat, Description, encode

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


def to_audio_data_stamped(stamp_ns: int, frame_id: str, samples: np.ndarray, audio: AudioFormat) -> Any:
    """Samples (n, M) float32, stamp_ns the first one's, to ros-drivers' message; its format goes in AudioInfo."""
    message = find_message("audio_common_msgs", "AudioDataStamped")(header=to_header(stamp_ns, frame_id))
    # An array.array is taken as it is; of bytes or a list rclpy checks every element.
    message.audio.data = array.array("B", encode(samples, audio.sample_format))
    return message


def to_audio_stamped(stamp_ns: int, frame_id: str, samples: np.ndarray, audio: AudioFormat) -> Any:
    """Samples (n, M) float32, stamp_ns the first one's, to mgonzs13's message. Raises AudioError on another format."""
    flags = {ours: flag for flag, (_, _, ours) in ARRAYS.items()}
    if audio.sample_format not in flags:
        raise AudioError("format", f"audio_common_msgs/AudioStamped holds no {audio.sample_format}: set "
                         f"sample_format to one of {', '.join(flags)}")
    message = find_message("audio_common_msgs", "AudioStamped")(header=to_header(stamp_ns, frame_id))
    flag = flags[audio.sample_format]
    info, (field, dtype, _) = message.audio.info, ARRAYS[flag]
    info.format, info.channels, info.rate, info.chunk = flag, audio.channels, audio.sample_rate, len(samples)
    setattr(message.audio.audio_data, field, array.array(np.dtype(dtype).char, encode(samples, audio.sample_format)))
    return message


def to_audio_info(audio: AudioFormat) -> Any:
    """What a format says, as ros-drivers' message that goes beside the chunks."""
    return find_message("audio_common_msgs", "AudioInfo")(
        channels=audio.channels,
        sample_rate=audio.sample_rate,
        sample_format=audio.sample_format,
        bitrate=8 * audio.frame_bytes * audio.sample_rate,
        coding_format=audio.coding,
    )


def from_audio_info(message: Any) -> Description:
    """The reverse of `to_audio_info`, unchecked."""
    return Description(message.channels, message.sample_rate, message.sample_format, message.coding_format)


@dataclass(frozen=True)
class AudioKind:
    """A message type, and where its sources publish it unless they are remapped."""

    package: str
    name: str
    topic: str
    read: Callable[[Any, Description], Chunk]  # of a message, and of the format that parameters tell
    write: Callable[[int, str, np.ndarray, AudioFormat], Any] | None = None  # the reverse, where the player needs it
    info: bool = False  # whether the format is in the AudioInfo on audio_info; then it is ros-drivers' package

    @property
    def type_name(self) -> str:
        """As ROS writes it."""
        return f"{self.package}/msg/{self.name}"

    def message_type(self) -> type | None:
        """The class of its messages, None where they are not installed."""
        if self.info and find_message(self.package, "AudioDataStamped") is None:
            return None  # both packages have an AudioData
        return find_message(self.package, self.name)


# The best first: those with a stamp before those without, and what the player here sends before all.
AUDIO_KINDS = (
    AudioKind(
        "audio_common_msgs", "AudioDataStamped", "audio_stamped", read_audio_data_stamped, to_audio_data_stamped, True
    ),
    AudioKind("audio_common_msgs", "AudioStamped", "audio", read_audio_stamped, to_audio_stamped),
    AudioKind("audio_utils_msgs", "AudioFrame", "audio_out", read_audio_frame),
    AudioKind("foxglove_msgs", "RawAudio", "audio", read_raw_audio),
    AudioKind("hark_msgs", "HarkWave", "HarkWave", read_hark_wave),
    AudioKind("audio_common_msgs", "AudioData", "audio", read_audio_data, info=True),
)


def find_message(package: str, name: str) -> type | None:
    """A message class that may not be installed."""
    try:
        return getattr(import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None


def installed_kinds(wanted: str = AUTO) -> list[AudioKind]:
    """The kinds whose messages are installed, of all or of that name. Raises AudioError if there is none."""
    if wanted not in AUDIO_TYPES:
        raise AudioError("type", f"unknown audio_type {wanted!r}: set it to one of {', '.join(AUDIO_TYPES)}")
    kinds = [kind for kind in AUDIO_KINDS if wanted in (AUTO, kind.name)]
    found = [kind for kind in kinds if kind.message_type() is not None]
    if not found:
        missing = ", ".join(kind.type_name for kind in kinds)
        raise AudioError(
            "type",
            f"no audio messages ({missing}) are installed here: install them, such as "
            "ros-$ROS_DISTRO-audio-common-msgs (two packages have that name, and only one can be there)",
        )
    return found


def kind_to_send() -> AudioKind:
    """What the player here sends: either package's audio_common_msgs. Raises AudioError if none is installed."""
    for kind in AUDIO_KINDS:
        if kind.write and kind.message_type() is not None:
            return kind
    raise AudioError("type", "no audio_common_msgs to send are installed here: install them "
                     "(ros-$ROS_DISTRO-audio-common-msgs)")
