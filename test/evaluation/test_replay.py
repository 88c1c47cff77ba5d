"""Bags through the library and their scores: as full_node hears them, the same each time, and counted by hand."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from rich.console import Console

from seld_overlap_ros.bags.reading import read_bag
from seld_overlap_ros.bags.scenes import from_scene
from seld_overlap_ros.bags.writing import START_NS, write_bag
from seld_overlap_ros.evaluation import replay_scores
from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.evaluation.matching import match
from seld_overlap_ros.evaluation.replay import Heard, Settings, hear
from seld_overlap_ros.evaluation.replay_scores import Scored, numbers, read_limits, shortfalls, tables
from seld_overlap_ros.hearing import Hearing
from seld_overlap_ros.models.engine import load_engine
from seld_overlap_ros.streaming.sources import find_scene
from seld_overlap_ros.streaming.tracks import Tracks

FRONT, LEFT = 0.0, math.pi / 2
TRUTH = (Event(1, FRONT, "dog", 1.0, 2.0), Event(2, LEFT, "speech", 4.0, 2.0))


def fake_bag(truth=TRUTH, duration_s=8.0, name="bag"):
    return SimpleNamespace(events=truth, duration_s=duration_s, path=Path(name), notes=[])


def heard(*events, reported_s=None, n_windows=3, notes=()):
    return Heard(events, reported_s or {event.id: (event.end_s,) for event in events}, n_windows, notes, 1.0)


def scored(one, bag=None):
    bag = bag or fake_bag()
    return Scored(bag, one, match(bag.events, one.events))


def evaluated(monkeypatch, bags, **of_systems):
    """`evaluate` where each system hears of bag n what its list holds at n."""
    names = {id(bag): n for n, bag in enumerate(bags)}
    monkeypatch.setattr(replay_scores, "hear", lambda bag, system, settings, tick: system[names[id(bag)]])
    return replay_scores.evaluate(bags, of_systems, Settings())


@pytest.fixture(scope="module")
def system():
    return load_engine("overlap")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The first seven seconds of the demo's scene as a bag."""
    folder = tmp_path_factory.mktemp("demo")
    samples, rate = soundfile.read(find_scene("demo"), dtype="float32", stop=7 * 16000)
    soundfile.write(folder / "demo.flac", samples, rate, subtype="PCM_16")
    (folder / "demo.json").write_text(find_scene("demo").with_suffix(".json").read_text())
    write_bag(folder / "bag", from_scene(folder / "demo.flac"))
    return read_bag(folder / "bag")


def test_a_bag_is_heard_as_full_node_does_it(demo, system):
    """Step by step as FullNode._hear and EventOutput.publish, on the samples of the sound file."""
    samples = np.concatenate((soundfile.read(find_scene("demo"), dtype="float32", stop=7 * 16000)[0],
                              np.zeros((16000, 8), np.float32))).T
    hearing, tracks, known, expected = Hearing(system), Tracks(system.config, 0.4), [], {}
    for start in range(0, samples.shape[1] - 65792 + 1, system.config.front_end.whole_hops(1.0)):
        sources = hearing(samples[:, start : start + 65792], known)
        known = [source.direction for source in sources]
        sounds = tracks.update(START_NS + start * 62500, sources)
        expected |= {sound.id: sound for sound in [*sounds, *tracks.ended]}
    got = hear(demo, system, Settings(hop_s=1.0))
    assert got.n_windows == 4 and len(got.events) == len(expected) > 2
    for event in got.events:
        sound = expected[event.id]
        label = None if sound.unknown else system.config.labels[int(sound.class_scores.argmax())]
        assert (event.label, event.onset_s) == (label, pytest.approx((sound.onset_ns - START_NS) / 1e9, abs=1e-6))
        assert event.azimuth == pytest.approx(system.config.azimuths[sound.direction])


def test_the_scores_are_the_same_twice_and_the_progress_counts_every_chunk(demo, system):
    ticks = []
    first, second = (replay_scores.evaluate([demo], {"overlap": system}, Settings(hop_s=1.0), lambda: ticks.append(1))
                     for _ in range(2))
    assert first["systems"]["overlap"]["all"]["found"] > 0
    assert [first.pop("run_time"), second.pop("run_time")] and json.dumps(first) == json.dumps(second)
    assert len(ticks) == 2 * demo.n_chunks == 160


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


def test_the_delay_runs_from_the_onset_to_the_first_window_that_ends_later_and_reports_the_sound():
    one = heard(*(Event(event.id + 10, event.azimuth, event.label, event.onset_s, 2.0) for event in TRUTH),
                reported_s={11: (0.5, 1.5, 2.0), 12: (6.0, 6.5)})
    assert scored(one).delays_s == [0.5, 2.0]
    got = numbers([scored(one)])
    assert (got["delay_median_s"], got["delay_p90_s"]) == (1.25, pytest.approx(1.85))


def test_groups_count_by_class_and_by_direction(monkeypatch):
    wrong = Event(5, math.radians(-170), "dog", 0.0, 1.0)
    result = evaluated(monkeypatch, [fake_bag()], ear=[heard(TRUTH[0], wrong)])["systems"]["ear"]
    assert result["by_class"] == {"dog": {"n": 1, "found": 1, "named": 1, "extra": 1},
                                  "speech": {"n": 1, "found": 0, "named": 0, "extra": 0}}
    assert result["by_direction"] == {"0": {"n": 1, "found": 1, "named": 1, "extra": 0},
                                      "180": {"n": 0, "found": 0, "named": 0, "extra": 1},
                                      "90": {"n": 1, "found": 0, "named": 0, "extra": 0}}


def test_systems_are_compared_on_the_same_sounds(monkeypatch):
    bags = [fake_bag(name="one"), fake_bag(name="two")]
    result = evaluated(monkeypatch, bags, good=[heard(*TRUTH)] * 2, bad=[heard(TRUTH[0]), heard()])
    found = next(pair for pair in result["compared"] if pair["score"] == "found")
    assert (found["first"], found["second"], found["gain"], found["only_first"], found["only_second"], found["p"]) == (
        "good", "bad", 0.75, 3, 0, 0.25)
    console = Console(width=120)
    with console.capture() as shown:
        console.print(tables(result), markup=False)
    assert "good against bad, found: +0.750 (3 only by the first" in shown.get()


def test_a_bag_that_cannot_be_scored_is_named_and_counts_for_no_system(monkeypatch):
    bags = [fake_bag(name="fine"), fake_bag(truth=None, name="bare"), fake_bag(name="short")]
    deaf = heard(n_windows=0, notes=("audio refused: the audio has 4 channels",))
    result = evaluated(monkeypatch, bags, a=[heard(*TRUTH)] * 3, b=[heard(), heard(), deaf])
    assert result["problems"] == ["bare has no ground truth and cannot be scored",
                                  "short cannot be heard by b: audio refused: the audio has 4 channels"]
    assert [result["systems"][name]["all"]["n"] for name in "ab"] == [2, 2]
    assert len(result["systems"]["a"]["heard"]) == 3


def test_limits_are_read_and_held_against_each_system(monkeypatch):
    assert read_limits(["f20=0.6", "found=1"]) == {"f20": 0.6, "found": 1.0}
    for text in ("f20", "er20=0.5", "f20=2", "f20=nan", "=1", "found=x"):
        with pytest.raises(ValueError, match="is no limit: write SCORE=VALUE"):
            read_limits([text])
    result = evaluated(monkeypatch, [fake_bag()], good=[heard(*TRUTH)], bad=[heard()])
    assert shortfalls(result, {"f20": 0.6, "found": 1.0}) == ["bad: f20 is 0.0, and 0.6 is asked for",
                                                              "bad: found is 0.0, and 1 is asked for"]
    nothing = evaluated(monkeypatch, [fake_bag(truth=())], ear=[heard()])
    assert shortfalls(nothing, {"f20": 0.0}) == ["ear: f20 is without a value, and 0 is asked for"]
