"""Features: known delay in, known phase out; log magnitude there and back."""

import numpy as np
import pytest

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.dsp.features import analyse, input_features, log_magnitude, magnitude, resynthesise
from seld_overlap_ros.dsp.stft import stft

FRONT_END = FrontEnd()


def sine(frequency: float, delay_s: float = 0.0, amplitude: float = 1.0) -> np.ndarray:
    time = np.arange(FRONT_END.window_samples) / FRONT_END.sample_rate - delay_s
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


@pytest.mark.parametrize("delay_s", [0.0, 20e-6, 100e-6, -60e-6])
def test_known_delay_in_known_phase_out(delay_s: float):
    features, _ = analyse(np.stack([sine(1000), sine(1000, delay_s)]), FRONT_END)
    # the delayed microphone lags, so phi_0 - phi_1 is + 2 pi f delay
    expected = 2 * np.pi * 1000 * delay_s
    np.testing.assert_allclose(features[1, 32], np.cos(expected), atol=1e-3)
    np.testing.assert_allclose(features[2, 32], np.sin(expected), atol=1e-3)


def test_eight_microphones_give_fifteen_channels():
    features, mixture = analyse(np.stack([sine(500)] * 8), FRONT_END)
    assert features.shape == (15, 256, 256) and features.dtype == np.float32
    assert mixture.shape == (256, 256)


def test_phase_channels_are_not_clipped_and_silence_has_phase_zero():
    features = input_features(np.zeros((2, 3, 4), np.complex64))
    assert np.array_equal(features[0], np.zeros((3, 4)))
    assert np.array_equal(features[1], np.ones((3, 4)))
    opposite, _ = analyse(np.stack([sine(1000), -sine(1000)]), FRONT_END)
    np.testing.assert_allclose(opposite[1, 32], -1, atol=1e-4)


def test_log_magnitude_is_the_spec_formula():
    spectrum = np.array([[1.0, 0.5, 1e-3, 0.0, 1e3]], np.complex64)
    expected = [[1.0, (20 * np.log10(0.5) + 120) / 120, 0.5, 0.0, 1.0]]
    np.testing.assert_allclose(log_magnitude(spectrum), expected, atol=1e-6)
    np.testing.assert_allclose(magnitude(log_magnitude(spectrum))[0, :3], np.abs(spectrum[0, :3]), rtol=1e-4)


def test_resynthesis_of_the_mixture_is_the_mixture():
    samples = sine(440, amplitude=0.3) + sine(3000, amplitude=0.1)
    mixture = stft(samples, FRONT_END)
    back = resynthesise(log_magnitude(mixture), mixture, FRONT_END)
    np.testing.assert_allclose(back[256:-256], samples[256:-256], atol=1e-4)


def test_nothing_separated_is_silence():
    mixture = stft(sine(440), FRONT_END)
    assert not resynthesise(np.zeros((256, 256), np.float32), mixture, FRONT_END).any()
