"""The data card: what it counts, on cases worked out by hand."""

import numpy as np
import pytest

from seld_overlap_ros.data.sounds import Clip
from seld_overlap_ros.data_card import SHOWN_BINS, allows, overlap_share, split_table, thumbnail


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


def test_a_low_tone_lights_the_lower_rows_of_its_thumbnail():
    tone = np.sin(2 * np.pi * 500 * np.arange(16000) / 16000).astype(np.float32)
    image = thumbnail(tone)
    assert image.max() == 1
    assert image.max(axis=1).argmax() == round(500 / 8000 * SHOWN_BINS)
    assert image[:, -1].max() < 0.1  # silence after the first second
