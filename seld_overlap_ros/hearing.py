"""From one window of samples to the sounds in it: the query rule at inference, and resynthesis."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch

from seld_overlap_ros.dsp.features import analyse, resynthesise
from seld_overlap_ros.models.system import System

KEPT_ODDS = 0.5  # a direction heard in the window before needs this share of the odds p / (1 - p) of a new one


@dataclass(frozen=True)
class HeardSource:
    """One sound of one window."""

    direction: int  # index into the configuration's azimuths
    direction_score: float  # p_q of SSL, [0, 1]
    class_scores: np.ndarray  # (C,) probabilities, summing to 1
    log_mag: np.ndarray  # (F, T) separated normalised log magnitude
    samples: np.ndarray  # (window_samples,) float32, as microphone 0 would have heard it alone


def kept_threshold(threshold: float) -> float:
    """The lower threshold of a direction that was heard in the window before: KEPT_ODDS of the odds of `threshold`."""
    return threshold * KEPT_ODDS / (threshold * KEPT_ODDS + 1 - threshold)


def query_set(
    direction_prob: torch.Tensor, threshold: float, always_strongest: bool, known: Collection[int] = ()
) -> torch.Tensor:
    """Directions to ask (K,) by probability (D,), strongest first: {d : p_d >= threshold}, and the arg max.

    Those in `known`, heard in the window before, are asked from `kept_threshold` on, so that a score that wavers
    about the threshold does not cut a sound into pieces.
    """
    needed = torch.full_like(direction_prob, threshold)
    needed[list(known)] = kept_threshold(threshold)
    order = direction_prob.argsort(descending=True)
    chosen = direction_prob[order] >= needed[order]
    if always_strongest:
        chosen[0] = True
    return order[chosen]


class Hearing:
    """Localize once, then separate and classify every asked direction in one batch.

    `always_strongest` is the reference spec's query rule, which answers for every mixture and so suits recordings
    that are known to hold a sound. A robot also hears nothing at times: without it, quiet windows give no sound.
    """

    def __init__(self, system: System, direction_threshold: float = 0.5, always_strongest: bool = False) -> None:
        self.system = system.eval()
        self.config = system.config
        self.direction_threshold = direction_threshold
        self.always_strongest = always_strongest

    @torch.inference_mode()
    def __call__(self, samples: np.ndarray, known: Collection[int] = ()) -> list[HeardSource]:
        """Window (M, window_samples), float in [-1, 1] -> the sounds in it, strongest direction first; [] if silent.

        `known`: the directions of the window before, which go on being asked at a lower score (see `query_set`).
        A window of pure silence (all samples equal) holds no sound. Raises ValueError on a wrong shape.
        """
        self._check(samples)
        if not np.ptp(samples):
            return []
        features, mixture = analyse(samples, self.config.front_end)
        x = torch.from_numpy(features)[None]  # (1, 2M-1, F, T)
        prob = self.system.localize(x)  # (1, D)
        asked = query_set(prob[0], self.direction_threshold, self.always_strongest, known)  # (K,)
        if not len(asked):
            return []
        x = x.expand(len(asked), -1, -1, -1)  # (K, 2M-1, F, T)
        separated = self.system.separate(x, self.system.query(prob.expand(len(asked), -1), asked))  # (K, F, T)
        scores = torch.softmax(self.system.ssc(separated), dim=1).numpy()  # (K, C)
        log_mag = separated.numpy()
        waves = resynthesise(log_mag, mixture, self.config.front_end)  # (K, window_samples)
        return [
            HeardSource(int(q), float(prob[0, q]), scores[k], log_mag[k], waves[k]) for k, q in enumerate(asked)
        ]

    def _check(self, samples: np.ndarray) -> None:
        expected = (self.config.array.n_microphones, self.config.front_end.window_samples)
        if samples.shape != expected:
            raise ValueError(f"a window of shape {expected} (microphones, samples) is needed, got {samples.shape}")
