"""Short-time Fourier transform without a shift, as docs/reading.md fixes it.

There, half a frame of zeros is put at both ends and then the first and the last frame are dropped. What is left are
just the frames that lie wholly inside the window: frame t covers samples t*hop to t*hop + n_fft.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import fft
from scipy.signal.windows import hann

from seld_overlap_ros.config import FrontEnd


@lru_cache(maxsize=8)
def analysis_window(front_end: FrontEnd) -> np.ndarray:
    """Periodic Hann window (n_fft,), scaled so that a full-scale sine gives a magnitude of 0.5."""
    window = hann(front_end.n_fft, sym=False)
    window = (window / window.sum()).astype(np.float32)
    window.flags.writeable = False
    return window


@lru_cache(maxsize=8)
def synthesis_window(front_end: FrontEnd) -> np.ndarray:
    """Window (n_fft,) with which overlapping frames add up to the signal again."""
    window = analysis_window(front_end).astype(np.float64)
    half = window[: front_end.hop] ** 2 + window[front_end.hop :] ** 2
    synthesis = (window / np.tile(half, 2)).astype(np.float32)
    synthesis.flags.writeable = False
    return synthesis


def stft(samples: np.ndarray, front_end: FrontEnd) -> np.ndarray:
    """Samples (..., window_samples) to spectrum (..., F, T), complex64. Raises ValueError on another length."""
    if samples.shape[-1] != front_end.window_samples:
        raise ValueError(f"stft: {front_end.window_samples} samples are needed, got {samples.shape[-1]}")
    return np.swapaxes(spectra(samples, front_end), -1, -2)


def spectra(samples: np.ndarray, front_end: FrontEnd) -> np.ndarray:
    """Samples (..., (n + 1) hop) to the spectra of their n frames (..., n, F), complex64."""
    samples = np.asarray(samples, dtype=np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, front_end.n_fft, axis=-1)
    frames = frames[..., :: front_end.hop, :] * analysis_window(front_end)  # (..., n, n_fft)
    return fft.rfft(frames, axis=-1)[..., : front_end.n_bins]  # the Nyquist bin is dropped


def istft(spectrum: np.ndarray, front_end: FrontEnd) -> np.ndarray:
    """Spectrum (..., F, T) to samples (..., window_samples), float32, each sample where it came from.

    The first and the last `hop` samples fade, because the frames dropped at the borders count as zeros.
    """
    frames = fft.irfft(np.swapaxes(spectrum, -1, -2), front_end.n_fft, axis=-1)  # the Nyquist bin is put back as 0
    frames *= synthesis_window(front_end)  # (..., T, n_fft)
    halves = frames.reshape(*frames.shape[:-1], 2, front_end.hop)  # (..., T, 2, hop)
    blocks = np.zeros((*frames.shape[:-2], front_end.n_frames + 1, front_end.hop), np.float32)
    blocks[..., :-1, :] += halves[..., 0, :]
    blocks[..., 1:, :] += halves[..., 1, :]
    return blocks.reshape(*blocks.shape[:-2], front_end.window_samples)
