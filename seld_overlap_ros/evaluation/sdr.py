"""Signal-to-distortion ratios [dB], as torchmetrics has them, in numpy: bags are scored where there is no torch."""

from __future__ import annotations

import numpy as np

EPSILON = float(np.finfo(np.float32).eps)  # of energy, so that silence and perfection have a number


def sdr(estimate: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Signals (..., n) each -> 10 log10(sum s^2 / sum (s - e)^2), (...)."""
    true = np.asarray(true, float)
    return _decibels(true, true - estimate)


def si_sdr(estimate: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The same against the true signal at the volume at which it explains the estimate best (scale-invariant)."""
    true, estimate = np.asarray(true, float), np.asarray(estimate, float)
    volume = (_energy(estimate * true) + EPSILON) / (_energy(true * true) + EPSILON)
    scaled = volume[..., None] * true
    return _decibels(scaled, scaled - estimate)


def _energy(product: np.ndarray) -> np.ndarray:
    return product.sum(axis=-1)


def _decibels(signal: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return 10 * np.log10((_energy(signal**2) + EPSILON) / (_energy(noise**2) + EPSILON))
