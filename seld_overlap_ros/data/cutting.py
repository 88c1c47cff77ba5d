"""What every clip goes through: 16 kHz mono, silence trimmed, at most WINDOW_S long, full scale, 16 bits."""

from __future__ import annotations

import numpy as np
import soxr
from scipy import signal

RATE = 16000
WINDOW_S = 4.192  # a bit more than FrontEnd().window_s; the SHA-256 of the manifest are of clips cut so
NOISE_PIECE_S = 30.0
SILENCE_DB = -42.0  # 10 ms frames this far below the loudest one are silence
_RUMBLE = signal.butter(2, 20, "highpass", fs=RATE, output="sos")


class SilentError(OSError):
    """A recording in which nothing sounds."""


def cut_clip(samples: np.ndarray, rate: int) -> np.ndarray:
    """Samples (n,) at any rate as a clip, (m,) int16 at 16 kHz: trimmed, at most WINDOW_S; raises SilentError."""
    # three windows, so that what is trimmed off the front does not shorten the clip
    head = resample(samples[: round(3 * WINDOW_S * rate)], rate)
    return to_pcm(trim_silence(head)[: round(WINDOW_S * RATE)])


def cut_noise(samples: np.ndarray, rate: int) -> np.ndarray:
    """Background (n,) at any rate, neither trimmed nor cut to the window: (m,) int16 at 16 kHz; raises SilentError."""
    return to_pcm(resample(samples[: round(NOISE_PIECE_S * rate)], rate))


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """Samples (n,) at any rate as (m,) float32 at 16 kHz."""
    return samples if rate == RATE else soxr.resample(samples, rate, RATE).astype(np.float32)


def trim_silence(samples: np.ndarray) -> np.ndarray:
    """Samples (n,) without rumble below 20 Hz, from 10 ms before the first loud 10 ms frame to 20 ms after the last.

    Frames below SILENCE_DB re the loudest one are not loud; digital silence gives an empty array.
    """
    hop = RATE // 100
    # a constant offset (common in 8-bit files) would count as sound
    samples = signal.sosfiltfilt(_RUMBLE, samples).astype(np.float32) if len(samples) > hop else samples
    frames = np.pad(samples, (0, -len(samples) % hop)).reshape(-1, hop)  # (T, hop)
    power = np.mean(frames.astype(np.float64) ** 2, axis=1)
    (loud,) = np.nonzero(power > power.max(initial=0) * 10 ** (SILENCE_DB / 10))
    return samples[max(loud[0] - 1, 0) * hop : (loud[-1] + 3) * hop] if len(loud) else samples[:0]


def to_pcm(samples: np.ndarray) -> np.ndarray:
    """Samples (n,) peak-normalised to int16; raises SilentError."""
    peak = np.abs(samples).max(initial=0)
    if not np.isfinite(peak) or peak < 1e-6:
        raise SilentError("nothing sounds in the recording.")
    return np.round(samples / peak * 32767).astype("<i2")
