"""What training items go through: the same places are blanked in all, and a colour is smooth and changes no shape."""

import numpy as np

from seld_overlap_ros.training.augment import blank, colour


def test_the_same_band_and_stretch_are_blanked_in_all():
    features, target = np.ones((3, 64, 40), np.float32), np.ones((64, 40), np.float32)
    blank((features, target), 0.5, np.random.default_rng(4))
    gone = target == 0
    assert 0 < gone.sum() < gone.size
    assert (features == np.where(gone, 0, 1)).all()
    rows, columns = gone.all(axis=1), gone.all(axis=0)
    np.testing.assert_array_equal(gone, rows[:, None] | columns[None])
    assert rows.sum() <= 32 and columns.sum() <= 20


def test_a_colour_is_one_smooth_response_for_all_frames():
    spectrogram = np.full((256, 10), 0.5, np.float32)
    other = np.zeros_like(spectrogram)
    other[:, :5] = 0.5
    colour([spectrogram, other], 3.0, np.random.default_rng(0))
    assert (spectrogram == spectrogram[:, :1]).all()
    assert (other[:, :5] == spectrogram[:, :5]).all() and not other[:, 5:].any()  # nothing stays nothing
    change_db = 120 * (spectrogram[:, 0] - 0.5)
    assert 1 < np.abs(change_db).max() < 12 and np.abs(np.diff(change_db)).max() < 0.5


def test_a_colour_stays_within_the_range_of_log_magnitudes():
    for level in (0.0, 1.0):
        spectrogram = np.full((256, 10), level, np.float32)
        colour([spectrogram], 30.0, np.random.default_rng(0))
        assert spectrogram.min() >= 0 and spectrogram.max() <= 1
