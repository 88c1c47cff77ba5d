"""The data card: what it counts, on cases worked out by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from seld_overlap_ros import data_card
from seld_overlap_ros.cli import app
from seld_overlap_ros.data.sounds import Clip
from seld_overlap_ros.data_card import SHOWN_BINS, allows, histograms, overlap_share, split_table, thumbnail


def event(onset_s, duration_s):
    return {"onset_s": onset_s, "duration_s": duration_s}


@pytest.mark.parametrize(
    ("events", "share"),
    [
        ([], 0),
        ([event(0, 2)], 0),
        ([event(0, 2), event(1, 2)], 1 / 3),
        ([event(0, 2), event(0, 2)], 1),
        ([event(0, 1), event(3, 1)], 0),
        ([event(0, 4), event(1, 1), event(1.5, 1)], 1.5 / 4),
    ],
)
def test_overlap_is_the_share_of_sounding_time_in_which_several_sound(events, share):
    assert overlap_share(events) == pytest.approx(share)


@pytest.mark.parametrize(
    ("licence", "meaning"),
    [
        ("CC0", "free of conditions"),
        ("Creative Commons Zero 1.0", "free of conditions"),
        ("MIT", "with the notice or the author's name"),
        ("CC-BY-3.0", "with the notice or the author's name"),
        ("CC-BY-SA-3.0 / CC-BY-3.0 / CC0", "under the same licence"),
        ("GPL-2+", "under the same licence"),
        ("Creative Commons Attribution 3.0 Unported", "with the notice or the author's name"),
        ("Creative Commons Attribution-ShareAlike 3.0", "under the same licence"),
        ("public-domain", "free of conditions"),
        ("GNU General Public License", "see the package"),
        ("homemade", "see the package"),
    ],
)
def test_the_strictest_licence_that_is_named_counts(licence, meaning):
    assert allows(licence) == meaning


def test_of_a_split_clips_and_series_are_counted_and_a_series_may_be_in_two():
    def clip(split, series, source):
        return Clip("dog", split, series, source, "CC0", np.zeros(16000 * 36, np.float32))

    clips = {"train": [clip("train", "kennel", "a"), clip("train", "kennel", "b"), clip("train", "farm", "c")],
             "test": [clip("test", "kennel", "d")]}
    assert split_table(clips) == ["| split | clips | hours | series |", "|---|---|---|---|", "| train | 3 | 0.03 | 2 |",
                                  "| test | 1 | 0.01 | 1 |"]


def test_mixtures_of_rooms_that_are_gone_are_refused(tmp_path):
    store, bank = SimpleNamespace(truth=[{"room": "attic", "events": []}]), SimpleNamespace(rooms=())
    with pytest.raises(ValueError, match=r"other rooms than there are by now \(attic\): run `seld-overlap data mix`"):
        histograms(store, bank, tmp_path / "mixtures.png")


@pytest.mark.parametrize(("asked", "mixtures"), [((), "mixtures"), (("--mixtures", "others"), None)])
def test_the_card_is_of_the_mixtures_in_its_folder_unless_others_are_named(tmp_path, monkeypatch, asked, mixtures):
    seen = []
    monkeypatch.setattr(data_card, "write_card", lambda *paths: seen.append(paths[1]))
    assert CliRunner().invoke(app, ["data", "card", "--folder", str(tmp_path), *asked]).exit_code == 0
    assert seen == [tmp_path / mixtures if mixtures else Path("others")]


def test_a_low_tone_lights_the_lower_rows_of_its_thumbnail():
    tone = np.sin(2 * np.pi * 500 * np.arange(16000) / 16000).astype(np.float32)
    image = thumbnail(tone)
    assert image.max() == 1
    assert image.max(axis=1).argmax() == round(500 / 8000 * SHOWN_BINS)
    assert image[:, -1].max() < 0.1  # silence after the first second
