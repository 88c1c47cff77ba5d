"""Scores of systems that heard the same bags: nothing, everything right, and counted by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from heard_bags import DOG, FRONT, LEFT, MIXTURE, NOISE, RATE, STEMS, TRUTH, FakeEngine, evaluated, fake_bag, heard
from rich.console import Console

from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.evaluation.matching import match
from seld_overlap_ros.evaluation.recording import Track
from seld_overlap_ros.evaluation.replay import Look
from seld_overlap_ros.evaluation.replay_scores import (
    Scored,
    at_once,
    drawn,
    numbers,
    read_limits,
    shortfalls,
)
from seld_overlap_ros.evaluation.replay_separation import capi_sdri_of_clips
from seld_overlap_ros.evaluation.replay_tables import tables


def scored(one, bag=None):
    bag = bag or fake_bag()
    return Scored(bag, one, match(bag.events, one.events))


def test_a_perfect_answer_scores_full():
    got = numbers([scored(heard(*TRUTH))])
    assert (got["n"], got["found"], got["named"], got["extra"]) == (2, 1.0, 1.0, 0)
    assert (got["er20"], got["f20"], got["le_deg"], got["lr"]) == (0.0, 1.0, 0.0, 1.0)


def test_silence_scores_nothing():
    got = numbers([scored(heard())])
    assert (got["found"], got["named"], got["er20"], got["f20"], got["le_deg"], got["lr"]) == (0, 0, 1, 0, 180, 0)
    assert math.isnan(got["delay_median_s"])


def test_without_anything_to_find_there_are_no_shares():
    got = numbers([scored(heard(Event(1, FRONT, "dog", 1.0, 1.0)), fake_bag(truth=()))])
    assert (got["n"], got["extra"]) == (0, 1)
    assert all(math.isnan(got[score]) for score in ("found", "named", "f20", "er20", "delay_median_s"))


def test_scores_by_hand():
    """The dog is found in time, under another name; speech is heard 30 degrees off; a third sound is not there."""
    one = scored(heard(Event(7, FRONT, "cat", 1.0, 2.0), Event(8, LEFT - math.radians(30), "speech", 4.0, 2.0),
                       Event(9, math.pi, None, 6.0, 1.0)))
    got = numbers([one])
    assert (got["found"], got["named"], got["extra"]) == (0.5, 0.0, 2)
    # of 4 references all are wrong, and one segment has an insertion: (4 + 1) / 4; nothing is near, speech recalled
    assert (got["er20"], got["f20"], got["lr"]) == (1.25, 0.0, 0.5)
    assert got["le_deg"] == pytest.approx((180 + 30) / 2)


def test_unknown_agrees_with_nothing():
    truth = (Event(1, FRONT, None, 1.0, 2.0),)
    got = numbers([scored(heard(*truth), fake_bag(truth=truth))])
    assert (got["found"], got["named"], got["f20"], got["lr"]) == (1.0, 0.0, 0.0, 0.0)


def test_the_delay_runs_from_the_onset_to_the_first_window_that_ends_later_and_reports_the_sound():
    one = heard(*(Event(event.id + 10, event.azimuth, event.label, event.onset_s, 2.0) for event in TRUTH),
                reported_s={11: (0.5, 1.5, 2.0), 12: (6.0, 6.5)})
    assert scored(one).delays_s == [0.5, 2.0]
    got = numbers([scored(one)])
    assert (got["delay_median_s"], got["delay_p90_s"]) == (1.25, pytest.approx(1.85))


def test_groups_count_by_class_direction_and_sounds_at_once():
    wrong = Event(5, math.radians(-170), "dog", 0.0, 1.0)
    result = evaluated([fake_bag()], ear=[heard(TRUTH[0], wrong)])["systems"]["ear"]
    right, missed, extra = ({"n": n, "found": found, "named": found, "extra": more, "si_sdri": None}
                            for n, found, more in ((1, 1, 0), (1, 0, 0), (0, 0, 1)))
    assert result["by_class"] == {"dog": {**right, "extra": 1}, "speech": missed}
    assert list(result["by_direction"].items()) == [("0", right), ("90", missed), ("180", extra)]
    assert result["by_sources"] == {"0": extra, "1": {**right, "n": 2}}
    assert result["confusion"] == [{"true": None, "said": "dog", "n": 1}, {"true": "dog", "said": "dog", "n": 1},
                                   {"true": "speech", "said": None, "n": 1}]


def test_a_sound_is_found_within_half_a_sector_of_the_systems_own_directions():
    off = [replace(event, azimuth=event.azimuth + math.radians(15)) for event in TRUTH]
    result = evaluated([fake_bag()], eight=[heard(*off)], sixteen=[heard(*off, half_sector=math.radians(11.25))],
                       four=[heard(*off, half_sector=math.radians(45))])["systems"]
    assert {name: one["all"]["found"] for name, one in result.items()} == {"eight": 1, "sixteen": 0, "four": 1}


def test_systems_are_compared_on_the_same_sounds():
    bags = [fake_bag(name="one"), fake_bag(name="two")]
    result = evaluated(bags, good=[heard(*TRUTH)] * 2, bad=[heard(TRUTH[0]), heard()])
    found = next(pair for pair in result["compared"] if pair["score"] == "found")
    assert (found["first"], found["second"], found["gain"], found["only_first"], found["only_second"], found["p"]) == (
        "good", "bad", 0.75, 3, 0, 0.25)
    assert "good, bad                     +0.750, p = 0.250" in shown(result)


def test_a_bag_that_cannot_be_scored_is_named_and_counts_for_no_system():
    bags = [fake_bag(name="fine"), fake_bag(truth=None, name="bare"), fake_bag(name="short")]
    deaf = heard(n_windows=0, notes=("audio refused: the audio has 4 channels",))
    also = heard(n_windows=0, notes=(*deaf.notes, "not played"))
    result = evaluated(bags, a=[heard(*TRUTH), heard(*TRUTH), deaf], b=[heard(), heard(), also])
    assert result["problems"] == ["bare has no ground truth and cannot be scored",
                                  "short cannot be heard by a, b: audio refused: the audio has 4 channels; not played"]
    assert [result["systems"][name]["all"]["n"] for name in "ab"] == [2, 2]
    assert len(result["systems"]["a"]["heard"]) == 3


def test_a_bag_that_one_system_cannot_hear_counts_for_the_others_and_where_those_are_compared():
    bags = [fake_bag(name="one"), fake_bag((Event(1, FRONT, "bell", 1.0, 2.0),), name="two")]
    failed = replace(heard(n_windows=0, notes=("two could not be played to the graph full",)), wall_s=math.nan)
    result = evaluated(bags, good=[heard(*TRUTH), heard(*bags[1].events)], bad=[heard(), heard()], dead=[
        heard(*TRUTH), failed])
    assert result["problems"] == ["two cannot be heard by dead, and counts for the other systems alone: two could not "
                                  "be played to the graph full"]
    assert {name: one["all"]["n"] for name, one in result["systems"].items()} == {"good": 3, "bad": 3, "dead": 2}
    assert result["systems"]["good"]["by_class"]["bell"]["named"] == 1
    n_compared = {(pair["first"], pair["second"]): pair["n"] for pair in result["compared"]}
    assert n_compared == {("good", "bad"): 3, ("good", "dead"): 2, ("bad", "dead"): 2}
    said = " ".join(shown(result).split())
    assert "bell 1, 1 of 1 0, 0 of 1 0, 0 of 0" in said and "dog 1, 1 of 1 0, 0 of 1 1, 1 of 1" in said
    assert {one["times_real_time"] for one in result["run_time"].values()} == {8.0}  # of what each has heard
    bare = evaluated([fake_bag(None, name="bare")], good=[heard()], dead=[failed])
    assert bare["problems"] == ["bare cannot be heard by dead: two could not be played to the graph full"]


def test_limits_are_read_and_held_against_each_system():
    assert read_limits(["f20=0.6", "found=1"]) == {"f20": 0.6, "found": 1.0}
    assert read_limits(["si_sdri=5.5", "per_1000=700"]) == {"si_sdri": 5.5, "per_1000": 700.0}
    for text in ("f20", "er20=0.5", "f20=2", "f20=nan", "=1", "found=x", "si_sdri=inf"):
        with pytest.raises(ValueError, match="is no limit: write SCORE=VALUE"):
            read_limits([text])
    result = evaluated([fake_bag()], good=[heard(*TRUTH)], bad=[heard()])
    assert shortfalls(result, {"f20": 0.6, "found": 1.0}) == ["bad: f20 is 0.0, and 0.6 is asked for",
                                                              "bad: found is 0.0, and 1 is asked for"]
    nothing = evaluated([fake_bag(truth=())], ear=[heard()])
    assert shortfalls(nothing, {"f20": 0.0}) == ["ear: f20 is without a value, and 0 is asked for"]


def test_sounds_at_once_are_counted_where_most_meet():
    truth = (Event(1, FRONT, "a", 0.0, 4.0), Event(2, LEFT, "b", 1.0, 1.0), Event(3, math.pi, "c", 2.0, 1.0),
             Event(4, -LEFT, "d", 2.5, 1.0), Event(5, FRONT, "e", 4.0, 1.0))
    assert [at_once(event, truth) for event in truth] == [3, 2, 3, 3, 1]
    assert at_once(Event(9, FRONT, "f", 6.0, 1.0), truth) == 0


def test_the_papers_count_has_one_sound_of_each_stretch_in_which_any_begins():
    truth = tuple(Event(n, FRONT, "a", onset_s, 0.1) for n, onset_s in enumerate((0.0, 1.0, 2.0, 9.0, 9.5)))
    bag = fake_bag(truth, 12.0)
    assert len(drawn(bag) & {0, 1, 2}) == len(drawn(bag) & {3, 4}) == 1
    moved = fake_bag(tuple(replace(event, id=event.id + 10) for event in truth[::-1]), 12.0, name="copy")
    assert drawn(moved) == {number + 10 for number in drawn(bag)}  # whatever a bag is called
    got = numbers([scored(heard(*(event for event in truth if event.id in drawn(bag))), bag)])
    assert (got["per_1000"], got["n_drawn"], got["named"]) == (1000, 2, 0.4)


def test_a_sound_that_is_taken_out_whole_gains_what_the_mixture_lacked():
    perfect = heard(*TRUTH, separated=STEMS, mixture=MIXTURE)
    as_it_came = heard(*TRUTH, separated=dict.fromkeys(STEMS, MIXTURE), mixture=MIXTURE)
    result = evaluated([fake_bag(stems=STEMS)], perfect=[perfect], nothing=[as_it_came])
    nothing, perfect = (result["systems"][name]["all"] for name in ("nothing", "perfect"))
    assert nothing["si_sdri"] == pytest.approx(0, abs=1e-4) and nothing["capi_sdri"] == pytest.approx(0, abs=1e-4)
    assert perfect["si_sdri"] > 60 and perfect["capi_sdri"] > 60
    pair = next(pair for pair in result["compared"] if pair["score"] == "si_sdri")
    assert pair["n"] == 2 and pair["gain"] > 60 and pair["p"] == 0.5
    assert f"{pair['gain']:+.1f} dB, p = 0.500" in shown(result)


def test_si_sdr_improvement_by_hand():
    """The dog with a tenth of the noise that the mixture has beside it: 20 dB, but for what the two have in common."""
    better = Track(RATE, {RATE: DOG + 0.1 * NOISE[RATE : 3 * RATE]})
    dog = heard(TRUTH[0], separated={1: better}, mixture=MIXTURE)
    one = evaluated([fake_bag(TRUTH[:1], stems=STEMS)], ear=[dog])["systems"]["ear"]
    assert one["all"]["si_sdri"] == pytest.approx(20, abs=0.2)
    assert one["by_class"]["dog"]["si_sdri"] == one["heard"][0]["sounds"][0]["si_sdri"] == one["all"]["si_sdri"]


def test_a_bag_that_ends_within_a_sample_after_a_clip_has_no_clip_more():
    one = heard(*TRUTH, separated=STEMS, mixture=MIXTURE)
    exact, longer = (evaluated([fake_bag(stems=STEMS, duration_s=seconds)], ear=[one])["systems"]["ear"]["all"]
                     for seconds in (10.0, 10.00002))
    assert longer["capi_sdri"] == exact["capi_sdri"] > 60


def test_separation_is_scored_for_sounds_that_were_found_and_have_a_stem():
    one = heard(TRUTH[0], separated={1: STEMS[1]}, mixture=MIXTURE)
    without = evaluated([fake_bag()], ear=[one])["systems"]["ear"]["all"]
    assert (without["si_sdri"], without["capi_sdri"]) == (None, None)
    only_speech = evaluated([fake_bag(stems={2: STEMS[2]})], ear=[one])["systems"]["ear"]["all"]
    assert (only_speech["si_sdri"], only_speech["capi_sdri"]) == (None, None)


@pytest.mark.parametrize(("said_of_window", "said_of_clean", "stems", "lost"), [
    ({}, 0, STEMS, "direction"),
    ({2: 0}, 0, STEMS, "direction"),
    ({0: 2}, 0, STEMS, "separation"),
    ({0: 2}, 1, STEMS, "class"),
    ({0: 2}, 0, None, "class or separation"),
    ({0: 0}, 0, STEMS, "tracks"),
])
def test_a_sound_is_put_down_to_the_stage_that_lost_it(said_of_window, said_of_clean, stems, lost):
    """The windows from 0 to 1 s hold all of the dog; the one in the middle counts."""
    looks = tuple(Look(at_s, said_of_window if at_s == 0.5 else {0: 0, 1: 1}) for at_s in (0.0, 0.5, 1.0, 2.0))
    one = heard(TRUTH[1], looks=looks, mixture=MIXTURE, separated={2: STEMS[2]})
    result = evaluated([fake_bag(stems=stems)], {"ear": FakeEngine(said_of_clean)}, ear=[one])["systems"]["ear"]
    assert {reason: n for reason, n in result["lost"].items() if n} == {"named": 1, lost: 1}
    assert [sound["lost"] for sound in result["heard"][0]["sounds"]] == [lost, "named"]


def test_a_sound_of_which_no_window_holds_anything_is_lost_by_no_stage():
    looks = (Look(0.0, {0: 0}), Look(0.0, {0: 0}))
    late = Event(3, FRONT, "dog", 5.0, 1.0)
    result = evaluated([fake_bag((TRUTH[0], late))], {"ear": FakeEngine(0)}, ear=[heard(looks=looks, mixture=MIXTURE)])
    assert sum(result["systems"]["ear"]["lost"].values()) == 1
    assert [sound["lost"] for sound in result["systems"]["ear"]["heard"][0]["sounds"]] == ["tracks", None]


def test_what_a_border_cuts_off_is_no_sound_of_the_clip():
    """A sound that reaches 0.2 s into the second clip, and a silent stem, change nothing."""
    def clips(truth, stems):
        return capi_sdri_of_clips(truth, stems, [], {}, Track(RATE, {0: np.ones(20 * RATE, np.float32)}), 20.0)

    noise = np.random.default_rng(1).standard_normal(20 * RATE).astype(np.float32)
    over = Event(1, FRONT, "dog", 8.0, 2.2)
    assert math.isnan(clips([over], {1: Track(RATE, {8 * RATE: noise[: int(2.2 * RATE)]})})[1])
    longer = replace(over, duration_s=2.3)
    assert clips([longer], {1: Track(RATE, {8 * RATE: noise[: int(2.3 * RATE)]})}) == [0, 0]  # not found in both
    short, start = replace(over, onset_s=9.96, duration_s=0.1), int(9.96 * RATE)
    before, after = clips([short], {1: Track(RATE, {start: noise[: RATE // 10]})})
    assert math.isnan(before) and after == 0  # where most of it is
    assert math.isnan(clips([short], {1: Track(RATE, {start: np.zeros(RATE // 10, np.float32)})})[1])


def test_a_class_that_the_model_does_not_know_is_lost_by_the_class():
    one = heard(looks=(Look(0.0, {0: 0}),), mixture=MIXTURE)
    bag = fake_bag((Event(1, FRONT, "horse", 1.0, 2.0),), stems=STEMS)
    assert evaluated([bag], {"ear": FakeEngine(0)}, ear=[one])["systems"]["ear"]["lost"]["class"] == 1


def test_what_a_live_graph_does_not_tell_is_left_out():
    one = heard(*TRUTH, latency_s=(0.1, 0.3))
    result = evaluated([fake_bag()], {}, live=[one])
    assert result["systems"]["live"]["lost"] is None
    assert result["run_time"]["live"]["latency_s"] == [0.1, 0.3]


def test_the_result_is_plain_json():
    looks = (Look(0.0, {0: 1}),)
    one = heard(*TRUTH, looks=looks, mixture=MIXTURE, separated=STEMS)
    result = evaluated([fake_bag(stems=STEMS)], {"ear": FakeEngine(0)}, ear=[one])
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def shown(result):
    console = Console(width=160)
    with console.capture() as text:
        console.print(tables(result), markup=False)
    return text.get()
