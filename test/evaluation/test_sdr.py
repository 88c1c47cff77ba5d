"""Signal-to-distortion ratios: by hand, and as torchmetrics has them."""

import numpy as np
import pytest

from seld_overlap_ros.evaluation.sdr import sdr, si_sdr

rng = np.random.default_rng(0)
TRUE, NOISE = rng.standard_normal((2, 3, 4000)).astype(np.float32)


def test_a_tenth_of_the_amplitude_is_twenty_decibels():
    sound, other = np.array([1.0, 0, 1, 0]), np.array([0, 0.1, 0, 0.1])
    assert sdr(sound + other, sound) == pytest.approx(20, abs=1e-3)
    assert si_sdr(sound + other, sound) == pytest.approx(20, abs=1e-3)


def test_volume_matters_to_one_and_not_to_the_other():
    assert sdr(TRUE / 2, TRUE) == pytest.approx(20 * np.log10(2))
    assert (si_sdr(TRUE / 2, TRUE) > 80).all() and np.allclose(si_sdr(3 * (TRUE + NOISE), TRUE),
                                                              si_sdr(TRUE + NOISE, TRUE))


def test_silence_has_a_number():
    silent = np.zeros(100)
    assert np.isfinite([sdr(silent, silent), si_sdr(silent, silent), si_sdr(NOISE[0], np.zeros(4000))]).all()


def test_both_are_those_of_torchmetrics():
    torch, audio = pytest.importorskip("torch"), pytest.importorskip("torchmetrics.functional.audio")
    for estimate in (TRUE + 0.3 * NOISE, TRUE, NOISE, 0 * TRUE):
        pair = torch.from_numpy(estimate), torch.from_numpy(TRUE)
        np.testing.assert_allclose(sdr(estimate, TRUE), audio.signal_noise_ratio(*pair), rtol=1e-4, atol=1e-3)
        expected = audio.scale_invariant_signal_distortion_ratio(*pair)
        close = expected < 100  # beyond, it is the rounding of 32 bits that torchmetrics measures
        np.testing.assert_allclose(si_sdr(estimate, TRUE)[close], expected[close], rtol=1e-4, atol=1e-3)
