"""SSC on clean clips: two kinds of tone are learnt, and what came out is counted right."""

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from seld_overlap_ros.cli import app
from seld_overlap_ros.data import sounds
from seld_overlap_ros.data.sounds import Clip
from seld_overlap_ros.training import clean_clips
from seld_overlap_ros.training.clean_clips import ClipDataset, Outcome, check_clips

RATE = 16000


def tone(label: str, pitch: float) -> Clip:
    time = np.arange(RATE // 2, dtype=np.float32) / RATE
    return Clip(label, "train", label, f"{pitch} Hz", "CC0", np.sin(2 * np.pi * pitch * time))


@pytest.fixture(scope="module")
def clips() -> dict[str, list[Clip]]:
    return {
        split: [tone(label, pitch + 10 * k) for label, pitch in (("high", 3000), ("low", 300)) for k in range(n)]
        for split, n in (("train", 64), ("val", 4), ("test", 6))
    }


def test_two_kinds_of_tone_are_learnt(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(clean_clips, "WIDTH", 1 / 16)
    monkeypatch.setattr(clean_clips, "BATCH", 8)
    outcome = check_clips(clips, epochs=5, out=tmp_path)
    assert outcome.labels == ("high", "low")
    assert outcome.confusion.sum() == 12
    assert outcome.accuracy > 0.9
    assert check_clips(clips, epochs=5, out=tmp_path).accuracy == outcome.accuracy  # started again
    others = clips | {"val": [*clips["val"][1:], replace(clips["val"][0], label="low")]}
    with pytest.raises(ValueError, match="holds another training"):
        check_clips(others, epochs=5, out=tmp_path)


@pytest.mark.parametrize(("changes", "said"), [
    ({"val": []}, "there are 128 train, 0 val, 12 test: add recordings"),
    ({"train": [tone("high", 3000), tone("low", 300)]}, "32 training clips and .* there are 2 train"),
    ({"test": [tone("owl", 500)]}, "no train clips of owl: add recordings"),
])
def test_clips_that_cannot_be_learnt_from_are_refused_in_one_sentence(clips, tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        check_clips(clips | changes, epochs=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_came_out_lies_where_the_data_card_looks(clips, tmp_path, monkeypatch):
    outs = []

    def check(_, epochs, out):
        outs.append(out)
        out.mkdir(parents=True)
        return Outcome(("a", "b"), np.eye(2, dtype=int))

    monkeypatch.setattr(clean_clips, "check_clips", check)
    monkeypatch.setattr(sounds, "load_clips", lambda folder, split, by_group: clips[split])
    assert CliRunner().invoke(app, ["data", "classify", "--folder", str(tmp_path)]).exit_code == 0
    assert outs == [tmp_path / "runs" / "clips" / "by_source"]


def test_a_clip_is_varied_by_epoch_and_index_only_and_not_at_all_without_an_epoch(clips):
    def features(epoch):
        return ClipDataset(clips["train"], ("high", "low"), epoch)[3][0].numpy()

    np.testing.assert_array_equal(features(1), features(1))
    np.testing.assert_array_equal(features(None), features(None))
    assert not np.array_equal(features(1), features(2))


def test_an_outcome_counted_by_hand():
    outcome = Outcome(("a", "b", "c"), np.array([[3, 1, 0], [2, 2, 0], [0, 0, 0]]))
    assert outcome.accuracy == 5 / 8
    assert outcome.recall["a"] == 0.75 and outcome.recall["b"] == 0.5 and np.isnan(outcome.recall["c"])
    assert outcome.confusions(5) == [("b", "a", 2), ("a", "b", 1)]
