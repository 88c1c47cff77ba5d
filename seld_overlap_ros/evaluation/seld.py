"""The SELD scores of DCASE 2021 to 2023: error rate and F within 20 degrees, localization error and recall.

After Mesaros et al., "Joint measurement of localization and detection of sound events" (WASPAA 2019), as DCASE's own
code counts them (SELD_evaluation_metrics.py of sharathadavanne/seld-dcase2023): in segments of 1 s, what sounds of a
class is paired frame by frame with what is heard of it, nearest first; a pair is a true positive where it is within
20 degrees on average, and else one false positive more in the error rate, and both that and a miss in F. F,
localization error and recall are means over the classes that sound at all (macro, as in DCASE since 2022).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

SEGMENT_S = 1.0
FRAMES = 10  # of a segment: 0.1 s each, as DCASE labels them
NEAR = math.radians(20)  # [rad]
NOT_FOUND = math.pi  # localization error of a class of which nothing was found, as DCASE counts it [rad]
ROUNDING = 1e-6  # of a frame: 0.3 s is the end of frame 2

Frames = dict[int, list[float]]  # frame -> azimuth of each instance of a class [rad]


@dataclass(frozen=True)
class Sounding:
    """What sounds in which frame, E entries: frames are numbered through all clips."""

    frame: np.ndarray  # (E,) int
    label: np.ndarray  # (E,) int, index of the class
    azimuth: np.ndarray  # (E,) [rad]


@dataclass(frozen=True)
class SeldScores:
    """NaN where there was nothing to find."""

    error_rate: float  # ER20: (S + D + I) / references
    f: float  # F20, [0, 1]
    localization_error: float  # LE [rad]
    localization_recall: float  # LR, [0, 1]


def in_frames(clip: np.ndarray, label: np.ndarray, azimuth: np.ndarray, start_s: np.ndarray, end_s: np.ndarray,
              n_segments: int) -> Sounding:
    """Events (N,) of clips of so many segments each, from start to end [s] -> what sounds in each frame.

    An event without length, or outside the clip's segments, sounds nowhere.
    """
    first = np.floor(start_s * FRAMES / SEGMENT_S + ROUNDING)
    end = np.where(end_s > start_s, np.ceil(end_s * FRAMES / SEGMENT_S - ROUNDING), first)
    frames = np.arange(n_segments * FRAMES)
    event, frame = np.nonzero((first[:, None] <= frames) & (frames < end[:, None]))
    return Sounding(clip[event] * len(frames) + frame, label[event], azimuth[event])


def seld_scores(reference: Sounding, estimated: Sounding) -> SeldScores:
    """Score what was estimated against what was true."""
    true, heard = _by_segment_and_class(reference), _by_segment_and_class(estimated)
    n_reference, near, far, fp, fn, errors = (defaultdict(float) for _ in range(6))  # by class
    missed, extra = defaultdict(int), defaultdict(int)  # by segment
    for key in {**true, **heard}:
        segment, label = key
        n_true, n_heard = (_instances(side.get(key, {})) for side in (true, heard))
        paired = _errors(true.get(key, {}), heard.get(key, {}))
        n_missed, n_extra = max(n_true - n_heard, 0), max(n_heard - n_true, 0)
        if n_true and n_heard and not paired:  # never at the same time: to DCASE as many misses as were heard
            n_missed, n_extra = n_heard, 0
        n_near = sum(error <= NEAR for error in paired)
        n_reference[label] += n_true
        near[label] += n_near
        far[label] += len(paired) - n_near
        fn[label] += n_missed
        fp[label] += n_extra
        errors[label] += sum(paired)
        missed[segment] += n_missed
        extra[segment] += n_extra + len(paired) - n_near
    if not true:
        return SeldScores(math.nan, math.nan, math.nan, math.nan)
    wrong = sum(max(missed[segment], extra[segment]) for segment in missed)  # S + D + I of a segment
    labels = sorted({label for _, label in true})
    n_pairs = {label: near[label] + far[label] for label in labels}
    return SeldScores(
        error_rate=wrong / sum(n_reference.values()),
        f=_mean(near[c] / (n_pairs[c] + (fp[c] + fn[c]) / 2) for c in labels),
        localization_error=_mean(errors[c] / n_pairs[c] if n_pairs[c] else NOT_FOUND for c in labels),
        localization_recall=_mean(n_pairs[c] / (n_pairs[c] + fn[c]) for c in labels),
    )


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _by_segment_and_class(sounding: Sounding) -> dict[tuple[int, int], Frames]:
    found = defaultdict(lambda: defaultdict(list))
    entries = zip(sounding.frame.tolist(), sounding.label.tolist(), sounding.azimuth.tolist(), strict=True)
    for frame, label, azimuth in entries:
        found[frame // FRAMES, label][frame].append(azimuth)
    return found


def _instances(frames: Frames) -> int:
    """How many of a class sound at once at most."""
    return max(map(len, frames.values()), default=0)


def _errors(true: Frames, heard: Frames) -> list[float]:
    """Mean distance [rad] of each true instance to what it was paired with; its place in the frame is its name."""
    distances = defaultdict(list)
    for frame in true.keys() & heard.keys():
        difference = np.subtract.outer(np.array(true[frame]), np.array(heard[frame]))
        distance = np.abs((difference + math.pi) % (2 * math.pi) - math.pi)
        for instance, other in zip(*linear_sum_assignment(distance), strict=True):
            distances[int(instance)].append(float(distance[instance, other]))
    return [sum(of_one) / len(of_one) for of_one in distances.values()]
