"""What a steered SSS sees: which bins sound like the asked direction, alike for every direction."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from seld_overlap_ros.config import MicrophoneArray, SystemConfig, uniform_azimuths
from seld_overlap_ros.dsp.features import analyse
from seld_overlap_ros.dsp.steering import likeness_scale
from seld_overlap_ros.models.sss_net import Steering
from seld_overlap_ros.simulation.rooms import scene_rng
from seld_overlap_ros.simulation.turning import turns

CONFIG = SystemConfig(("a",), steered=True)
ASKED = torch.eye(8)
HERTZ = np.arange(256) * 31.25


def plane_wave(azimuth: float, array: MicrophoneArray) -> torch.Tensor:
    """Features (1, 2M-1, F, 1) of a plane wave: a microphone that hears it later lags."""
    towards = np.array([np.cos(azimuth), np.sin(azimuth), 0])
    delays_s = -np.array(array.positions) @ towards / 343
    lags = 2 * np.pi * HERTZ * (delays_s[1:] - delays_s[0])[:, None]  # (M-1, F): phi_0 - phi_n
    features = np.stack([np.cos(lags), np.sin(lags)], axis=1).reshape(-1, len(HERTZ))
    return torch.from_numpy(np.concatenate([np.ones((1, len(HERTZ))), features])[None, ..., None]).float()


def test_hundreds_of_directions_take_little_memory():
    tracemalloc.start()
    try:
        factor, _ = likeness_scale(replace(CONFIG, azimuths=uniform_azimuths(200)))
        assert factor.shape == (256, 200) and tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("direction", range(8))
def test_known_delays_in_and_the_plane_of_their_direction_is_one(direction):
    features = plane_wave(CONFIG.azimuths[direction], CONFIG.array)
    planes = Steering(CONFIG).planes(features, ASKED[direction, None])[0, 1:, :, 0].numpy()  # (D, F), the asked first
    heard = HERTZ > 200  # below, the array is too small to tell
    np.testing.assert_allclose(planes[0, heard], 1, atol=1e-4)
    assert planes[1:, heard].max() < 0.8
    assert (planes[0, 1:] > planes[1:, 1:].max(axis=0)).all()  # but for 0 Hz, which comes from nowhere
    np.testing.assert_allclose(planes.mean(axis=0), 0, atol=0.1)  # -1 is as low as it goes


@pytest.mark.parametrize("steps", range(8))
def test_the_planes_follow_the_asked_direction_counter_clockwise(steps):
    features = plane_wave(CONFIG.azimuths[(3 + steps) % 8], CONFIG.array)
    seen = Steering(CONFIG).planes(features, 0.5 * ASKED[3, None])[0, :, 64, 0]
    assert seen[0] == features[0, 0, 64, 0] and seen[1:].argmax() == steps
    assert seen[1 + steps] == pytest.approx(0.5, abs=1e-4)  # times the score of the direction


def test_other_arrays_and_directions_are_steered_too():
    config = SystemConfig(("a",), array=MicrophoneArray(((0, 0, 0), (0.1, 0, 0.02), (0, 0.07, 0))), steered=True,
                          azimuths=uniform_azimuths(5))
    planes = Steering(config).planes(plane_wave(config.azimuths[4], config.array), torch.eye(5)[2, None])[0, 1:, :, 0]
    assert (planes[:, 2:].argmax(dim=0) == 2).float().mean() > 0.9  # its microphones lie far apart for high bins
    np.testing.assert_allclose(planes[2, HERTZ > 200], 1, atol=1e-4)


@pytest.mark.parametrize("step", [1, 3, 6])
def test_the_turned_array_sees_the_same_of_the_direction_that_turned_with_it(step):
    turn = turns(CONFIG.array, CONFIG.azimuths)[step]
    samples = scene_rng("steering").standard_normal((8, 4096)).astype(np.float32)
    asked = [5, turn.directions[5]]
    before, after = (torch.from_numpy(analyse(heard, CONFIG.front_end)[0].copy())[None]
                     for heard in (samples, samples[list(turn.microphones)]))
    planes = Steering(CONFIG).planes
    one, other = (planes(x, ASKED[q, None])[:, 1:] for x, q in zip((before, after), asked, strict=True))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
