"""The 2M - 1 input channels of the networks, and the way back from a separated spectrogram to samples.

Channel 0 is the normalised log magnitude of microphone 0; channels 2n-1 and 2n are the cosine and the sine of the
interaural phase difference (IPD) phi_0 - phi_n, n = 1..M-1 (reference spec, "Front end").
"""

from __future__ import annotations

import numpy as np

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.dsp.stft import istft, stft

FLOOR_DB = 120.0  # the log magnitude maps -120 dB to 0 and 0 dB to 1


def log_magnitude(spectrum: np.ndarray) -> np.ndarray:
    """Spectrum (..., F, T) to normalised log magnitude L (..., F, T) in [0, 1], float32."""
    level_db = 20 * np.log10(np.abs(spectrum) + np.float32(1e-8))
    return np.clip((level_db + FLOOR_DB) / FLOOR_DB, 0, 1).astype(np.float32)


def magnitude(log_mag: np.ndarray) -> np.ndarray:
    """Normalised log magnitude (..., F, T) back to magnitude: 10^((120 S - 120) / 20)."""
    return np.power(np.float32(10), np.float32(FLOOR_DB / 20) * (np.asarray(log_mag, np.float32) - 1))


def unit_phase(spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of the phase of a spectrum of any shape; 1 and 0 where it is zero, as for numpy's angle."""
    cos, sin = np.array(spectrum.real, np.float32), np.array(spectrum.imag, np.float32)
    size = np.abs(spectrum)
    silent = size == 0
    size[silent] = cos[silent] = 1
    cos /= size
    sin /= size
    return cos, sin


def input_features(spectrum: np.ndarray) -> np.ndarray:
    """Spectrum of all microphones (..., M, F, T) to the networks' input (..., 2M-1, F, T), float32."""
    spectrum = np.swapaxes(spectrum, -1, -2)  # (..., M, T, F), as `stft` leaves it in memory
    features = np.empty((*spectrum.shape[:-3], 2 * spectrum.shape[-3] - 1, *spectrum.shape[-2:]), np.float32)
    cos, sin = unit_phase(spectrum)
    cos0, sin0, cosn, sinn = cos[..., :1, :, :], sin[..., :1, :, :], cos[..., 1:, :, :], sin[..., 1:, :, :]
    features[..., 0, :, :] = log_magnitude(spectrum[..., 0, :, :])
    features[..., 1::2, :, :] = cos0 * cosn + sin0 * sinn
    features[..., 2::2, :, :] = sin0 * cosn - cos0 * sinn
    return np.swapaxes(features, -1, -2)


def analyse(samples: np.ndarray, front_end: FrontEnd) -> tuple[np.ndarray, np.ndarray]:
    """Window (M, window_samples) to features (2M-1, F, T) and to the spectrum (F, T) of microphone 0."""
    spectrum = stft(samples, front_end)
    return input_features(spectrum), spectrum[0]


def resynthesise(log_mag: np.ndarray, mixture: np.ndarray, front_end: FrontEnd) -> np.ndarray:
    """Separated log magnitude (..., F, T) with the phase of the mixture (F, T) to samples (..., window_samples)."""
    # L = 0 stands for "nothing", not for a tone at -120 dB in every bin.
    size = np.where(log_mag > 0, magnitude(log_mag), np.float32(0))
    cos, sin = unit_phase(mixture)
    return istft(size * (cos + 1j * sin), front_end)
