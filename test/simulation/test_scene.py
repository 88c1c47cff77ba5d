"""Long scenes: a script is checked before anything is simulated."""

from datetime import date

import numpy as np
import pytest
import yaml

from seld_overlap_ros.config import MicrophoneArray
from seld_overlap_ros.data.sounds import Clip, NoiseClip
from seld_overlap_ros.simulation.scene import load_script, play_script

CUE = {"source": "a", "azimuth_deg": 0.0, "distance": 1.0, "onset_s": 0.5, "author": "me"}
SCRIPT = {"title": "t", "duration_s": 2.0, "snr_db": 10.0, "noise": "n", "noise_author": "me", "cues": [CUE]}


def test_a_script_is_called_as_its_file(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(SCRIPT))
    script = load_script(tmp_path / "mine.yaml")
    assert script.name == "mine" and script.cues[0].onset_s == 0.5


def test_the_microphone_towards_each_cue_of_a_script_hears_it_first(tmp_path, leading):
    rate, cues = 16000, [CUE | {"azimuth_deg": azimuth, "onset_s": onset}
                         for azimuth, onset in ((90.0, 0.1), (-45.0, 1.1), (135.0, 2.1))]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(SCRIPT | {"cues": cues, "duration_s": 3.0, "snr_db": 30.0}))
    sound, noise = np.random.default_rng(0).uniform(-1, 1, (2, 8000)).astype(np.float32)
    clips = [Clip("rush", "test", "a", "a", "CC0", sound)]
    scene, _, truth = play_script(load_script(tmp_path / "mine.yaml"), clips,
                                  [NoiseClip("room", "n", "test", "CC0", noise)], MicrophoneArray.circular(), rate)
    assert [event["azimuth_deg"] for event in truth["events"]] == [90, -45, 135]
    heard = [scene[:, round(cue["onset_s"] * rate) :][:, :rate] for cue in cues]
    assert [leading(samples) for samples in heard] == [2, 7, 3]


def test_a_sound_beyond_the_walls_is_named(tmp_path):
    far = CUE | {"source": "b", "distance": 9.0}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(SCRIPT | {"cues": [CUE, far]}))
    with pytest.raises(ValueError, match="^b would lie outside of the room that is drawn for mine, .* less than 9 m"):
        play_script(load_script(tmp_path / "mine.yaml"), [], [], MicrophoneArray.circular(), 16000)


def test_a_script_that_is_nested_too_deep_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "mine.yaml").write_text("cues: " + 3000 * "[")
    with pytest.raises(ValueError, match="is no script of a scene"):
        load_script(tmp_path / "mine.yaml")


def test_a_file_of_another_encoding_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(b"title: caf\xe9")
    with pytest.raises(ValueError, match="mine.yaml is no script of a scene"):
        load_script(tmp_path / "mine.yaml")


@pytest.mark.parametrize(("changes", "reason"), [
    ({"title": date(2024, 5, 1)}, "title must be a text, got 2024-05-01: put it into quotes"),
    ({"cues": [CUE | {"source": 5, "distance": -1}]}, "source must be a text, got 5"),
    ({"cues": [CUE | {"onset_s": 2.0}]}, "a must begin at 0 or later, and 0.1 s or more before the scene ends"),
    ({"cues": [CUE | {"onset_s": -0.1}]}, "a must begin at 0 or later, and 0.1 s or more before the scene ends"),
    ({"cues": []}, "mine.yaml has no cues"),
    ({"duration_s": "ten"}, "is no script of a scene"),
    ({"snr_db": float("nan")}, "snr_db must be a number, got nan"),
    ({"cues": [CUE | {"azimuth_deg": "left"}]}, "azimuth_deg must be a number, got 'left'"),
    ({"cues": [CUE | {"level_db": float("inf")}]}, "level_db must be a number, got inf"),
    ({"cues": [CUE | {"distance": -1}]}, "a must have a distance of more than 0 m"),
    ({"cues": [{"source": "a"}]}, "is no script of a scene"),
])
def test_a_script_that_cannot_be_played_is_refused_in_a_sentence(tmp_path, changes, reason):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(SCRIPT | changes))
    with pytest.raises(ValueError, match=reason):
        load_script(tmp_path / "mine.yaml")
