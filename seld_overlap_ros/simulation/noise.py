"""Diffuse background noise: every microphone hears other samples, with the coherence of a diffuse field.

Filtering noise into that coherence costs more than all else in a mixture, so a bank of long tracks is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import fft

from seld_overlap_ros.config import MicrophoneArray
from seld_overlap_ros.dsp.steering import SOUND_SPEED
from seld_overlap_ros.simulation.rooms import scene_rng

CROSSFADE_S = 0.25
TRACK_S = 30.0
BLOCK = 4096  # bins at once: in 64 bits all of them would take gigabytes for many microphones


@dataclass(frozen=True)
class NoiseBank:
    """Tracks of diffuse noise for one array: (N, M, n), float16, RMS 1."""

    tracks: np.ndarray

    def piece(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Noise (M, n_samples) float32, the sum of two random pieces, diffuse as they are, seldom the same twice."""
        total = np.zeros((self.tracks.shape[1], n_samples), np.float32)
        for weight in np.sqrt(rng.dirichlet((1.0, 1.0))):
            track = self.tracks[rng.integers(len(self.tracks))]
            start = int(rng.integers(track.shape[1] - n_samples + 1))
            total += np.float32(weight) * track[:, start : start + n_samples]
        return total

    def save(self, folder: Path) -> None:
        """Write `noise.npy` to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "noise.npy", self.tracks)

    @classmethod
    def load(cls, folder: Path) -> NoiseBank:
        """Open a saved bank; the tracks stay on disk. Raises FileNotFoundError that says what to do."""
        if not (folder / "noise.npy").is_file():
            raise FileNotFoundError(f"no noise in {folder}: make it with `seld-overlap data rooms`")
        return cls(np.load(folder / "noise.npy", mmap_mode="r"))


def make_noise(split: str, n_tracks: int, recordings: Sequence[np.ndarray], array: MicrophoneArray, sample_rate: int,
               track: Callable = iter) -> NoiseBank:
    """Make the noise of a split from mono recordings. `track` wraps the iterable of indices (progress bars)."""
    n_samples = round(TRACK_S * sample_rate)
    tracks = np.empty((n_tracks, array.n_microphones, n_samples), np.float16)
    for index in track(range(n_tracks)):
        rng = scene_rng("noise", split, index)
        tracks[index] = diffuse_noise(recordings, array, n_samples, sample_rate, rng)
    return NoiseBank(tracks)


def diffuse_coherence(array: MicrophoneArray, frequency: np.ndarray) -> np.ndarray:
    """Coherence (len(frequency), M, M) of a spherically isotropic field: sinc(2 f d / c) at distance d."""
    positions = np.array(array.positions)
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)  # (M, M)
    return np.sinc(2 * frequency[:, None, None] * distance / SOUND_SPEED)


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
    filters = np.empty((len(exact), array.n_microphones, array.n_microphones), np.float32)
    for first in range(0, len(exact), BLOCK):
        at = exact[first : first + BLOCK]
        low = np.minimum(at.astype(int), len(grid) - 2)
        share = (at - low)[:, None, None]
        filters[first : first + BLOCK] = (1 - share) * roots[low] + share * roots[low + 1]
    return filters


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
