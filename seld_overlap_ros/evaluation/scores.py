"""Scores, counted from outcomes: the paper's count and what lies behind it (docs/reading.md, "Scores").

Shares lie in [0, 1]. `interval95` is Wilson's 95 % interval; comparisons are McNemar's, exact. Both take sources for
independent, which they are not: a recording comes in many. `interval95_over` and `p_over` take recordings for it, and
so do `ci95_recordings` of all scores.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest, t

from seld_overlap_ros.evaluation.seld import SEGMENT_S, SeldScores, in_frames, seld_scores
from seld_overlap_ros.simulation.rooms import scene_rng

if TYPE_CHECKING:
    from seld_overlap_ros.evaluation.outcomes import Outcomes


def interval95(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; all of [0, 1] where nothing was tried."""
    return tuple(map(float, binomtest(hits, n).proportion_ci(method="wilson"))) if n else (0.0, 1.0)


def interval95_over(hits: np.ndarray, recordings: np.ndarray) -> tuple[float, float]:
    """95 % interval of the share of hits (N,) bool, where items of one recording (N,) are alike.

    [0, 1] of a single recording.
    """
    error, freedom = _standard_error(hits, recordings)
    if not freedom:
        return 0.0, 1.0
    if not error:  # all recordings alike, which tells nothing of their spread: as many trials as recordings
        return interval95(round(float(np.mean(hits)) * (freedom + 1)), freedom + 1)
    reach = t.ppf(0.975, freedom) * error
    return max(0.0, float(np.mean(hits) - reach)), min(1.0, float(np.mean(hits) + reach))


def p_over(first: np.ndarray, second: np.ndarray, recordings: np.ndarray) -> float:
    """Two-sided p of hits (N,) bool being as many as another system's, where items of one recording (N,) are alike."""
    gain = first.astype(float) - second
    error, freedom = _standard_error(gain, recordings)
    if not freedom or not gain.mean():
        return 1.0
    if not error:  # all recordings for the same one: a sign test
        return 2 * 0.5 ** (freedom + 1)
    return float(2 * t.sf(abs(gain.mean()) / error, freedom))


def _standard_error(values: np.ndarray, clusters: np.ndarray) -> tuple[float, int]:
    """Of the mean of values (N,), of which only those of different clusters (N,) are independent; degrees of freedom.

    Linearised, as of a ratio estimate in cluster sampling (Cochran, Sampling Techniques, 1977, ch. 9).
    """
    names, cluster = np.unique(clusters, return_inverse=True)
    if len(names) < 2:
        return math.inf, 0
    sums = np.bincount(cluster, values - np.mean(values))
    return float(np.sqrt(len(sums) / (len(sums) - 1) * np.sum(sums**2)) / len(values)), len(sums) - 1


def drawn(outcomes: Outcomes) -> np.ndarray:
    """The paper's count has one source a mixture (S,) bool, drawn once and for all: the same for every system."""
    chosen = np.zeros(len(outcomes.mixture), bool)
    for first in np.flatnonzero(np.diff(outcomes.mixture, prepend=-1)):  # of each mixture
        chosen[first + scene_rng("count", outcomes.mixture[first]).integers(outcomes.n_sources[first])] = True
    return chosen


@dataclass(frozen=True)
class Paired:
    """A system against another on the same items."""

    gain: float  # share right minus the other's
    p: float  # McNemar's test, two-sided, exact
    only_first: int  # right where the other is wrong
    only_second: int


def compare(first: np.ndarray, second: np.ndarray) -> Paired:
    """McNemar's paired test of hits (N,) bool against the other system's."""
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    discordant = only_first + only_second
    p = float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
    return Paired((only_first - only_second) / len(first), p, only_first, only_second)


def group_scores(outcomes: Outcomes, recordings: np.ndarray, chosen: np.ndarray) -> dict:
    """Scores of some of the sources (S,) bool, each of a recording (S,)."""
    right = outcomes.label[chosen]
    return {
        "n": int(chosen.sum()),
        "accuracy": mean(outcomes.named[chosen]),
        "ci95_recordings": interval95_over(outcomes.named[chosen], recordings[chosen]),
        "found": mean(outcomes.found[chosen]),
        "given_direction": mean(outcomes.said_given_direction[chosen] == right),
        "ceiling": mean(outcomes.said_clean[chosen] == right),
        "si_sdri": mean(outcomes.si_sdri[chosen]),
    }


def direction_scores(outcomes: Outcomes) -> dict:
    """Precision, recall and F1 of the asked directions, and the share of mixtures whose set is exactly right."""
    asked, true = outcomes.asked, outcomes.true
    hits = int(np.sum(asked & true))
    return {
        "f1": 2 * hits / max(int(asked.sum() + true.sum()), 1),
        "precision": hits / max(int(asked.sum()), 1),
        "recall": hits / max(int(true.sum()), 1),
        "exact": mean((asked == true).all(axis=1)),
    }


def seld(outcomes: Outcomes, azimuths: Sequence[float], window_s: float) -> SeldScores:
    """SELD scores, each answer at the centre of its direction and in the segments in which its signal sounds."""
    per_clip = math.ceil(window_s / SEGMENT_S)
    true = in_frames(outcomes.mixture, outcomes.label, outcomes.azimuth, outcomes.onset_s, outcomes.end_s, per_clip)
    clip, direction = np.nonzero(outcomes.asked)
    start_s, end_s = outcomes.heard_s[clip, direction].T
    said, azimuth = outcomes.said[clip, direction], np.array(azimuths)[direction]
    heard = in_frames(clip, said, azimuth, start_s, end_s, per_clip)
    return seld_scores(true, heard)


def by_sources(outcomes: Outcomes, recordings: np.ndarray) -> dict[str, dict]:
    """Scores by the number of sources in the mixture."""
    return {str(k): group_scores(outcomes, recordings, outcomes.n_sources == k) for k in np.unique(outcomes.n_sources)}


def by_room(outcomes: Outcomes, recordings: np.ndarray, t60: Mapping[str, float]) -> dict[str, dict]:
    """Scores of anechoic mixtures and of those in rooms, by the rooms' T60 [s]; thirds of the rooms if all have echo.

    With the number of `rooms`, as few of them say little of others. Empty where the T60 of a room is not known.
    """
    if not set(outcomes.room.tolist()) <= set(t60):
        return {}
    room = outcomes.room[outcomes.mixture]  # (S,)
    of_source = np.array([t60[name] for name in room.tolist()])
    if (of_source == 0).any():
        groups = {"anechoic": of_source == 0, "rooms": of_source > 0}
    else:
        low, high = np.quantile([t60[room] for room in np.unique(outcomes.room)], (1 / 3, 2 / 3))
        short, long = of_source <= low, of_source > high
        groups = {f"T60 up to {low:.2f} s": short, f"{low:.2f} to {high:.2f} s": ~short & ~long,
                  f"above {high:.2f} s": long}
    return {name: group_scores(outcomes, recordings, chosen) | {"rooms": len(np.unique(room[chosen]))}
            for name, chosen in groups.items() if chosen.any()}


def by_series(outcomes: Outcomes, recordings: np.ndarray, in_training: np.ndarray | None) -> dict[str, dict]:
    """Scores of sources (S,) of whose series (takes, kit, instrument, speaker) training held others, and of the rest.

    Empty where that is not known.
    """
    if in_training is None:
        return {}
    groups = {"series in training": in_training, "series unheard": ~in_training}
    return {name: group_scores(outcomes, recordings, chosen) for name, chosen in groups.items() if chosen.any()}


def confusion(outcomes: Outcomes, n_classes: int) -> np.ndarray:
    """How often which class (row) was given which name (column), of the sources that were found: (C, C)."""
    counts = np.zeros((n_classes, n_classes), int)
    np.add.at(counts, (outcomes.label[outcomes.found], outcomes.said_of_source[outcomes.found]), 1)
    return counts


def largest_confusions(counts: np.ndarray, labels: Sequence[str], n_largest: int = 15) -> list[dict]:
    """The wrong names that were given most often, from a confusion matrix (C, C)."""
    wrong = Counter({(true, said): int(counts[true, said]) for true, said in np.argwhere(counts) if true != said})
    return [{"true": labels[true], "said": labels[said], "n": n} for (true, said), n in wrong.most_common(n_largest)]


def recall(outcomes: Outcomes, labels: Sequence[str]) -> dict[str, float]:
    """Share of each class's sources that were found and named; classes without a source are left out."""
    return {labels[c]: mean(outcomes.named[outcomes.label == c]) for c in np.unique(outcomes.label)}


def mean(values: np.ndarray) -> float | None:
    """Mean of what is not NaN; None where nothing is."""
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else None


def all_scores(outcomes: Outcomes, azimuths: Sequence[float], window_s: float, recordings: Sequence[str],
               t60: Mapping[str, float] | None = None) -> dict:
    """Everything that is counted from the outcomes of one system on one set of mixtures, as plain values for JSON.

    `recordings`: of each of the S sources. `count` is the paper's, one source a mixture; the groups are over all
    sources. SI-SDR and SDR improvement in dB.
    """
    scores, recordings = seld(outcomes, azimuths, window_s), np.asarray(recordings)
    return plain({
        "n_mixtures": len(outcomes),
        "count": group_scores(outcomes, recordings, drawn(outcomes)),
        "all_sources": group_scores(outcomes, recordings, np.ones(len(outcomes.label), bool)),
        "by_sources": by_sources(outcomes, recordings),
        "by_room": by_room(outcomes, recordings, t60 or {}),
        "direction": direction_scores(outcomes),
        "capi_sdri": mean(outcomes.capi_sdri),
        "seld": {
            "er20": scores.error_rate,
            "f20": scores.f,
            "le_deg": math.degrees(scores.localization_error),
            "lr": scores.localization_recall,
        },
    })


def plain(value: object) -> object:
    """Any nesting of dicts, lists and numbers as JSON can hold it: five digits, or three decimals if that is more.

    What is no number is null.
    """
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(entry) for entry in value]
    if isinstance(value, (float, np.floating)):
        if not math.isfinite(value):
            return None
        return round(float(value), 3) if abs(value) >= 100 else float(f"{value:.5g}")
    return int(value) if isinstance(value, np.integer) else value
