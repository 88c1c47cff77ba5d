"""Diffuse background noise: every microphone hears other samples, with the coherence of a diffuse field."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import fft

from seld_overlap_ros.config import MicrophoneArray

SPEED_OF_SOUND = 343.0  # [m/s], as pyroomacoustics
CROSSFADE_S = 0.25


def diffuse_coherence(array: MicrophoneArray, frequency: np.ndarray) -> np.ndarray:
    """Coherence (len(frequency), M, M) of a spherically isotropic field: sinc(2 f d / c), d the distance of two mics."""
    positions = np.array(array.positions)
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)  # (M, M)
    return np.sinc(2 * frequency[:, None, None] * distance / SPEED_OF_SOUND)


@lru_cache(maxsize=4)
def mixing_filters(array: MicrophoneArray, n_samples: int, sample_rate: int) -> np.ndarray:
    """Square root of the coherence per bin of a long FFT: (n_samples // 2 + 1, M, M), float32.

    Habets, Cohen, Gannot, "Generating nonstationary multisensor signals under a spatial coherence constraint" (2008).
    Roots are taken on a coarse grid and interpolated: they are smooth in frequency.
    """
    grid = np.linspace(0, sample_rate / 2, 257)
    values, vectors = np.linalg.eigh(diffuse_coherence(array, grid))
    roots = (vectors * np.sqrt(np.maximum(values, 0))[:, None]) @ np.swapaxes(vectors, 1, 2)  # (257, M, M)
    exact = np.linspace(0, len(grid) - 1, n_samples // 2 + 1)
    low = np.minimum(exact.astype(int), len(grid) - 2)
    share = (exact - low)[:, None, None]
    return ((1 - share) * roots[low] + share * roots[low + 1]).astype(np.float32)


def looped(samples: np.ndarray, n_samples: int, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """A recording (n,) from a random point on, looped with cross-fades to (n_samples,)."""
    fade = min(round(CROSSFADE_S * sample_rate), len(samples) // 4)
    ramp = np.sqrt(np.linspace(0, 1, fade, dtype=np.float32))  # equal power: the two ends are unrelated
    body = samples[: len(samples) - fade].copy()
    body[:fade] = body[:fade] * ramp + samples[len(samples) - fade :] * ramp[::-1]
    start = rng.integers(len(body))
    return np.resize(np.roll(body, -start), n_samples)


def diffuse_noise(recordings: Sequence[np.ndarray], array: MicrophoneArray, n_samples: int, sample_rate: int,
                  rng: np.random.Generator) -> np.ndarray:
    """Noise (M, n_samples), float32, RMS 1: each of M independent pieces from one randomly drawn recording."""
    n_mics = array.n_microphones
    chosen = rng.integers(len(recordings), size=n_mics)
    pieces = np.stack([looped(recordings[i], n_samples, rng, sample_rate) for i in chosen])
    pieces /= np.sqrt(np.mean(pieces**2, axis=1, keepdims=True)) + 1e-9
    spectrum = fft.rfft(pieces, axis=1)  # (M, bins)
    mixed = np.einsum("fmn,nf->mf", mixing_filters(array, n_samples, sample_rate), spectrum, optimize=True)
    noise = fft.irfft(mixed, n=n_samples, axis=1)
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
