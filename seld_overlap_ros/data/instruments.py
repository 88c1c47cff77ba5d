"""Notes of sampled instruments: a recorded sample with its pitch, loop and envelope; GUS patches (.pat) of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

KEY_UP_S, FADE_S = 0.15, 0.02


class InstrumentError(ValueError):
    """An instrument file or a note of it that cannot be read."""


@dataclass(frozen=True)
class Sample:
    """One recorded note; loop is (start, end) in samples or None."""

    name: str
    samples: np.ndarray  # (n,) float32
    rate: float
    loop: tuple[int, int] | None = None
    ping_pong: bool = False


@dataclass(frozen=True)
class Envelope:
    """Volume over a note: times in seconds, decay and release as time for 100 dB, sustain in dB below the peak."""

    delay_s: float = 0.0
    attack_s: float = 0.0
    hold_s: float = 0.0
    decay_s: float = 0.001
    sustain_db: float = 0.0
    release_s: float = 0.3

    def gain(self, length: int, rate: float, key_down_s: float) -> np.ndarray:
        """Gain (length,) at a sample rate when the key is let go after key_down_s seconds."""
        time = np.arange(length) / rate
        since_peak = time - self.delay_s - self.attack_s - self.hold_s
        level_db = -np.clip(100 * since_peak / self.decay_s, 0, self.sustain_db)
        level_db -= np.clip(100 * (time - key_down_s) / self.release_s, 0, None)
        rise = np.clip((time - self.delay_s) / max(self.attack_s, 1e-3), 0, 1)
        return (rise * 10 ** (level_db / 20)).astype(np.float32)


def play(sample: Sample, semitones: float, envelope: Envelope, length_s: float) -> np.ndarray:
    """Sample at its own rate, shifted in pitch, looped while it sounds: (n,) float32 of at most length_s.

    The key is let go KEY_UP_S before the end, and the last FADE_S fade out.
    """
    ratio = 2 ** (semitones / 12)
    needed = int(length_s * sample.rate * ratio) + 1
    source = _looped(sample, needed)[:needed]
    if abs(semitones) > 1e-3:
        source = soxr.resample(source, sample.rate * ratio, sample.rate)
    fade = np.clip((length_s - np.arange(len(source)) / sample.rate) / FADE_S, 0, 1)
    return source * envelope.gain(len(source), sample.rate, length_s - KEY_UP_S) * fade.astype(np.float32)


def _looped(sample: Sample, length: int) -> np.ndarray:
    if sample.loop is None or length <= sample.loop[1]:
        return sample.samples
    start, end = sample.loop
    turn = sample.samples[start:end]
    if sample.ping_pong:
        turn = np.concatenate([turn[::-1], turn])
    repeats = -(-(length - end) // len(turn))
    return np.concatenate([sample.samples[:end], np.tile(turn, repeats)])


def read_patch(path: Path) -> list[Sample]:
    """All samples of a GUS patch; raises InstrumentError."""
    data = path.read_bytes()
    if not data.startswith(b"GF1PATCH1"):
        raise InstrumentError(f"{path.name} is no GUS patch; fetch its package again.")
    try:
        at, samples = 239, []
        for _ in range(data[198]):
            sample, at = _patch_sample(data, at)
            samples.append(sample)
    except (struct.error, IndexError, ValueError) as error:
        raise InstrumentError(f"{path.name} is damaged ({error}); fetch its package again.") from error
    return samples


def _patch_sample(data: bytes, at: int) -> tuple[Sample, int]:
    name, _, size, loop_start, loop_end, rate = struct.unpack_from("<7sB3IH", data, at)
    modes, body = data[at + 55], at + 96
    width = 2 if modes & 1 else 1
    pcm = np.frombuffer(data, dtype="<i2" if width == 2 else "i1", count=size // width, offset=body)
    if modes & 2:
        pcm = pcm ^ np.array(-(2 ** (8 * width - 1)), dtype=pcm.dtype)  # unsigned to signed
    samples = pcm.astype(np.float32) / 2 ** (8 * width - 1)
    if modes & 16:
        samples = samples[::-1]
    loop = (loop_start // width, min(loop_end // width, len(samples)))
    has_loop = bool(modes & 4) and loop[1] - loop[0] > 1
    label = name.split(b"\0")[0].decode("latin-1")
    return Sample(label, samples, rate, loop if has_loop else None, bool(modes & 8)), body + size
