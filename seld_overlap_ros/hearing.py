"""From one window of samples to the sounds in it, stage by stage: SSL, SSS, the gate, SSC and resynthesis.

`Hearing` runs the stages in one go; a ROS node per stage runs the same functions, with what they hand on as messages.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from seld_overlap_ros.config import SOFT_DIRECTION, SystemConfig
from seld_overlap_ros.dsp.features import Analyser, analyse, resynthesise
from seld_overlap_ros.models.engine import Engine

BESIDE = ThreadPoolExecutor(1)  # for what numpy can do on one core while an engine computes
KEPT_ODDS = 0.5  # a direction heard in the window before needs this share of the odds p / (1 - p) of a new one


@dataclass(frozen=True)
class Activity:
    """What SSL hands on: where something sounds in a window."""

    scores: np.ndarray  # (D,) float32, p_d of SSL, [0, 1]
    directions: np.ndarray  # (K,) int64, the query set as indices into scores, strongest first; empty: nothing sounds


@dataclass(frozen=True)
class Spectra:
    """What SSS and the gate hand on: one separated spectrogram a direction."""

    directions: np.ndarray  # (K,) int64, as in the Activity
    direction_scores: np.ndarray  # (K,) float32, p_q of SSL
    log_mag: np.ndarray  # (K, F, T) float32, normalised log magnitude


@dataclass(frozen=True)
class HeardSource:
    """One sound of one window."""

    direction: int  # index into the configuration's azimuths
    direction_score: float  # p_q of SSL, [0, 1]
    class_scores: np.ndarray  # (C,) probabilities, summing to 1
    log_mag: np.ndarray  # (F, T) separated normalised log magnitude
    samples: np.ndarray  # (window_samples,) float32, as microphone 0 would have heard it alone


def check_window(samples: np.ndarray, config: SystemConfig) -> None:
    """Raises ValueError unless samples are of shape (M, window_samples)."""
    expected = (config.array.n_microphones, config.front_end.window_samples)
    if samples.shape != expected:
        raise ValueError(f"a window of shape {expected} (microphones, samples) is needed, got {samples.shape}")


def is_silent(samples: np.ndarray) -> bool:
    """Whether all samples are equal. Nothing sounds in such a window, whatever SSL would make of it."""
    return not np.ptp(samples[:, ::256]) and not np.ptp(samples)  # a few samples show most sounds


def silence(config: SystemConfig) -> Activity:
    """What SSL hands on for a window of pure silence."""
    return Activity(np.zeros(len(config.azimuths), np.float32), np.zeros(0, np.int64))


def noise_window(config: SystemConfig) -> np.ndarray:
    """A window (M, window_samples) of noise, for a stage to try itself on."""
    shape = (config.array.n_microphones, config.front_end.window_samples)
    return np.random.default_rng(0).uniform(-0.1, 0.1, shape).astype(np.float32)


def kept_threshold(threshold: float) -> float:
    """The lower threshold of a direction that was heard in the window before: KEPT_ODDS of the odds of `threshold`."""
    return threshold * KEPT_ODDS / (threshold * KEPT_ODDS + 1 - threshold)


def query_set(
    direction_prob: np.ndarray, threshold: float, always_strongest: bool, known: Collection[int] = ()
) -> np.ndarray:
    """Directions to ask (K,) by probability (D,), strongest first: {d : p_d >= threshold}, and the arg max.

    Those in `known`, heard in the window before, are asked from `kept_threshold` on, so that a score that wavers
    about the threshold does not cut a sound into pieces.
    """
    needed = np.full(len(direction_prob), threshold, np.float32)
    needed[list(known)] = kept_threshold(threshold)
    order = np.argsort(-direction_prob, kind="stable")
    chosen = direction_prob[order] >= needed[order]
    if always_strongest:
        chosen[0] = True
    return order[chosen]


def query_gains(config: SystemConfig, direction_prob: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The query rule: g e_q (K, D) from probabilities (D,) and indices q (K,); g = p_q, or 1 for a hard map."""
    gains = np.zeros((len(directions), len(direction_prob)), np.float32)
    soft = config.system in SOFT_DIRECTION
    gains[np.arange(len(directions)), directions] = direction_prob[directions] if soft else 1
    return gains


def localize(
    engine: Engine,
    features: np.ndarray,
    threshold: float,
    always_strongest: bool = False,
    known: Collection[int] = (),
) -> Activity:
    """SSL: features (2M-1, F, T) -> where something sounds. For the rest see `query_set`."""
    prob = engine.localize(features)  # (D,)
    return Activity(prob, query_set(prob, threshold, always_strongest, known))


def separate(engine: Engine, features: np.ndarray, activity: Activity, number: int | None = None) -> Spectra:
    """SSS: features (2M-1, F, T) -> what is separated from all asked directions, in one batch.

    By SSS `number` of the system; without it by all that it has, with what the gate makes of theirs.
    """
    asked = activity.directions
    gains = query_gains(engine.config, activity.scores, asked)
    return Spectra(asked, activity.scores[asked], engine.separate(features, gains, number))


def gate_weights(separated: np.ndarray) -> np.ndarray:
    """Softmax over the separations, per time-frequency bin: (N, ...) -> (N, ...), summing to 1 over N."""
    weights = np.exp(separated - separated.max(axis=0))
    return weights / weights.sum(axis=0)


def join(separations: Sequence[Spectra]) -> Spectra:
    """The gate (paper, Section 3) between the SSS of a system: S = sum_n w_n S_n, w from `gate_weights`.

    Raises ValueError if they are of other directions or shapes.
    """
    first, separated = separations[0], _stacked(separations)  # (N, K, F, T)
    return Spectra(first.directions, first.direction_scores, (gate_weights(separated) * separated).sum(axis=0))


def first_weights(separations: Sequence[Spectra]) -> np.ndarray:
    """The gate's weights of the first separation (K, F, T). Raises ValueError as `join` does."""
    return gate_weights(_stacked(separations))[0]


def _stacked(separations: Sequence[Spectra]) -> np.ndarray:
    """(N, K, F, T)."""
    first, *others = separations
    for other in others:
        if not np.array_equal(first.directions, other.directions) or first.log_mag.shape != other.log_mag.shape:
            raise ValueError(f"separations of directions {first.directions.tolist()} {first.log_mag.shape} and "
                             f"{other.directions.tolist()} {other.log_mag.shape} do not belong together")
    return np.stack([each.log_mag for each in separations])


def classify(engine: Engine, phase: np.ndarray, spectra: Spectra) -> list[HeardSource]:
    """SSC and resynthesis: phase (F, T) of microphone 0 and what was separated -> the sounds, in that order."""
    if not len(spectra.directions):
        return []
    resynthesis = BESIDE.submit(resynthesise, spectra.log_mag, phase, engine.config.front_end)
    scores, waves = engine.classify(spectra.log_mag), resynthesis.result()  # (K, C), (K, window_samples)
    return [
        HeardSource(int(q), float(spectra.direction_scores[k]), scores[k], spectra.log_mag[k], waves[k])
        for k, q in enumerate(spectra.directions)
    ]


def window_cost(engine: Engine) -> float:
    """How long a window with three sounds takes [s]: the median of five, of noise."""
    samples, asked = noise_window(engine.config), np.arange(min(3, len(engine.config.azimuths)))

    def hear() -> None:
        features, phase = analyse(samples, engine.config.front_end)
        scores = engine.localize(features)
        classify(engine, phase, separate(engine, features, Activity(scores, asked)))

    times = []
    for _ in range(5):
        began = time.perf_counter()
        hear()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


class Hearing:
    """Localize once, then separate and classify every asked direction in one batch.

    `always_strongest` is the query rule of docs/reading.md, which answers for every mixture and so suits recordings
    that are known to hold a sound. A robot also hears nothing at times: without it, quiet windows give no sound.
    """

    def __init__(self, engine: Engine, direction_threshold: float = 0.5, always_strongest: bool = False) -> None:
        self.engine = engine
        self.config = engine.config
        self.analyse = Analyser(self.config.front_end, self.config.array.n_microphones)
        self.direction_threshold = direction_threshold
        self.always_strongest = always_strongest

    def __call__(self, samples: np.ndarray, known: Collection[int] = ()) -> list[HeardSource]:
        """Window (M, window_samples), float in [-1, 1] -> the sounds in it, strongest direction first; [] if silent.

        `known`: the directions of the window before, which go on being asked at a lower score (see `query_set`).
        A window of pure silence (all samples equal) holds no sound. Raises ValueError on a wrong shape.
        """
        check_window(samples, self.config)
        if is_silent(samples):
            return []
        features, phase = self.analyse(samples)
        activity = localize(self.engine, features, self.direction_threshold, self.always_strongest, known)
        spectra = separate(self.engine, features, activity)
        return classify(self.engine, phase, spectra)
