"""SELD scores: nothing, everything right, cases counted by hand, and what DCASE's own code makes of a scene."""

import math

import numpy as np
import pytest

from seld_overlap_ros.evaluation.seld import FRAMES, Sounding, in_frames, seld_scores

RIGHT = math.radians(3)  # [rad]


def sounding(*entries: tuple[int, int, float]) -> Sounding:
    """(segment, class, azimuth in degrees) each, in the first frame of the segment."""
    segment, label, azimuth = np.array(entries, float).reshape(-1, 3).T
    return Sounding(FRAMES * segment.astype(int), label.astype(int), np.radians(azimuth))


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


def test_a_wrong_direction_beside_a_miss_counts_as_in_dcases_code():
    # class 0: heard 90 degrees off, one false positive; class 1: missed; together one substitution
    scores = seld_scores(sounding((0, 0, 0), (0, 1, 0)), sounding((0, 0, 90)))
    assert (scores.error_rate, scores.f, scores.localization_recall) == (1 / 2, 0, 1 / 2)


def test_a_class_that_is_heard_at_another_time_of_the_segment_is_missed():
    later = Sounding(np.array([5]), np.array([0]), np.zeros(1))
    scores = seld_scores(sounding((0, 0, 0)), later)
    assert (scores.error_rate, scores.f, scores.localization_recall) == (1, 0, 0)


def test_of_what_is_heard_at_another_time_each_is_a_miss_as_in_dcases_code():
    heard = Sounding(np.array([5, 5, 0]), np.array([0, 0, 1]), np.zeros(3))
    scores = seld_scores(sounding((0, 0, 0), (0, 1, 0)), heard)  # of class 0 one is true and two are heard later
    assert (scores.error_rate, scores.f, scores.localization_recall) == (2 / 2, 1 / 2, 1 / 2)
    scores = seld_scores(sounding((0, 0, 0), (0, 0, 90)), Sounding(np.array([5]), np.array([0]), np.zeros(1)))
    assert (scores.error_rate, scores.f, scores.localization_recall) == (1 / 2, 0, 0)


def test_events_sound_in_each_frame_that_they_reach():
    found = in_frames(np.array([0, 2, 2]), np.array([4, 5, 6]), np.zeros(3), np.array([0.3, 3.95, 1.0]),
                      np.array([0.6, 7.0, 1.0]), n_segments=4)
    assert list(zip(found.frame, found.label, strict=True)) == [(3, 4), (4, 4), (5, 4), (119, 5)]


def test_a_scene_gets_the_scores_of_dcases_own_code():
    """SELD_evaluation_metrics.py of sharathadavanne/seld-dcase2023 (24d14c9), macro average, 3 classes."""
    true = in_frames(*columns(REFERENCE), n_segments=12)
    scores = seld_scores(true, in_frames(*columns(ESTIMATED), n_segments=12))
    assert scores.error_rate == pytest.approx(0.4375, abs=1e-12)
    assert scores.f == pytest.approx(0.6672362724994304, abs=1e-12)
    assert math.degrees(scores.localization_error) == pytest.approx(16.195040409326097, abs=1e-9)
    assert scores.localization_recall == pytest.approx(0.8787878787878788, abs=1e-12)


# class, azimuth in degrees, first frame of 0.1 s, frame after the last
REFERENCE = [(0, -9, 33, 64), (0, -45, 45, 67), (1, 39, 58, 67), (1, -118, 62, 90), (0, 15, 67, 98), (2, 4, 72, 105),
             (1, 154, 73, 107), (0, 104, 89, 106), (2, 120, 94, 120), (2, -47, 96, 120)]
ESTIMATED = [(0, 58, 37, 71), (0, -44, 46, 64), (1, 30, 50, 58), (1, 53, 54, 72), (1, -125, 59, 92), (0, 16, 64, 102),
             (2, -9, 69, 107), (1, 158, 73, 105), (0, 94, 85, 106), (1, -139, 93, 119), (2, -34, 100, 120)]


def columns(events: list[tuple[int, int, int, int]]) -> tuple[np.ndarray, ...]:
    """Clip, class, azimuth [rad], start and end [s] of each."""
    label, azimuth, first, end = np.array(events).T
    return np.zeros(len(label), int), label, np.radians(azimuth), first / 10, end / 10
