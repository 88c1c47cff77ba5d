"""The SELD scores of DCASE 2020 to 2023: error rate and F within 20 degrees, localization error and recall.

After Mesaros et al., "Joint measurement of localization and detection of sound events" (WASPAA 2019), in segments of
1 s: an estimate is a true positive where its class sounds in the segment within 20 degrees. A class that is right in
a direction that is wrong is both a false positive and a miss, so one substitution. F, localization error and recall
are means over the classes that sound at all (macro, as in DCASE since 2022).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

SEGMENT_S = 1.0
NEAR = math.radians(20)  # [rad]
NOT_FOUND = math.pi  # localization error of a class of which nothing was found, as DCASE counts it [rad]


@dataclass(frozen=True)
class Sounding:
    """What sounds in which segment, E entries: segments are numbered through all clips."""

    segment: np.ndarray  # (E,) int
    label: np.ndarray  # (E,) int, index of the class
    azimuth: np.ndarray  # (E,) [rad]


@dataclass(frozen=True)
class SeldScores:
    """NaN where there was nothing to find."""

    error_rate: float  # ER20: (S + D + I) / references
    f: float  # F20, [0, 1]
    localization_error: float  # LE [rad]
    localization_recall: float  # LR, [0, 1]


def in_segments(clip: np.ndarray, label: np.ndarray, azimuth: np.ndarray, start_s: np.ndarray, end_s: np.ndarray,
                per_clip: int) -> Sounding:
    """Events (N,) of clips, from start to end [s] -> what sounds in each of a clip's `per_clip` segments.

    An event without length, or outside the clip's segments, sounds nowhere.
    """
    starts = np.arange(per_clip) * SEGMENT_S  # (per_clip,)
    active = (start_s[:, None] < starts + SEGMENT_S) & (end_s[:, None] > starts) & (end_s > start_s)[:, None]
    event, segment = np.nonzero(active)
    return Sounding(clip[event] * per_clip + segment, label[event], azimuth[event])


def seld_scores(reference: Sounding, estimated: Sounding) -> SeldScores:
    """Score what was estimated against what was true."""
    true, heard = _by_segment_and_class(reference), _by_segment_and_class(estimated)
    tp, fp, fn, n_pairs, errors = (defaultdict(float) for _ in range(5))  # by class
    missed, extra = defaultdict(int), defaultdict(int)  # by segment
    for key in {**true, **heard}:
        segment, label = key
        distances = _matched(true.get(key, []), heard.get(key, []))
        near = int(np.sum(distances <= NEAR))
        n_missed, n_extra = len(true.get(key, [])) - near, len(heard.get(key, [])) - near
        tp[label] += near
        fn[label] += n_missed
        fp[label] += n_extra
        n_pairs[label] += len(distances)
        errors[label] += float(distances.sum())
        missed[segment] += n_missed
        extra[segment] += n_extra
    if not true:
        return SeldScores(math.nan, math.nan, math.nan, math.nan)
    wrong = sum(max(missed[segment], extra[segment]) for segment in missed)  # S + D + I of a segment
    labels = sorted({label for _, label in true})
    n_true = {label: tp[label] + fn[label] for label in labels}
    return SeldScores(
        error_rate=wrong / len(reference.label),
        f=_mean(tp[c] / (tp[c] + (fp[c] + fn[c]) / 2) for c in labels),
        localization_error=_mean(errors[c] / n_pairs[c] if n_pairs[c] else NOT_FOUND for c in labels),
        localization_recall=_mean(n_pairs[c] / n_true[c] for c in labels),
    )


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _by_segment_and_class(sounding: Sounding) -> dict[tuple[int, int], list[float]]:
    found = defaultdict(list)
    entries = zip(sounding.segment.tolist(), sounding.label.tolist(), sounding.azimuth.tolist(), strict=True)
    for segment, label, azimuth in entries:
        found[segment, label].append(azimuth)
    return found


def _matched(true: list[float], heard: list[float]) -> np.ndarray:
    """Distances [rad] of the pairs (min of both counts,) that are nearest to each other in all."""
    difference = np.subtract.outer(np.array(true), np.array(heard))
    distance = np.abs((difference + math.pi) % (2 * math.pi) - math.pi)
    return distance[linear_sum_assignment(distance)]
