"""Audio messages as rclpy has them: which are installed here, and how they are written. messages.py reads them.

None of the packages is needed: what is there is found when a node starts.
"""

from __future__ import annotations

import array
from importlib import import_module
from typing import Any

import numpy as np

from seld_overlap_ros.graphs import AUDIO_TYPES, AUTO
from seld_overlap_ros.messages import ARRAYS, AUDIO_KINDS, AudioKind
from seld_overlap_ros.nodes.convert import to_header
from seld_overlap_ros.streaming.pcm import AudioError, AudioFormat, encode


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
    """What a format says, as ros-drivers' message that goes beside the chunks. Raises AudioError if it cannot."""
    if audio.channels > 255:
        raise AudioError("channels", f"AudioInfo holds 255 channels at most, and there are {audio.channels}: play a "
                         "file of fewer")
    return find_message("audio_common_msgs", "AudioInfo")(
        channels=audio.channels,
        sample_rate=audio.sample_rate,
        sample_format=audio.sample_format,
        bitrate=8 * audio.frame_bytes * audio.sample_rate,
        coding_format=audio.coding,
    )


WRITERS = {"AudioDataStamped": to_audio_data_stamped, "AudioStamped": to_audio_stamped}  # of what the player can send


def find_message(package: str, name: str) -> type | None:
    """A message class that may not be installed."""
    try:
        return getattr(import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None


def message_type(kind: AudioKind) -> type | None:
    """The class of its messages, None where they are not installed."""
    if kind.info and find_message(kind.package, "AudioDataStamped") is None:
        return None  # both packages have an AudioData
    return find_message(kind.package, kind.name)


def installed_kinds(wanted: str = AUTO) -> list[AudioKind]:
    """The kinds whose messages are installed, of all or of that name. Raises AudioError if there is none."""
    if wanted not in AUDIO_TYPES:
        raise AudioError("type", f"unknown audio_type {wanted!r}: set it to one of {', '.join(AUDIO_TYPES)}")
    kinds = [kind for kind in AUDIO_KINDS if wanted in (AUTO, kind.name)]
    found = [kind for kind in kinds if message_type(kind) is not None]
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
        if kind.name in WRITERS and message_type(kind) is not None:
            return kind
    raise AudioError("type", "no audio_common_msgs to send are installed here: install them "
                     "(ros-$ROS_DISTRO-audio-common-msgs)")
