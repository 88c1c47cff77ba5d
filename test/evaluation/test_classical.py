"""The classical opponent in a simulated room: it finds the directions, and parts what sounds there."""

from pathlib import Path

import numpy as np
import pyroomacoustics
import pytest
import soundfile

from seld_overlap_ros.config import MicrophoneArray
from seld_overlap_ros.evaluation.classical import Classical
from seld_overlap_ros.models.engine import DEFAULT_MODEL, load_engine

RECORDINGS = Path(__file__).parents[1] / "recordings"
RATE, N = 16000, 65792
LEFT, BEHIND = np.radians(97), np.radians(-171)  # near the middles of directions 2 and 4


@pytest.fixture(scope="module")
def classical():
    return Classical(load_engine(DEFAULT_MODEL))


def recording(name):
    samples, rate = soundfile.read(RECORDINGS / f"{name}.flac", dtype="float32")
    assert rate == RATE
    return samples


def heard(samples, azimuth):
    """Samples (n,) from an azimuth [rad] as the array hears them in a room (M, N)."""
    materials, order = pyroomacoustics.inverse_sabine(0.2, (5, 4, 3))
    room = pyroomacoustics.ShoeBox((5, 4, 3), fs=RATE, materials=pyroomacoustics.Material(materials), max_order=order)
    centre = np.array([2.3, 2.1, 1.4])
    room.add_source(centre + np.array([np.cos(azimuth), np.sin(azimuth), 0]), signal=samples)
    room.add_microphone_array(centre[:, None] + np.array(MicrophoneArray.circular().positions).T)
    room.simulate()
    return np.pad(room.mic_array.signals, ((0, 0), (0, N)))[:, :N].astype(np.float32)


def likeness(one, other):
    return np.corrcoef(one, other)[0, 1]


def test_a_single_source_is_found_in_its_sector_and_comes_through(classical):
    alone = heard(recording("songbird"), LEFT)
    noise = np.random.default_rng(0).normal(0, 0.01 * alone.std(), alone.shape).astype(np.float32)
    [source] = classical(alone + noise)
    assert source.direction == 2 and source.direction_score > 0.5
    assert likeness(source.samples, alone[0]) > 0.95
    assert source.class_scores.sum() == pytest.approx(1, abs=1e-5)


def test_two_at_once_are_parted(classical):
    alone = {2: heard(recording("songbird"), LEFT), 4: heard(recording("cymbal"), BEHIND)}
    alone = {direction: samples / samples.std() / 10 for direction, samples in alone.items()}
    mixture = alone[2] + alone[4]
    sources = {source.direction: source for source in classical(mixture)}
    assert set(sources) == {2, 4}
    for direction, source in sources.items():
        assert likeness(source.samples, alone[direction][0]) > 0.9 > likeness(mixture[0], alone[direction][0])


def test_silence_holds_nothing_and_uncorrelated_noise_next_to_nothing(classical):
    assert classical(np.zeros((8, N), np.float32)) == []
    noise = np.random.default_rng(0).normal(0, 0.01, (8, N)).astype(np.float32)
    assert len(classical(noise)) <= 1
