"""The 2M - 1 input channels of the networks, and the way back from a separated spectrogram to samples.

Channel 0 is the normalised log magnitude of microphone 0; channels 2n-1 and 2n are the cosine and the sine of the
interaural phase difference (IPD) phi_0 - phi_n, n = 1..M-1 (docs/reading.md, "Front end").
In memory the channels lie innermost and the frames outermost, so that frames are added and dropped at the ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.dsp.stft import istft, spectra

FLOOR_DB = 120.0  # the log magnitude maps -120 dB to 0 and 0 dB to 1
NEPERS = np.float32(FLOOR_DB / 20 * np.log(10))  # natural logarithm of the magnitude, from 0 to 1 of the former
SILENT = np.finfo(np.float32).tiny  # a magnitude below it has no phase, nor an inverse
BLOCK = 64  # frames that are computed together; more do not stay in the processor's cache


def log_magnitude(spectrum: np.ndarray) -> np.ndarray:
    """Spectrum (..., F, T) to normalised log magnitude L (..., F, T) in [0, 1], float32."""
    return _normalised_log(np.abs(spectrum))


def magnitude(log_mag: np.ndarray) -> np.ndarray:
    """Normalised log magnitude (..., F, T) back to magnitude: 10^((120 L - 120) / 20)."""
    size = np.asarray(log_mag, np.float32) - np.float32(1)
    size *= NEPERS
    return np.exp(size, out=size)


def analyse(samples: np.ndarray, front_end: FrontEnd) -> tuple[np.ndarray, np.ndarray]:
    """Samples (M, (T + 1) hop) to features (2M-1, F, T), float32, and the phase of microphone 0 (F, T), as e^(i phi).

    The phase of a bin without sound is 0, as for numpy's angle.
    """
    n_frames = samples.shape[1] // front_end.hop - 1
    features = np.empty((n_frames, front_end.n_bins, 2 * len(samples) - 1), np.float32)
    phase = np.empty(features.shape[:2], np.complex64)
    _analyse(samples, front_end, features, phase, map)
    return np.transpose(features), np.transpose(phase)


class Analyser:
    """`analyse` for windows that follow each other: of one that holds frames of that before, only its others are new.

    What it hands out is good until the next call, and what it is given must stay as it is so long. Many new frames, as
    of a first window, it shares among the cores.
    """

    def __init__(self, front_end: FrontEnd, n_microphones: int) -> None:
        self._front_end = front_end
        n_rows = 2 * front_end.n_frames  # the newest window is a slice, which moves on and now and then begins anew
        self._features = np.empty((n_rows, front_end.n_bins, 2 * n_microphones - 1), np.float32)
        self._phase = np.empty(self._features.shape[:2], np.complex64)
        self._end = 0  # row after the newest frame
        self._before = np.empty((n_microphones, 0), np.float32)  # the last window
        self._threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)))  # which begin when they are needed

    def __call__(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Window (M, window_samples) -> what `analyse` gives for it."""
        n_frames, hop = self._front_end.n_frames, self._front_end.hop
        n_new = n_new_frames(self._before, samples, hop)
        if self._end + n_new > len(self._features):
            n_kept = n_frames - n_new
            for rows in (self._features, self._phase):
                rows[:n_kept] = rows[self._end - n_kept : self._end]
            self._end = n_kept
        new = slice(self._end, self._end + n_new)
        each = map if n_new <= BLOCK else self._threads.map
        _analyse(samples[:, (n_frames - n_new) * hop :], self._front_end, self._features[new], self._phase[new], each)
        self._end += n_new
        self._before = samples
        window = slice(self._end - n_frames, self._end)
        return np.transpose(self._features[window]), np.transpose(self._phase[window])


def n_new_frames(before: np.ndarray, samples: np.ndarray, hop: int) -> int:
    """How many of the last frames of a window (M, n) were not in the one before; all, unless it is a few hops on.

    It is told by the samples, so nobody has to count them.
    """
    n_samples = samples.shape[1]
    n_frames = n_samples // hop - 1
    if before.shape != samples.shape:
        return n_frames
    ends = samples[:, n_samples - 1 :: -hop][:, :n_frames]  # (M, T): where the last sample of the one before may be
    for advance in np.flatnonzero((ends == before[:, -1:]).all(axis=0)).tolist():
        pairs = zip(before[:, advance * hop :], samples[:, : n_samples - advance * hop], strict=True)
        if all(np.array_equal(one, other) for one, other in pairs):
            return advance
    return n_frames


def _analyse(
    samples: np.ndarray, front_end: FrontEnd, features: np.ndarray, phase: np.ndarray, each: Callable[..., Iterable]
) -> None:
    """Samples (M, (n + 1) hop) into features (n, F, 2M-1) and phase (n, F); `each` is map, or does as map does."""

    def analyse_block(first: int) -> None:
        end = min(first + BLOCK, len(features))
        spectrum = spectra(samples[:, first * front_end.hop : (end + 1) * front_end.hop], front_end)  # (M, n, F)
        _features_of(spectrum, features[first:end], phase[first:end])

    list(each(analyse_block, range(0, len(features), BLOCK)))


def _features_of(spectrum: np.ndarray, features: np.ndarray, phase: np.ndarray) -> None:
    """Spectrum (M, n, F) into features (n, F, 2M-1) and phase (n, F)."""
    spectrum = np.array(spectrum, order="C")  # the Nyquist bins lie between its rows, and all that follows is slower
    size = np.abs(spectrum)
    features[..., 0] = _normalised_log(size[0])
    silent = size < SILENT
    size[silent] = spectrum[silent] = 1
    spectrum *= np.reciprocal(size, out=size)  # a complex product takes a third of the time of a quotient
    phase[...] = spectrum[0]
    conjugate = np.conj(spectrum)
    ipd = features[..., 1:].view(np.complex64)  # (n, F, M-1): a cosine and its sine lie side by side
    for n in range(1, len(spectrum)):
        np.multiply(spectrum[0], conjugate[n], out=ipd[..., n - 1])


def _normalised_log(size: np.ndarray) -> np.ndarray:
    """Magnitudes of any shape to normalised log magnitudes."""
    level = size + np.float32(1e-8)
    np.log(level, out=level)
    level /= NEPERS
    level += 1
    return np.clip(level, 0, 1, out=level)


def resynthesise(log_mag: np.ndarray, phase: np.ndarray, front_end: FrontEnd) -> np.ndarray:
    """Separated log magnitude (..., F, T) with the phase of the mixture (F, T) to samples (..., window_samples)."""
    size = magnitude(log_mag)
    size[log_mag <= 0] = 0  # L = 0 stands for "nothing", not for a tone at -120 dB in every bin
    return istft(size * phase, front_end)
