"""Scores: a perfect listener, a deaf one, and one that is right in half of what it says."""

import numpy as np
import pytest

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.evaluation.scores import score
from seld_overlap_ros.hearing import HeardSource
from seld_overlap_ros.simulation.rooms import scene_rng
from seld_overlap_ros.simulation.store import FULL_SCALE, MixtureStore

LABELS = ("a", "b")
CONFIG = SystemConfig(labels=LABELS)
N = 4000


@pytest.fixture(scope="module")
def store() -> MixtureStore:
    """Four mixtures of two sources, in directions 1 (a) and 5 (b)."""
    stems = scene_rng("scores").integers(-3000, 3000, (4, 3, N)).astype(np.int16)
    stems[:, 2] = 0
    mixtures = np.repeat(stems.sum(axis=1, dtype=np.int16)[:, None], 8, axis=1)
    events = [
        {"label": label, "azimuth": 0.0, "direction": d, "onset_s": 0, "duration_s": 1, "clip": ""}
        for label, d in (("a", 1), ("b", 5))
    ]
    truth = {"snr_db": 15.0, "room": "r", "events": events}
    return MixtureStore(CONFIG.array, CONFIG.azimuths, LABELS, mixtures, stems, [truth] * 4)


class Listener:
    """Says what a function of the true stems (2, n) tells it to say."""

    config = CONFIG

    def __init__(self, store, say):
        self.store, self.say, self.index = store, say, -1

    def __call__(self, mixture):
        self.index += 1
        return self.say(self.store.stems[self.index, :2].astype(np.float32) / FULL_SCALE)


def heard(direction: int, label: int, samples: np.ndarray) -> HeardSource:
    return HeardSource(direction, 1.0, np.eye(2)[label], np.zeros((256, 256), np.float32), samples)


def test_a_perfect_listener(store):
    scores = score(Listener(store, lambda s: [heard(1, 0, s[0]), heard(5, 1, s[1])]), store)
    assert scores.n_mixtures == 4
    assert scores.count == scores.all_sources == scores.class_given_direction == scores.direction_f1 == 1
    assert scores.si_sdr_improvement > 50


def test_a_deaf_listener(store):
    scores = score(Listener(store, lambda s: []), store)
    assert scores.count == scores.all_sources == scores.direction_f1 == scores.class_given_direction == 0
    assert np.isnan(scores.si_sdr_improvement)


def test_one_direction_of_two_one_false_alarm_and_the_mixture_as_it_came(store):
    scores = score(Listener(store, lambda s: [heard(1, 0, s.sum(axis=0)), heard(2, 1, s[1])]), store)
    assert scores.all_sources == scores.direction_precision == scores.direction_recall == scores.direction_f1 == 0.5
    assert scores.class_given_direction == 1
    assert scores.si_sdr_improvement == pytest.approx(0, abs=1e-3)


def test_the_drawn_source_decides_the_count_and_a_wrong_class_is_no_hit(store):
    scores = score(Listener(store, lambda s: [heard(1, 0, s[0]), heard(5, 0, s[1])]), store)
    drawn = [scene_rng("count", index).integers(2) for index in range(4)]
    assert scores.count == np.mean([which == 0 for which in drawn])
    assert scores.class_given_direction == 0.5


def test_classes_that_the_system_does_not_know_are_named(store):
    listener = Listener(store, lambda s: [])
    listener.config = SystemConfig(labels=("a", "c"))
    with pytest.raises(ValueError, match="does not know b"):
        score(listener, store)
