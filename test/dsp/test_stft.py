"""The STFT: what SciPy computes, without a shift, and back again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.dsp.stft import istft, stft

FRONT_END = FrontEnd()
SMALL = FrontEnd(n_fft=64, hop=32, n_frames=20)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def test_window_is_the_spec_length():
    assert FRONT_END.window_samples == 65792
    assert FRONT_END.window_s == pytest.approx(4.112)


def test_equals_scipy_with_zero_padding_and_its_border_frames_dropped():
    samples = noise(2, FRONT_END.window_samples)
    _, _, reference = signal.stft(samples, nperseg=512, noverlap=256, boundary="zeros")
    np.testing.assert_allclose(stft(samples, FRONT_END), reference[:, :256, 1:257], atol=1e-6)


def test_full_scale_sine_has_magnitude_one_half():
    time = np.arange(FRONT_END.window_samples) / FRONT_END.sample_rate
    spectrum = stft(np.sin(2 * np.pi * 1000 * time), FRONT_END)
    np.testing.assert_allclose(np.abs(spectrum[32]), 0.5, atol=1e-4)  # bin 32 is 1 kHz


@given(st.integers(0, 2**32 - 1))
def test_perfect_reconstruction_between_the_borders(seed: int):
    samples = noise(3, SMALL.window_samples, seed=seed)
    # the Nyquist bin is dropped: give it nothing to lose
    band = signal.sosfiltfilt(signal.butter(8, 0.6, output="sos"), samples)
    back = istft(stft(band, SMALL), SMALL)
    inner = slice(SMALL.hop, -SMALL.hop)
    np.testing.assert_allclose(back[:, inner], band[:, inner], atol=2e-3)


def test_no_frame_is_late():
    click = np.zeros(FRONT_END.window_samples, np.float32)
    click[30000] = 1
    assert np.argmax(np.abs(istft(stft(click, FRONT_END), FRONT_END))) == 30000


def test_another_length_is_refused():
    with pytest.raises(ValueError, match="65792 samples are needed, got 65000"):
        stft(noise(8, 65000), FRONT_END)
