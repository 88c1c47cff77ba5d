"""Raw interleaved samples to arrays and back, for the formats that audio topics carry.

Arrays are float32 of shape (n, M), one row an instant, as they lie in the bytes. Full scale is -1 to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from seld_overlap_ros.config import MAX_RATE

SECOND = 1_000_000_000  # [ns], in which stamps are counted
LOUDEST = 2.0**31  # floats beyond any integer's full scale are no sound, and their squares would overflow
RATES = (1000, MAX_RATE)  # [Hz]


class AudioError(ValueError):
    """Audio that cannot be used; the sentence says what was wrong and the way out. `kind` is one word for it."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True)
class _Codec:
    width: int  # bytes a sample
    decode: Callable[[np.ndarray], np.ndarray]  # bytes (n * width,) uint8 -> samples (n,) float32
    encode: Callable[[np.ndarray], np.ndarray]  # samples, any shape -> an array whose bytes are the message


def _decode_s24(raw: np.ndarray) -> np.ndarray:
    wide = np.zeros((len(raw) // 3, 4), np.uint8)
    wide[:, 1:] = raw.reshape(-1, 3)  # in the upper three bytes, so that the sign comes along
    return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)


def _encode_s24(samples: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(_to_integer(samples, 24).reshape(-1, 1).view(np.uint8)[:, :3])


def _to_integer(samples: np.ndarray, bits: int) -> np.ndarray:
    scale = 2.0 ** (bits - 1)
    return np.clip(np.rint(samples.astype(np.float64) * scale), -scale, scale - 1).astype("<i4")


def _integer(dtype: str) -> _Codec:
    bits = 8 * np.dtype(dtype).itemsize
    return _Codec(
        bits // 8,
        lambda raw: raw.view(dtype).astype(np.float32) / np.float32(2.0 ** (bits - 1)),
        lambda samples: _to_integer(samples, bits).astype(dtype),
    )


def _float(dtype: str) -> _Codec:
    def decode(raw: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is infinite, and mended then
            return raw.view(dtype).astype(np.float32)

    return _Codec(np.dtype(dtype).itemsize, decode, lambda samples: samples.astype(dtype))


def _unsigned(signed: _Codec, top: int) -> _Codec:
    """Half of the range added, which turns the highest bit of each sample; it is in byte number `top`."""

    def turned(raw: np.ndarray) -> np.ndarray:
        raw = raw.reshape(-1, signed.width).copy()
        raw[:, top] ^= 0x80
        return raw.reshape(-1)

    return _Codec(
        signed.width,
        lambda raw: signed.decode(turned(raw)),
        lambda samples: turned(np.frombuffer(signed.encode(samples).tobytes(), np.uint8)),
    )


_CODECS = {  # under GStreamer's names
    "S16LE": _integer("<i2"),
    "S24LE": _Codec(3, _decode_s24, _encode_s24),
    # 24 bits in the lower three of four bytes; what the fourth one holds is undefined
    "S24_32LE": _Codec(
        4,
        lambda raw: (raw.view("<i4") << 8).astype(np.float32) / np.float32(2**31),
        lambda samples: _to_integer(samples, 24),
    ),
    "S32LE": _integer("<i4"),
    "F32LE": _float("<f4"),
    "F64LE": _float("<f8"),
    "S8": _integer("<i1"),
}
_CODECS |= {
    f"U{name[1:]}": _unsigned(_CODECS[name], top)
    for name, top in (("S8", 0), ("S16LE", 1), ("S24LE", 2), ("S24_32LE", 2), ("S32LE", 3))
}
SAMPLE_FORMATS = tuple(_CODECS)


class Description(NamedTuple):
    """What a source says of its samples, unchecked."""

    channels: int
    sample_rate: int
    sample_format: str
    coding: str = "wave"


@dataclass(frozen=True)
class AudioFormat:
    """What the bytes of an audio topic mean. Raises AudioError if they cannot be understood."""

    channels: int
    sample_rate: int  # [Hz]
    sample_format: str = "S16LE"  # one of SAMPLE_FORMATS, in either case
    coding: str = "wave"  # the one that is raw samples; empty is taken for it

    def __post_init__(self) -> None:
        object.__setattr__(self, "sample_format", self.sample_format.strip().upper())
        if self.coding.strip().lower() not in ("wave", ""):
            raise AudioError(
                "coding", f"audio coded as {self.coding!r} is not understood: start audio_capture with format:=wave"
            )
        if self.sample_format not in _CODECS:
            raise AudioError(
                "format",
                f"unknown sample format {self.sample_format!r}: let the source send one of {', '.join(_CODECS)}",
            )
        if self.channels < 1:
            raise AudioError("channels", f"audio with {self.channels} channels: set the source's number of channels")
        if not RATES[0] <= self.sample_rate <= RATES[1]:
            raise AudioError(
                "rate",
                f"a sample rate of {self.sample_rate} Hz is not possible: "
                f"set the source's to {RATES[0]} to {RATES[1]} Hz",
            )

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * _CODECS[self.sample_format].width


def decode(data: bytes | bytearray | memoryview | np.ndarray, audio: AudioFormat) -> np.ndarray:
    """Bytes of whole frames -> samples (n, M) float32. Raises AudioError if the bytes are not whole frames."""
    raw = np.frombuffer(data, np.uint8)
    if len(raw) % audio.frame_bytes:
        raise AudioError(
            "bytes",
            f"a chunk of {len(raw)} bytes is no whole number of {audio.channels}-channel {audio.sample_format} frames "
            f"of {audio.frame_bytes} bytes, so it is left out: check the source's channels and sample_format",
        )
    return _CODECS[audio.sample_format].decode(raw).reshape(-1, audio.channels)


def encode(samples: np.ndarray, sample_format: str) -> bytes:
    """Samples (n, M) -> bytes; what is beyond full scale is clipped. Raises AudioError on an unknown format."""
    audio = AudioFormat(max(samples.shape[-1], 1), 16000, sample_format)
    return _CODECS[audio.sample_format].encode(samples).tobytes()


def mend(samples: np.ndarray) -> tuple[np.ndarray, int]:
    """Samples with NaN, infinite and absurdly large ones replaced by 0, and how many those were."""
    bad = ~(np.abs(samples) <= LOUDEST)
    n_bad = int(np.count_nonzero(bad))
    return (np.where(bad, np.float32(0), samples), n_bad) if n_bad else (samples, 0)


def read_channel_map(text: str, n_microphones: int) -> tuple[int, ...]:
    """Channel numbers from 0, one a microphone, as in "1, 2, 3, 4" -> the numbers; () of an empty text: as they come.

    Raises AudioError, in a sentence, on what is no such list.
    """
    words = text.strip().strip("[]()").replace(",", " ").split()
    if not words:
        return ()
    example = ",".join(str(n) for n in range(n_microphones))
    if not all(word.isdecimal() and int(word) < 255 for word in words):
        raise AudioError("map", f"channel_map {text!r} is no list of channels, counted from 0: write it like {example}")
    channels = tuple(int(word) for word in words)
    if len(channels) != n_microphones:
        raise AudioError(
            "map",
            f"channel_map {text!r} names {len(channels)} channels and the model has {n_microphones} microphones: "
            "name a channel for each of them",
        )
    if len(set(channels)) < len(channels):
        raise AudioError("map", f"channel_map {text!r} names a channel twice: give each microphone its own")
    return channels
