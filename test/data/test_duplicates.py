"""One recording in two splits is found by what it sounds like, whatever was done to it; different ones are not."""

import numpy as np
import pytest
from typer.testing import CliRunner

from seld_overlap_ros.cli import app
from seld_overlap_ros.data.duplicates import _BLOCK, check_splits, similar_pairs
from seld_overlap_ros.data.sounds import Index

RNG = np.random.default_rng(0)
SOUND = RNG.standard_normal(4000).astype(np.float32)


def noise(seconds: float = 0.25) -> np.ndarray:
    return RNG.standard_normal(round(seconds * 16000)).astype(np.float32)


@pytest.mark.parametrize(
    "copy",
    [
        SOUND, -0.2 * SOUND, np.pad(SOUND, (900, 30)), SOUND[800:], SOUND + 0.3,
        SOUND + 0.3 * RNG.standard_normal(4000).astype(np.float32),
    ],
    ids=["same", "inverted and soft", "late", "cut", "offset", "noisy"],
)  # fmt: skip
def test_a_copy_is_found(copy):
    (pair,) = similar_pairs([noise(), SOUND], [noise(), noise(), copy])
    assert pair[:2] == (1, 2) and 0.8 < pair[2] <= 1 + 1e-5


def test_correlation_is_that_of_the_best_lag():
    other = SOUND + 0.5 * noise()
    emphasised = [np.append(x[:1], x[1:] - 0.97 * x[:-1]) for x in (SOUND, other)]
    expected = np.abs(np.correlate(*emphasised, "full")).max() / np.prod([np.linalg.norm(x) for x in emphasised])
    ((_, _, correlation),) = similar_pairs([SOUND], [np.roll(np.pad(other, 500), 77)], threshold=0.5)
    assert correlation == pytest.approx(expected, abs=1e-4)


def test_different_sounds_of_one_kind_are_no_pair():
    assert similar_pairs([noise() for _ in range(6)], [noise() for _ in range(5)]) == []


def test_every_block_is_looked_at_and_progress_ends():
    left, right = [noise(0.01) for _ in range(_BLOCK + 3)], [noise(0.01) for _ in range(_BLOCK + 2)]
    right[-1], left[-1] = left[0], right[0]
    seen = []
    found = similar_pairs(left, right, 0.99, lambda done, total: seen.append((done, total)))
    assert {pair[:2] for pair in found} == {(0, _BLOCK + 1), (_BLOCK + 2, 0)}
    assert seen == [(n, 4) for n in range(1, 5)]


@pytest.fixture()
def folder(tmp_path, row):
    """Five clips: one recording in train and test, another in val and, by group only, in train."""
    index = Index(tmp_path / "sounds", "sounds")
    shared, twin = noise(), noise()
    for name, split, by_group, samples in (
        ("a", "train", "train", shared), ("b", "test", "test", 0.5 * shared), ("c", "val", "val", twin),
        ("d", "val", "train", twin), ("e", "train", "", noise()),
    ):  # fmt: skip
        pcm = np.round(samples / np.abs(samples).max() * 32767).astype("<i2")
        index.add(row("ding", name, split=split) | {"split_by_group": by_group}, pcm)
    index.save()
    return tmp_path


def test_pairs_across_splits_are_found_and_those_within_one_are_not(folder):
    (pair,) = check_splits(folder / "sounds")
    assert (pair.first.source, pair.second.source) == ("a", "b") and pair.correlation > 0.99
    assert {(p.first.source, p.second.source) for p in check_splits(folder / "sounds", by_group=True)} == {
        ("a", "b"), ("d", "c"),
    }  # fmt: skip


def test_command_prints_the_pairs_and_fails(folder, row):
    result = CliRunner().invoke(app, ["data", "check", "--folder", str(folder)])
    assert result.exit_code == 1
    assert "a (train)" in result.output and "b (test)" in result.output


def test_command_is_content_with_splits_that_share_nothing(folder):
    index = Index(folder / "sounds", "sounds")
    for source in ("b", "d"):
        del index.rows[source]
    index.save()
    result = CliRunner().invoke(app, ["data", "check", "--folder", str(folder)])
    assert result.exit_code == 0 and "no recording lies in two splits" in result.output


def test_command_says_what_is_missing(tmp_path):
    result = CliRunner().invoke(app, ["data", "check", "--folder", str(tmp_path)])
    assert result.exit_code == 2 and "seld-overlap data sounds" in result.output
