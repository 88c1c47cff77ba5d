"""Mel bands: what an SSC that sees them multiplies a power spectrum with."""

from __future__ import annotations

import numpy as np

LOWEST_HZ = 30.0
FRAMES = 2  # whose power is one
RANGE_DB = 60.0  # below the loudest band: lower lies what is left of other sounds, and no sound's character
FAINTEST_DB = -80.0  # re full scale: what is fainter is not taken for loud


def mel_filters(n_bands: int, n_bins: int, sample_rate: int) -> np.ndarray:
    """Triangles (bands, F) float32 over the bins below the Nyquist frequency, each of sum 1 (O'Shaughnessy's scale)."""
    with np.errstate(all="ignore"):  # a strange rate gives what is no number; a checkpoint with it is refused
        return _triangles(n_bands, n_bins, sample_rate).astype(np.float32)


def _triangles(n_bands: int, n_bins: int, sample_rate: int) -> np.ndarray:
    ends = np.linspace(*(2595 * np.log10(1 + np.array([LOWEST_HZ, sample_rate / 2]) / 700)), n_bands + 2)
    edges = 700 * (10 ** (ends / 2595) - 1)
    bins = np.arange(n_bins) * (sample_rate / 2 / n_bins)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clip(min=0)
    # where bands are narrower than bins, a band takes the bin nearest to its centre
    nearest = np.eye(n_bins)[np.abs(bins - centre).argmin(axis=1)]
    triangles = np.where(triangles.sum(axis=1, keepdims=True) > 0, triangles, nearest)
    return triangles / triangles.sum(axis=1, keepdims=True)
