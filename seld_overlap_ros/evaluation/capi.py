"""CAPI-SDRi: class-aware, permutation-invariant SDR improvement (DCASE 2026, task 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from seld_overlap_ros.evaluation.sdr import sdr


def capi_sdri(references: np.ndarray, reference_labels: Sequence[int], estimates: np.ndarray,
              estimate_labels: Sequence[int], mixture: np.ndarray) -> float:
    """One clip: sources (R, n) and what was separated (E, n), with their classes, and the mixture (n,) -> dB.

    Within a class, estimates go to references so that their mean SDR, 10 log10(sum s^2 / sum (s - e)^2), is largest;
    each pair counts its SDR minus the mixture's. A source without an estimate counts 0, and so does an estimate
    without a source. The mean is over all of them; NaN for a clip with neither, which a mean over clips leaves out.
    """
    reference_labels, estimate_labels = np.asarray(reference_labels), np.asarray(estimate_labels)
    gain_db, n = 0.0, 0
    for label in np.union1d(reference_labels, estimate_labels):
        true, heard = references[reference_labels == label], estimates[estimate_labels == label]  # (R', n), (E', n)
        n += max(len(true), len(heard))
        if not (len(true) and len(heard)):
            continue
        after = np.array([sdr(heard, one) for one in true])  # (R', E')
        before = sdr(mixture, true)  # (R',)
        rows, columns = linear_sum_assignment(after, maximize=True)
        gain_db += float(np.sum(after[rows, columns] - before[rows]))
    return gain_db / n if n else math.nan
