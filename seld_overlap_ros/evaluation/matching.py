"""Truth against detections: which true sound was found, which was also named, and what was heard that was not there.

A true sound is found if a detection lies within half a direction sector of it and the time that they share is at
least SHARED of the time that either takes; it is named if that detection also carries its label. Each detection
answers for one true sound at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from seld_overlap_ros.evaluation.events import Event, wrap

HALF_SECTOR = math.pi / 8  # of the paper's eight directions [rad]
SHARED = 0.3  # of the time from the earlier onset to the later end; decaying sounds have no exact end
ROUNDING = 1e-6  # azimuths travel as float32 [rad]


@dataclass(frozen=True)
class Matching:
    """The outcome. Rates are None where there was nothing to find."""

    pairs: tuple[tuple[Event, Event], ...]  # (true, detected), in order of the true onset
    missed: tuple[Event, ...]  # true events that were not found
    extra: tuple[Event, ...]  # detections that belong to no true event

    @property
    def n_true(self) -> int:
        """Number of true events."""
        return len(self.pairs) + len(self.missed)

    @property
    def named(self) -> tuple[tuple[Event, Event], ...]:
        """The pairs whose labels agree; of a sound whose class is not known, none does."""
        return tuple((true, heard) for true, heard in self.pairs if _agree(true, heard))

    @property
    def found_rate(self) -> float | None:
        """Share of the true events that were found, [0, 1]."""
        return len(self.pairs) / self.n_true if self.n_true else None

    @property
    def named_rate(self) -> float | None:
        """Share of the true events that were found and named, [0, 1]."""
        return len(self.named) / self.n_true if self.n_true else None


def match(truth: Sequence[Event], detections: Sequence[Event], tolerance: float = HALF_SECTOR) -> Matching:
    """Pair as many as possible; among those as many of one label as possible; then the longest common time.

    tolerance: largest difference of azimuth [rad].
    """
    truth = sorted(truth, key=lambda event: (event.onset_s, event.id))
    value = _values(truth, detections, tolerance)  # (true, detected)
    rows, columns = linear_sum_assignment(value, maximize=True)
    chosen = {int(i): int(j) for i, j in zip(rows, columns, strict=True) if value[i, j] > 0}
    taken = set(chosen.values())
    return Matching(
        pairs=tuple((truth[i], detections[j]) for i, j in sorted(chosen.items())),
        missed=tuple(event for i, event in enumerate(truth) if i not in chosen),
        extra=tuple(event for j, event in enumerate(detections) if j not in taken),
    )


def _agree(true: Event, heard: Event) -> bool:
    return true.label is not None and true.label == heard.label


def shared_time(a: Event, b: Event) -> float:
    """Share, [0, 1], of the time from the earlier onset to the later end in which both events are."""
    both = min(a.end_s, b.end_s) - max(a.onset_s, b.onset_s)
    either = max(a.end_s, b.end_s) - min(a.onset_s, b.onset_s)
    return max(both, 0.0) / either if either else 0.0


def _values(truth: Sequence[Event], detections: Sequence[Event], tolerance: float) -> np.ndarray:
    """Worth of each pair (true, detected); 0 for one that is not allowed."""
    # All pairs' label bonuses together stay below one pair's worth, and all their time bonuses below one label's.
    label_bonus = 1 / (len(truth) + 1)
    value = np.zeros((len(truth), len(detections)))
    for i, true in enumerate(truth):
        for j, heard in enumerate(detections):
            shared = shared_time(true, heard)
            if shared >= SHARED and abs(wrap(true.azimuth - heard.azimuth)) <= tolerance + ROUNDING:
                value[i, j] = 1 + label_bonus * (_agree(true, heard) + label_bonus * shared)
    return value
