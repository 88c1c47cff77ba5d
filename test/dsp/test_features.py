"""Features: known delay in, known phase out; log magnitude there and back."""

import numpy as np
import pytest

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.dsp import features as module
from seld_overlap_ros.dsp.features import Analyser, analyse, log_magnitude, magnitude, resynthesise
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
    features, phase = analyse(np.stack([sine(500)] * 8), FRONT_END)
    assert features.shape == (15, 256, 256) and features.dtype == np.float32
    assert phase.shape == (256, 256)


def test_phase_channels_are_not_clipped_and_silence_has_phase_zero():
    features, phase = analyse(np.zeros((2, 2048), np.float32), FRONT_END)
    assert np.array_equal(features, np.array([0, 1, 0])[:, None, None] * np.ones((3, 256, 7)))
    assert np.array_equal(phase, np.ones((256, 7)))
    opposite, _ = analyse(np.stack([sine(1000), -sine(1000)]), FRONT_END)
    np.testing.assert_allclose(opposite[1, 32], -1, atol=1e-4)


def test_log_magnitude_is_the_spec_formula():
    spectrum = np.array([[1.0, 0.5, 1e-3, 0.0, 1e3]], np.complex64)
    expected = [[1.0, (20 * np.log10(0.5) + 120) / 120, 0.5, 0.0, 1.0]]
    np.testing.assert_allclose(log_magnitude(spectrum), expected, atol=1e-6)
    np.testing.assert_allclose(magnitude(log_magnitude(spectrum))[0, :3], np.abs(spectrum[0, :3]), rtol=1e-4)


def test_resynthesis_of_the_mixture_is_the_mixture():
    samples = sine(440, amplitude=0.3) + sine(3000, amplitude=0.1)
    features, phase = analyse(np.stack([samples, samples]), FRONT_END)
    back = resynthesise(features[0], phase, FRONT_END)
    np.testing.assert_allclose(back[256:-256], samples[256:-256], atol=1e-4)


def test_nothing_separated_is_silence():
    _, phase = analyse(sine(440)[None], FRONT_END)
    assert not resynthesise(np.zeros((256, 256), np.float32), phase, FRONT_END).any()


def test_log_magnitude_is_that_of_the_features():
    samples = np.stack([sine(440), sine(500)])
    np.testing.assert_allclose(analyse(samples, FRONT_END)[0][0], log_magnitude(stft(samples[0], FRONT_END)), atol=1e-6)


# of a second, how far a window is behind the one before: whole hops or not, none, and further than a window
STEPS = [16, 16, 31, 3, 1, 0, 15.6, 16, 300, 16, 255, 256, 2]


@pytest.mark.parametrize("n_microphones", [1, 3, 8])
@pytest.mark.parametrize("quiet", [False, True])
def test_windows_that_overlap_give_what_each_gives_alone(n_microphones, quiet):
    hop, n = FRONT_END.hop, FRONT_END.window_samples
    starts = [round(hop * step) for step in np.cumsum([0, *STEPS])]
    audio = np.random.default_rng(1).uniform(-1, 1, (n_microphones, starts[-1] + n)).astype(np.float32)
    if quiet:
        audio *= (np.arange(audio.shape[1]) // 9000 % 2)  # digital silence, which is the same everywhere
    streaming = Analyser(FRONT_END, n_microphones)
    for start in starts:
        window = audio[:, start : start + n].copy()
        for mine, alone in zip(streaming(window), analyse(window, FRONT_END), strict=True):
            np.testing.assert_array_equal(mine, alone)


def test_only_new_frames_are_computed(monkeypatch):
    computed = []
    spectra = module.spectra
    monkeypatch.setattr(module, "spectra", lambda samples, _: computed.append(samples.shape[1]) or spectra(samples, _))
    audio = np.random.default_rng(1).uniform(-1, 1, (2, 10 * FRONT_END.window_samples)).astype(np.float32)
    streaming = Analyser(FRONT_END, 2)
    for start in range(0, 40 * 16 * FRONT_END.hop, 16 * FRONT_END.hop):
        streaming(audio[:, start : start + FRONT_END.window_samples].copy())
    assert computed[4:] == [17 * FRONT_END.hop] * 39
