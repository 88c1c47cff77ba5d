"""Events and truths in files: they come back as they were written, and what is wrong with one is said."""

import json
import math

import numpy as np
import pytest

from seld_overlap_ros.evaluation.events import Event, wrap, write_events
from seld_overlap_ros.evaluation.truth import load_truth

SOUND = {"id": 1, "azimuth_deg": -45.0, "label": "dog_bark", "onset_s": 1.5, "duration_s": 0.8,
         "source": "a clip", "licence": "CC0 1.0"}
SCENE = {"title": "A test", "room": {"size_m": [6.0, 5.0, 2.75], "t60_s": 0.25}, "snr_db": 15.0, "sample_rate": 16000,
         "events": [SOUND, {**SOUND, "id": 2, "label": "speech"}],
         "noise": [{"source": "a room", "licence": "CC BY 4.0"}]}


@pytest.mark.parametrize(("azimuth", "degrees"), [(float(np.float32(math.pi)), 180), (-math.pi, 180), (-3.1, -177.6)])
def test_the_back_is_180_degrees_also_as_a_float32(azimuth, degrees):
    assert Event(1, azimuth, "speech", 0, 1).to_json()["azimuth_deg"] == degrees


def test_events_come_back_from_a_file_in_order_of_onset(tmp_path):
    events = [Event(7, math.pi, "speech", 2.5, 1.25, 0.5), Event(9, -math.pi / 4, "dog_bark", 0.75, 0.5, 0.875)]
    write_events(tmp_path / "events.json", events)
    entries = json.loads((tmp_path / "events.json").read_text())
    assert entries[1] == {"id": 7, "azimuth_deg": 180.0, "label": "speech", "score": 0.5, "onset_s": 2.5,
                          "duration_s": 1.25}
    assert [Event.from_json(entry) for entry in entries] == [events[1], events[0]]


@pytest.mark.parametrize(
    ("angle", "expected"), [(0, 0), (-math.pi, math.pi), (3 * math.pi, math.pi), (5, 5 - 2 * math.pi)]
)
def test_wrap(angle, expected):
    assert wrap(angle) == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [{"onset_s": math.nan}, {"duration_s": -0.1}, {"score": math.inf}])
def test_an_event_of_impossible_numbers_is_refused(wrong):
    with pytest.raises(ValueError, match="finite numbers and a duration of at least 0 s"):
        Event.from_json({**SOUND, **wrong})


@pytest.mark.parametrize("entry", [{"id": 1}, {**SOUND, "azimuth_deg": None}, "speech", None])
def test_a_malformed_entry_is_refused(entry):
    with pytest.raises(ValueError, match="incomplete or malformed"):
        Event.from_json(entry)


def write(folder, scene):
    path = folder / "scene.json"
    path.write_text(json.dumps(scene))
    return path


def test_a_scene_tells_its_events_and_credits_each_source_once(tmp_path):
    truth = load_truth(write(tmp_path, {**SCENE, "events": [*SCENE["events"], {**SOUND, "id": 3}]}))
    assert (truth.title, truth.simulated.snr_db, len(truth.events)) == ("A test", 15.0, 3)
    assert truth.events[0] == Event(1, math.radians(-45), "dog_bark", 1.5, 0.8)
    assert truth.credits == ("dog bark: a clip (CC0 1.0)", "speech: a clip (CC0 1.0)",
                             "background noise: a room (CC BY 4.0)")
    assert truth.in_words() == (
        "3 sounds of 2 classes in a simulated room of 6.0 × 5.0 × 2.8 m with a reverberation of 0.25 s, "
        "over background noise at 15 dB SNR.")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"events": [{**SOUND, "licence": 0}, {**SOUND}]}, "id of its own"),
        ({"events": [{key: SOUND[key] for key in SOUND if key != "licence"}]}, "lacks 'licence'"),
        ({"events": [{**SOUND, "onset_s": "soon"}]}, "could not convert"),
        ({"events": [{**SOUND, "id": math.inf}]}, "malformed"),
        ({"events": [{**SOUND, "id": -1}]}, "an id from 0"),
        ({"noise": ["a market"]}, "no attribute|indices"),
        ({"events": None}, "not iterable"),
        ({"snr_db": math.nan}, "finite"),
        ({"room": {"size_m": [6.0, 5.0], "t60_s": 0.25}}, "not enough values"),
    ],
)
def test_a_wrong_scene_is_named_with_its_fault(tmp_path, wrong, said):
    with pytest.raises(ValueError, match=rf"scene\.json is no scene: .*{said}"):
        load_truth(write(tmp_path, {**SCENE, **wrong}))


def test_a_sound_of_unknown_class_has_a_credit_too(tmp_path):
    truth = load_truth(write(tmp_path, {**SCENE, "events": [{**SOUND, "label": None}]}))
    assert truth.events[0].label is None and truth.credits[0] == "unknown: a clip (CC0 1.0)"


def test_a_scene_that_is_no_json_or_not_there_is_named(tmp_path):
    (tmp_path / "scene.json").write_text("{")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for name in ("scene.json", "deep.json", "none.json"):
        with pytest.raises(ValueError, match=rf"{name} is no scene"):
            load_truth(tmp_path / name)
