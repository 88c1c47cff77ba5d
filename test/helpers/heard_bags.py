"""A bag of two sounds with their stems, made up, and what systems heard of it."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.evaluation.recording import Track
from seld_overlap_ros.evaluation.replay import Heard, Settings
from seld_overlap_ros.evaluation.replay_scores import score

FRONT, LEFT = 0.0, math.pi / 2
TRUTH = (Event(1, FRONT, "dog", 1.0, 2.0), Event(2, LEFT, "speech", 4.0, 2.0))
RATE = 16000
rng = np.random.default_rng(0)
DOG, SPEECH, NOISE = (rng.uniform(-0.1, 0.1, n).astype(np.float32) for n in (2 * RATE, 2 * RATE, 8 * RATE))
STEMS = {1: Track(RATE, {RATE: DOG}), 2: Track(RATE, {4 * RATE: SPEECH})}
MIXTURE = Track(RATE, {0: NOISE + STEMS[1].between(0, 8 * RATE) + STEMS[2].between(0, 8 * RATE)})


def fake_bag(truth=TRUTH, duration_s=8.0, name="bag", stems=None):
    return SimpleNamespace(events=truth, duration_s=duration_s, path=Path(name), notes=[], credits=[],
                           stems=lambda rate: stems or {})


def heard(*events, reported_s=None, n_windows=3, notes=(), **more):
    return Heard(events, reported_s or {event.id: (event.end_s,) for event in events}, n_windows, notes, 1.0, **more)


def evaluated(bags, systems=None, **of_systems):
    """What `score` says where each system hears of bag n what its list holds at n."""
    return score(bags, of_systems, Settings(), systems or {})


class FakeEngine:
    """Names whatever sounds, of the clean sounds it is given, `said`."""

    config = SystemConfig(labels=("dog", "speech", "cat"))

    def __init__(self, said):
        self.said = said

    def classify(self, log_mag):
        assert log_mag.shape == (1, 256, 256) and log_mag.any()
        return np.eye(3)[[self.said]]
