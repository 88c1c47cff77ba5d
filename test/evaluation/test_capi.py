"""CAPI-SDRi: nothing, everything right, and cases counted by hand."""

import math

import numpy as np
import pytest

from seld_overlap_ros.evaluation.capi import capi_sdri

SOURCES = np.eye(3, 1000, dtype=np.float32)[:, np.arange(1000) % 3] + 0.0  # three signals that never sound together
MIXTURE = SOURCES.sum(axis=0)
NOTHING = np.zeros((0, 1000), np.float32)


def sdr(estimate: np.ndarray, true: np.ndarray) -> float:
    return 10 * math.log10(np.sum(true**2) / np.sum((true - estimate) ** 2))


def test_a_clip_with_neither_source_nor_estimate_has_no_score():
    assert math.isnan(capi_sdri(NOTHING, [], NOTHING, [], MIXTURE))


def test_all_missed_and_all_invented_count_nothing():
    assert capi_sdri(SOURCES, [0, 1, 2], NOTHING, [], MIXTURE) == 0
    assert capi_sdri(NOTHING, [], SOURCES, [0, 1, 2], MIXTURE) == 0


def test_perfect_estimates_gain_much():
    assert capi_sdri(SOURCES, [0, 1, 2], SOURCES[::-1], [2, 1, 0], MIXTURE) > 60


def test_the_mixture_as_it_came_gains_nothing():
    assert capi_sdri(SOURCES[:1], [0], MIXTURE[None], [0], MIXTURE) == pytest.approx(0, abs=1e-4)


def test_a_wrong_class_is_one_missed_and_one_invented():
    estimate = 0.9 * SOURCES[0]
    alone = sdr(estimate, SOURCES[0]) - sdr(MIXTURE, SOURCES[0])
    two = capi_sdri(SOURCES[:2], [0, 1], np.stack([estimate, SOURCES[1]]), [0, 2], MIXTURE)
    assert two == pytest.approx(alone / 3, abs=1e-3)  # source 0, source 1 missed, class 2 invented


def test_within_a_class_the_best_permutation_counts():
    estimates = np.stack([0.9 * SOURCES[1], 0.8 * SOURCES[0]])
    by_hand = [sdr(estimates[1], SOURCES[0]) - sdr(MIXTURE, SOURCES[0]),
               sdr(estimates[0], SOURCES[1]) - sdr(MIXTURE, SOURCES[1])]
    assert capi_sdri(SOURCES[:2], [7, 7], estimates, [7, 7], MIXTURE) == pytest.approx(np.mean(by_hand), abs=1e-3)
