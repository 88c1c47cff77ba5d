"""Diffuse noise: other samples on every microphone, with the coherence of a diffuse field."""

import numpy as np
import pytest
from scipy import signal

from seld_overlap_ros.config import MicrophoneArray
from seld_overlap_ros.simulation import noise as noise_module
from seld_overlap_ros.simulation.noise import NoiseBank, diffuse_noise, looped, make_noise, mixing_filters

RATE = 16000
DIAMETER = 2 * 0.0365  # of the paper's array [m]


def diffuse_field(frequency: np.ndarray, distance: float) -> np.ndarray:
    """Coherence of two points so far apart: sin(x) / x with x = 2 pi f d / c."""
    x = 2 * np.pi * frequency * distance / 343.0
    return np.sin(x) / x


def test_coherence_is_that_of_a_diffuse_field():
    array = MicrophoneArray.circular()
    rng = np.random.default_rng(0)
    recordings = [rng.standard_normal(40 * RATE).astype(np.float32) for _ in range(8)]
    noise = diffuse_noise(recordings, array, 30 * RATE, RATE, rng)
    for other, distance in ((1, DIAMETER * np.sin(np.pi / 8)), (4, DIAMETER)):
        frequency, cross = signal.csd(noise[0], noise[other], RATE, nperseg=512)
        power = [signal.welch(noise[m], RATE, nperseg=512)[1] for m in (0, other)]
        measured = np.real(cross) / np.sqrt(power[0] * power[1])
        np.testing.assert_allclose(measured[4:-4], diffuse_field(frequency[4:-4], distance), atol=0.12)


def test_filters_made_block_by_block_are_those_made_at_once(monkeypatch):
    whole = mixing_filters.__wrapped__(MicrophoneArray.circular(), 2000, RATE)
    monkeypatch.setattr(noise_module, "BLOCK", 300)
    np.testing.assert_array_equal(mixing_filters.__wrapped__(MicrophoneArray.circular(), 2000, RATE), whole)


def test_no_two_microphones_hear_the_same():
    rng = np.random.default_rng(1)
    noise = diffuse_noise([rng.standard_normal(RATE)], MicrophoneArray.circular(), RATE, RATE, rng)
    assert np.sqrt(np.mean(noise**2)) == np.float32(1) or abs(np.sqrt(np.mean(noise**2)) - 1) < 1e-3
    correlation = np.corrcoef(noise) - np.eye(8)
    assert correlation.max() < 0.999


def test_loop_has_no_step_at_the_seam():
    time = np.arange(RATE) / RATE
    recording = np.sin(2 * np.pi * 3.3 * time).astype(np.float32)
    long = looped(recording, 5 * RATE, np.random.default_rng(0), RATE)
    assert long.shape == (5 * RATE,)
    assert np.abs(np.diff(long)).max() < 0.05


def test_pieces_of_a_bank_are_diffuse_and_as_loud_as_the_tracks(tmp_path):
    array = MicrophoneArray.circular()
    rng = np.random.default_rng(2)
    recordings = [rng.standard_normal(10 * RATE).astype(np.float32) for _ in range(3)]
    make_noise("train", 3, recordings, array, RATE).save(tmp_path)
    bank = NoiseBank.load(tmp_path)
    piece = bank.piece(20 * RATE, rng)
    assert piece.shape == (8, 20 * RATE) and piece.dtype == np.float32
    assert np.sqrt(np.mean(piece**2)) == pytest.approx(1, abs=0.05)
    frequency, coherence = signal.coherence(piece[0], piece[4], RATE, nperseg=512)
    np.testing.assert_allclose(coherence[4:-4], diffuse_field(frequency[4:-4], DIAMETER) ** 2, atol=0.12)


def test_no_noise_made_yet_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="seld-overlap data rooms"):
        NoiseBank.load(tmp_path)
