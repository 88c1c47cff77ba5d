"""Scores of outcomes made up by hand: a perfect listener, a deaf one, and some in between."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_mixtures import CONFIG, LABELS, Said, make_outcomes

from seld_overlap_ros.evaluation.outcomes import concatenate
from seld_overlap_ros.evaluation.scores import (
    all_scores,
    by_room,
    by_series,
    by_sources,
    compare,
    confusion,
    direction_scores,
    drawn,
    group_scores,
    interval95,
    interval95_over,
    largest_confusions,
    p_over,
    recall,
)
from seld_overlap_ros.simulation.rooms import scene_rng

TWO = {1: 0, 5: 1}  # class 0 in direction 1, class 1 in direction 5
PERFECT = make_outcomes(*[Said(TWO, TWO)] * 4)
DEAF = make_outcomes(*[Said(TWO, {})] * 4)


def scores(outcomes, **t60):
    return all_scores(outcomes, CONFIG.azimuths, CONFIG.front_end.window_s, each(outcomes), t60)


def each(outcomes):
    """Every source of a recording of its own."""
    return np.arange(len(outcomes.label))


def test_a_perfect_listener():
    found = scores(PERFECT)
    assert found["n_mixtures"] == 4
    assert found["count"]["accuracy"] == found["all_sources"]["accuracy"] == found["direction"]["f1"] == 1
    assert found["direction"]["exact"] == 1
    assert found["all_sources"]["si_sdri"] == 10
    assert (found["seld"]["er20"], found["seld"]["f20"], found["seld"]["lr"]) == (0, 1, 1)
    assert found["seld"]["le_deg"] == pytest.approx(0)


def test_a_deaf_listener_has_no_si_sdr_and_its_scores_are_json():
    found = json.loads(json.dumps(scores(DEAF), allow_nan=False))
    assert found["count"]["accuracy"] == found["all_sources"]["accuracy"] == found["direction"]["f1"] == 0
    assert found["all_sources"]["si_sdri"] is None
    assert found["all_sources"]["ceiling"] == found["all_sources"]["given_direction"] == 1
    assert (found["seld"]["er20"], found["seld"]["f20"]) == (1, 0)


def test_directions_one_right_one_missed_one_invented():
    assert direction_scores(make_outcomes(Said(TWO, {1: 0, 2: 1}))) == {
        "f1": 0.5, "precision": 0.5, "recall": 0.5, "exact": 0.0}


def test_the_count_draws_one_source_a_mixture_the_same_for_every_system():
    assert drawn(PERFECT).sum() == 4
    assert (drawn(PERFECT) == drawn(DEAF)).all()
    which = [scene_rng("count", index).integers(2) for index in range(4)]
    assert drawn(PERFECT).reshape(4, 2).argmax(axis=1).tolist() == which


def test_the_count_of_a_store_is_that_of_its_parts_put_together():
    whole = concatenate([PERFECT, make_outcomes(Said({0: 2}, {0: 2}))])
    assert whole.mixture.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert drawn(whole)[:8].tolist() == drawn(PERFECT).tolist()


def test_a_right_direction_with_a_wrong_class_is_found_and_not_named():
    found = group_scores(make_outcomes(Said(TWO, {1: 2, 5: 1})), np.arange(2), np.ones(2, bool))
    assert (found["found"], found["accuracy"]) == (1, 0.5)


def test_intervals_are_those_of_the_wilson_score():
    low, high = interval95(730, 1000)  # p = .73, z = 1.96: centre (p + z2/2n) / (1 + z2/n), by hand
    assert (low, high) == (pytest.approx(0.7016, abs=1e-4), pytest.approx(0.7566, abs=1e-4))
    assert interval95(0, 0) == (0, 1)


def test_a_paired_comparison_counts_where_the_two_differ():
    first = np.array([True] * 10 + [False] * 2 + [True] * 20)
    second = np.array([False] * 10 + [True] * 2 + [True] * 20)
    paired = compare(first, second)
    assert (paired.only_first, paired.only_second, paired.gain) == (10, 2, 8 / 32)
    assert paired.p == pytest.approx(2 * (1 + 12 + 66) / 2**12)  # both tails of a fair coin, 0 to 2 of 12


def test_systems_that_never_differ_are_the_same():
    assert compare(np.ones(3, bool), np.ones(3, bool)).p == 1


def test_split_by_number_of_sources():
    split = by_sources(make_outcomes(Said({0: 0}, {0: 0}), Said(TWO, {1: 0})), np.arange(3))
    assert {k: (group["n"], group["accuracy"]) for k, group in split.items()} == {"1": (1, 1), "2": (2, 0.5)}


def test_split_by_room_has_anechoic_apart():
    both = concatenate([replace(PERFECT, room=np.full(4, "dry")), replace(DEAF, room=np.full(4, "wet"))])
    split = by_room(both, each(both), {"dry": 0.0, "wet": 0.3})
    assert {name: group["accuracy"] for name, group in split.items()} == {"anechoic": 1, "rooms": 0}


def test_split_by_room_is_in_thirds_where_every_room_has_echo():
    t60 = {"a": 0.2, "b": 0.3, "c": 0.4, "d": 0.4}
    outcomes = concatenate([replace(PERFECT, room=np.full(4, name)) for name in t60])
    split = by_room(outcomes, each(outcomes), t60)
    assert [(group["n"], group["rooms"]) for group in split.values()] == [(16, 2), (16, 2)]
    assert next(iter(split)) == "T60 up to 0.30 s"


def test_rooms_of_unknown_echo_are_not_split():
    assert by_room(PERFECT, each(PERFECT), {}) == {}


def test_confusions_and_recall_by_class():
    outcomes = make_outcomes(*[Said(TWO, {1: 2, 5: 1})] * 3, Said(TWO, {5: 1}))
    counts = confusion(outcomes, 3)
    assert counts.tolist() == [[0, 0, 3], [0, 4, 0], [0, 0, 0]]
    assert largest_confusions(counts, LABELS) == [{"true": "a", "said": "c", "n": 3}]
    assert recall(outcomes, LABELS) == {"a": 0, "b": 1}


def test_intervals_over_recordings_know_that_one_comes_in_many_mixtures():
    rng = np.random.default_rng(0)
    recordings = np.repeat(np.arange(50), 10)
    alike, each = np.repeat(rng.random(50) < 0.6, 10), rng.random(500) < 0.6
    (low, high), (near, far) = interval95_over(alike, recordings), interval95_over(each, recordings)
    assert low < alike.mean() < high
    assert high - low == pytest.approx(2 * 2.01 * np.std(alike[::10], ddof=1) / 50**0.5, rel=0.01)
    assert far - near < (high - low) / 2  # independent within a recording: as narrow as Wilson's
    assert far - near == pytest.approx(np.diff(interval95(each.sum(), 500))[0], rel=0.3)
    assert interval95_over(np.ones(3, bool), np.zeros(3)) == (0, 1)
    assert interval95_over(np.ones(30, bool), np.arange(30) % 3) == interval95(3, 3)  # and not sure: 1 to 1
    assert interval95_over(np.zeros(30, bool), np.arange(30) % 3) == interval95(0, 3)


def test_a_lead_on_a_few_recordings_is_less_sure_than_one_on_many():
    first, second = np.zeros(500, bool), np.zeros(500, bool)
    first[:40] = True
    few, many = np.repeat(np.arange(50), 10), np.arange(500)
    assert compare(first, second).p < 1e-9 and p_over(first, second, many) < 1e-9
    assert 0.02 < p_over(first, second, few) < 0.1  # four recordings of fifty
    assert p_over(first, first, few) == 1
    halves = np.arange(500) % 2 == 0
    assert p_over(halves, ~halves, few) == 1  # as often right, in each recording
    assert p_over(np.ones(20, bool), np.zeros(20, bool), np.arange(20) % 2) == 0.5  # as McNemar's on two


def test_split_by_whether_training_held_the_series():
    outcomes = make_outcomes(Said({0: 0}, {0: 0}), Said(TWO, {1: 0}))
    split = by_series(outcomes, np.arange(3), np.array([True, True, False]))
    assert {name: (group["n"], group["accuracy"]) for name, group in split.items()} == {
        "series in training": (2, 1.0), "series unheard": (1, 0.0)}
    assert by_series(outcomes, np.arange(3), None) == {}


def test_intervals_of_groups_are_over_recordings():
    outcomes = make_outcomes(*[Said({0: 0}, {0: 0})] * 20, *[Said({0: 0}, {})] * 20)
    recordings = np.repeat(np.arange(4), 10)
    expected = interval95_over(outcomes.named, recordings)
    assert by_sources(outcomes, recordings)["1"]["ci95_recordings"] == expected
    assert by_room(outcomes, recordings, {"r": 0.0})["anechoic"]["ci95_recordings"] == expected
    assert by_series(outcomes, recordings, np.ones(40, bool))["series in training"]["ci95_recordings"] == expected
    assert expected[1] - expected[0] > 2 * np.diff(interval95(20, 40))[0]  # four recordings tell less than 40 sources
