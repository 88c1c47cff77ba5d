"""Which microphone of an array hears a sound first."""

import numpy as np
import pytest
from scipy import fft

FINER = 16  # delays between neighbours are less than a sample
FARTHEST = 5  # [samples] that sound takes across an array, and more


@pytest.fixture(name="leading")
def leading_fixture():
    """The function `leading`."""
    return leading


def leading(samples: np.ndarray) -> int:
    """The microphone of (M, n) that hears first, by correlation with microphone 0."""
    spectra, n = fft.rfft(samples, axis=1), samples.shape[1] * FINER
    correlation = fft.irfft(spectra * spectra[0].conj(), n, axis=1)
    near = np.roll(correlation, FARTHEST * FINER, axis=1)[:, : 2 * FARTHEST * FINER + 1]  # lag 0 in the middle
    return int(near.argmax(axis=1).argmin())
