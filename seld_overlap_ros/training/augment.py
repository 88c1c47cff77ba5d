"""Changes to training items that leave their label true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seld_overlap_ros.dsp.features import FLOOR_DB


def blank(spectrograms: Sequence[np.ndarray], share: float, rng: np.random.Generator) -> None:
    """Set one band of bins and one stretch of frames to 0, the same in all (..., F, T), in place.

    Each is up to `share` of the bins or frames wide (SpecAugment, Park et al. 2019).
    """
    for axis in (-2, -1):
        size = spectrograms[0].shape[axis]
        width = int(rng.uniform(0, share) * size)
        first = int(rng.integers(size - width + 1))
        where = (..., slice(first, first + width), slice(None)) if axis == -2 else (..., slice(first, first + width))
        for spectrogram in spectrograms:
            spectrogram[where] = 0


def colour(log_mags: Sequence[np.ndarray], spread_db: float, rng: np.random.Generator) -> None:
    """Put a smooth random frequency response, of six knots, on normalised log magnitudes (F, T), in place.

    It is the same on all, and nothing stays nothing.
    """
    knots = rng.normal(0, spread_db / FLOOR_DB, 6)
    n_bins = log_mags[0].shape[0]
    response = np.interp(np.linspace(0, len(knots) - 1, n_bins), np.arange(len(knots)), knots).astype(np.float32)
    for log_mag in log_mags:
        np.clip(log_mag + response[:, None] * (log_mag > 0), 0, 1, out=log_mag)
