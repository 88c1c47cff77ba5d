"""Matching: perfect and empty cases, and hand-made ones whose outcome is plain."""

import math
import random

import pytest

from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.evaluation.matching import match, shared_time

SECTOR = math.pi / 4


def sound(number, sector=0, label="speech", onset=0.0, duration=1.0):
    return Event(number, sector * SECTOR, label, onset, duration)


def paired(matching):
    return [(true.id, heard.id) for true, heard in matching.pairs]


def test_a_scene_matches_itself():
    truth = [sound(k, k % 8, "ab"[k % 2], onset=0.3 * k) for k in range(12)]
    matching = match(truth, random.Random(0).sample(truth, len(truth)))
    assert paired(matching) == [(k, k) for k in range(12)]
    assert (matching.found_rate, matching.named_rate, matching.missed, matching.extra) == (1.0, 1.0, (), ())


def test_nothing_heard_is_all_missed():
    matching = match([sound(1), sound(2)], [])
    assert (matching.found_rate, matching.named_rate, len(matching.missed)) == (0.0, 0.0, 2)


def test_nothing_there_has_no_rate():
    matching = match([], [sound(1)])
    assert (matching.found_rate, matching.named_rate, matching.extra) == (None, None, (sound(1),))


def test_found_but_misnamed():
    matching = match([sound(1)], [sound(5, label="dog_bark")])
    assert (matching.found_rate, matching.named_rate) == (1.0, 0.0)


def test_a_sound_of_unknown_class_is_found_and_not_named():
    matching = match([sound(1, label=None)], [sound(5, label=None)])
    assert (matching.found_rate, matching.named_rate, matching.named) == (1.0, 0.0, ())


@pytest.mark.parametrize(("heard_deg", "found"), [(22.4, True), (22.5, True), (22.6, False), (-22.5, True)])
def test_found_within_half_a_sector(heard_deg, found):
    assert bool(match([sound(1)], [Event(1, math.radians(heard_deg), "speech", 0, 1)]).pairs) is found


def test_azimuths_compare_around_the_back():
    matching = match([Event(1, math.radians(175), "speech", 0, 1)], [Event(1, math.radians(-170), "speech", 0, 1)])
    assert matching.found_rate == 1.0


@pytest.mark.parametrize(
    ("onset", "duration", "shared"), [(0, 1, 1), (1, 1, 0), (3, 1, 0), (0.5, 1, 1 / 3), (0, 4, 0.25), (0.2, 0.4, 0.4)]
)
def test_found_if_enough_of_the_time_is_shared(onset, duration, shared):
    heard = sound(2, onset=onset, duration=duration)
    assert shared_time(sound(1), heard) == pytest.approx(shared)
    assert bool(match([sound(1)], [heard]).pairs) is (shared >= 0.3)


def test_events_without_length_share_nothing():
    assert shared_time(sound(1, duration=0), sound(2, duration=0)) == 0


def test_one_detection_answers_for_one_sound():
    matching = match([sound(1), sound(2, onset=0.5)], [sound(1, duration=1.5)])
    assert (len(matching.pairs), len(matching.missed)) == (1, 1)


def test_the_detection_of_the_right_label_is_preferred():
    wrong, right = sound(1, label="dog_bark"), sound(2, duration=0.4)
    matching = match([sound(1)], [wrong, right])
    assert (paired(matching), matching.extra) == ([(1, 2)], (wrong,))


def test_as_many_as_possible_are_found_even_at_the_cost_of_a_name():
    truth = [sound(1, onset=0.0), sound(2, label="dog_bark", onset=1.5, duration=1.5)]
    long, early = sound(1, onset=0.0, duration=3.0), sound(2, label="cough", onset=0.0)
    # the long one has the first one's name, but nothing else can answer for the second
    assert paired(match(truth, [long, early])) == [(1, 2), (2, 1)]


def test_among_equals_the_longest_common_time_decides():
    assert paired(match([sound(1, duration=2.0)], [sound(1, duration=0.8), sound(2, duration=1.9)])) == [(1, 2)]
