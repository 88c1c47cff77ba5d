"""SSC on clean clips: two kinds of tone are learnt, and what came out is counted right."""

from dataclasses import replace

import numpy as np
import pytest

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


def test_a_clip_is_varied_by_epoch_and_index_only_and_not_at_all_without_an_epoch(clips):
    def features(epoch):
        return ClipDataset(clips["train"], ("high", "low"), epoch)[3][0].numpy()

    np.testing.assert_array_equal(features(1), features(1))
    np.testing.assert_array_equal(features(None), features(None))
    assert not np.array_equal(features(1), features(2))


def test_an_outcome_counted_by_hand():
    outcome = Outcome(("a", "b", "c"), np.array([[3, 1, 0], [2, 2, 0], [0, 0, 0]]), 1.0)
    assert outcome.accuracy == 5 / 8
    assert outcome.recall["a"] == 0.75 and outcome.recall["b"] == 0.5 and np.isnan(outcome.recall["c"])
    assert outcome.confusions(5) == [("b", "a", 2), ("a", "b", 1)]
