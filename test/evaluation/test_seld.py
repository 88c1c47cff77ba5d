"""SELD scores: nothing, everything right, and cases counted by hand."""

import math

import numpy as np
import pytest

from seld_overlap_ros.evaluation.seld import Sounding, in_segments, seld_scores

RIGHT = math.radians(3)  # [rad]


def sounding(*entries: tuple[int, int, float]) -> Sounding:
    """(segment, class, azimuth in degrees) each."""
    segment, label, azimuth = np.array(entries, float).reshape(-1, 3).T
    return Sounding(segment.astype(int), label.astype(int), np.radians(azimuth))


TRUTH = sounding((0, 0, 0), (0, 1, 90), (1, 0, 180))


def test_nothing_to_find_has_no_score():
    scores = seld_scores(sounding(), sounding((0, 1, 0)))
    assert all(math.isnan(value) for value in vars(scores).values())


def test_all_right():
    scores = seld_scores(TRUTH, TRUTH)
    assert (scores.error_rate, scores.f, scores.localization_error, scores.localization_recall) == (0, 1, 0, 1)


def test_nothing_heard():
    scores = seld_scores(TRUTH, sounding())
    assert (scores.error_rate, scores.f, scores.localization_recall) == (1, 0, 0)
    assert scores.localization_error == pytest.approx(math.pi)


def test_a_wrong_direction_is_one_substitution_and_still_localized_by_class():
    scores = seld_scores(sounding((0, 0, 0)), sounding((0, 0, 45)))
    assert (scores.error_rate, scores.f, scores.localization_recall) == (1, 0, 1)
    assert scores.localization_error == pytest.approx(math.radians(45))


def test_a_wrong_class_is_one_substitution_and_not_localized():
    scores = seld_scores(sounding((0, 0, 0)), sounding((0, 1, 0)))
    assert (scores.error_rate, scores.f, scores.localization_recall) == (1, 0, 0)


def test_within_20_degrees_is_right_across_the_back_too():
    scores = seld_scores(sounding((0, 0, 175)), sounding((0, 0, -170)))
    assert scores.f == 1
    assert scores.localization_error == pytest.approx(math.radians(15))


def test_two_of_one_class_go_to_the_nearest_each():
    scores = seld_scores(sounding((0, 0, 0), (0, 0, 90)), sounding((0, 0, 92), (0, 0, 4)))
    assert scores.f == 1
    assert scores.localization_error == pytest.approx(RIGHT)


def test_counted_by_hand_over_two_segments_and_two_classes():
    # segment 0: class 0 right by 10 degrees, class 1 missed, one false class 0 at 90: a substitution
    # segment 1: class 0 missed: a deletion; segment 2: a class 1 that is not there: an insertion
    scores = seld_scores(TRUTH, sounding((0, 0, 10), (0, 0, 90), (2, 1, 0)))
    assert scores.error_rate == pytest.approx(3 / 3)
    assert scores.f == pytest.approx((1 / (1 + (1 + 1) / 2) + 0) / 2)  # class 0: TP 1, FP 1, FN 1; class 1: none right
    assert scores.localization_recall == pytest.approx((1 / 2 + 0) / 2)
    assert scores.localization_error == pytest.approx((math.radians(10) + math.pi) / 2)


def test_events_sound_in_each_segment_that_they_reach():
    found = in_segments(np.array([0, 2, 2]), np.array([4, 5, 6]), np.zeros(3), np.array([0.9, 3.0, 1.0]),
                        np.array([2.0, 4.5, 1.0]), per_clip=5)
    assert list(zip(found.segment, found.label, strict=True)) == [(0, 4), (1, 4), (13, 5), (14, 5)]
