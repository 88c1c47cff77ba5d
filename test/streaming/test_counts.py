"""What is counted about the audio."""

import numpy as np
import pytest

from seld_overlap_ros.streaming.counts import QUIETEST_DB, AudioCounts

RATE = 16000


def noise(n: int, n_microphones: int = 3, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(0).normal(0, level, (n, n_microphones)).astype(np.float32)


def test_levels_follow_the_last_second():
    counts = AudioCounts(3)
    assert (counts.levels_db == QUIETEST_DB).all()
    for _ in range(100):
        counts.add(noise(1600) * [1, 0.1, 0], RATE)
    np.testing.assert_allclose(counts.levels_db, [-20, -40, QUIETEST_DB], atol=0.5)
    for _ in range(100):
        counts.add(noise(1600) * [0.1, 0.1, 1], RATE)
    np.testing.assert_allclose(counts.levels_db, [-40, -40, -20], atol=0.5)
    assert counts.seconds == pytest.approx(20)
    assert counts.chunks == 200


def test_a_microphone_that_stands_still_is_dead():
    counts = AudioCounts(3)
    for k in range(30):
        samples = noise(1600)
        samples[:, 1] = 0.25
        if k < 10:
            samples[:, 2] = 0.1 * k  # another value in each chunk
        counts.add(samples, RATE)
    np.testing.assert_allclose(counts.still_s, [0, 3, 0], atol=1e-6)
    assert counts.dead() == [1]
    counts.add(noise(1600), RATE)
    assert counts.dead() == []


def test_silence_of_all_is_not_the_death_of_one():
    counts = AudioCounts(2)
    for _ in range(30):
        counts.add(np.zeros((1600, 2), np.float32), RATE)
    assert counts.dead() == []
    np.testing.assert_allclose(counts.still_s, 3)


@pytest.mark.parametrize("full", [-1.0, 32767 / 32768, 1.0, 3.5])
def test_samples_at_full_scale_are_clipped(full):
    counts = AudioCounts(2)
    samples = noise(100, 2, 0.01)
    samples[3, 1] = samples[50, 0] = full
    counts.add(samples, RATE)
    assert counts.clipped == 2


def test_channels_with_the_same_samples_are_twins():
    counts = AudioCounts(3)
    for _ in range(5):
        counts.add(noise(1600)[:, [0, 1, 0]], RATE)
    assert counts.twins() == []
    for _ in range(6):
        counts.add(noise(1600)[:, [0, 1, 0]], RATE)
    assert counts.twins() == [(0, 2)]
    counts.add(noise(1600), RATE)
    assert counts.twins() == []
