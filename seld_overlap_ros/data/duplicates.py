"""Recordings that sound alike, found by content: the check that no recording sits in two splits.

Two clips count as one recording when their pre-emphasised waveforms x, y correlate above a threshold at some lag,
max over lags of |sum x(t) y(t + lag)| / (|x| |y|). By Parseval that maximum is at most sum |X(f)| |Y(f)| / (|X| |Y|),
so one matrix product over magnitude spectra rules most pairs out, exactly; only the rest is correlated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy import fft, signal

from .sounds import Clip, load_clips

SAME_RECORDING = 0.8
_BLOCK = 512  # clips whose spectra are held at a time, twice 140 MB for 4.2 s clips

Progress = Callable[[int, int], None]  # (pairs of blocks done, in all)


@dataclass(frozen=True)
class SimilarPair:
    """Two clips that are one recording by content, with their correlation."""

    first: Clip
    second: Clip
    correlation: float


def check_splits(
    folder: Path, by_group: bool = False, threshold: float = SAME_RECORDING, progress: Progress | None = None
) -> list[SimilarPair]:
    """Pairs of clips above the threshold that lie in different splits, most alike first; none when all is well."""
    clips = load_clips(folder, by_group=by_group)
    by_split = [[clip for clip in clips if clip.split == split] for split in ("train", "val", "test")]
    couples = list(combinations(by_split, 2))
    total = sum(len(_corners(one, other)) for one, other in couples)
    found, before = [], 0
    for one, other in couples:
        pairs = similar_pairs([c.samples for c in one], [c.samples for c in other], threshold,
                              progress and partial(_shifted, progress, before, total))  # fmt: skip
        found += [SimilarPair(one[i], other[j], correlation) for i, j, correlation in pairs]
        before += len(_corners(one, other))
    return sorted(found, key=lambda pair: -pair.correlation)


def similar_pairs(
    left: Sequence[np.ndarray],
    right: Sequence[np.ndarray],
    threshold: float = SAME_RECORDING,
    progress: Progress | None = None,
) -> list[tuple[int, int, float]]:
    """(i, j, correlation) of every left (n,) and right (m,) waveform whose correlation exceeds the threshold."""
    left, right = [_emphasised(x) for x in left], [_emphasised(x) for x in right]
    length = fft.next_fast_len(2 * max((len(x) for x in (*left, *right)), default=1), real=True)
    corners = _corners(left, right)
    found: list[tuple[int, int, float]] = []
    magnitudes_j: tuple[int, np.ndarray] | None = None
    for done, (i, j) in enumerate(corners, start=1):
        if magnitudes_j is None or magnitudes_j[0] != j:
            magnitudes_j = j, _magnitudes(right[j : j + _BLOCK], length)
        bound = _magnitudes(left[i : i + _BLOCK], length) @ magnitudes_j[1].T  # (I, J)
        for a, b in np.argwhere(bound > threshold):
            if (correlation := _peak_correlation(left[i + a], right[j + b])) > threshold:
                found.append((int(i + a), int(j + b), correlation))
        if progress:
            progress(done, len(corners))
    return found


def _corners(left: Sequence, right: Sequence) -> list[tuple[int, int]]:
    """First indices of each pair of blocks, those of one block of the right in a row."""
    return [(i, j) for j in range(0, len(right), _BLOCK) for i in range(0, len(left), _BLOCK)]


def _shifted(progress: Progress, before: int, total: int, done: int, _: int) -> None:
    progress(before + done, total)


def _emphasised(samples: np.ndarray) -> np.ndarray:
    """Pre-emphasised samples (n,) of unit energy, as float32."""
    flat = np.append(samples[:1], samples[1:] - 0.97 * samples[:-1]).astype(np.float64)
    return (flat / max(np.linalg.norm(flat), 1e-12)).astype(np.float32)


def _magnitudes(waves: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Magnitude spectra (N, F) whose dot products bound the correlations of the waves."""
    spectra = np.empty((len(waves), length // 2 + 1), dtype=np.float32)
    for row, wave in zip(spectra, waves, strict=True):
        row[:] = np.abs(fft.rfft(wave, length))
    spectra[:, 1 : (length + 1) // 2] *= np.sqrt(2)  # every bin but DC and Nyquist stands for two
    return spectra / np.sqrt(length)


def _peak_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Largest absolute cross-correlation over all lags of two waves of unit energy."""
    return float(np.abs(signal.correlate(x, y, method="fft")).max())
