"""Exchanged microphones are found, and right ones left alone: plane waves with known delays."""

import tracemalloc

import numpy as np
import pytest

from seld_overlap_ros.config import FrontEnd, MicrophoneArray, SystemConfig
from seld_overlap_ros.streaming.channel_order import LOOK_EVERY_S, LOOKS, ChannelOrder, exchanges
from seld_overlap_ros.streaming.health import OK, WARN

CONFIG = SystemConfig(labels=("a",))
POSITIONS = np.array(CONFIG.array.positions)[:, :2]
RATE, N = CONFIG.front_end.sample_rate, CONFIG.front_end.window_samples


def wave(azimuth, rng, noise=0.01):
    """White noise from far away, as each microphone hears it."""
    ahead = POSITIONS @ [np.cos(azimuth), np.sin(azimuth)] / 343.0
    hz = np.fft.rfftfreq(N, 1 / RATE)
    spectrum = np.fft.rfft(rng.normal(0, 0.1, N)) * np.exp(2j * np.pi * hz * ahead[:, None])
    return (np.fft.irfft(spectrum, N) + rng.normal(0, noise, (len(ahead), N))).astype(np.float32)


def listen(order, n=LOOKS, noise=0.01):
    """A verdict on n windows, each with a wave from somewhere else."""
    rng = np.random.default_rng(1)
    heard = ChannelOrder(CONFIG, clock=lambda: np.inf)
    for azimuth in rng.uniform(-np.pi, np.pi, n):
        heard.hear(wave(azimuth, rng, noise)[order])
    return heard


@pytest.mark.parametrize("pair", [(0, 1), (2, 6), (3, 7)])
def test_two_exchanged_microphones_are_named(pair):
    order = np.arange(8)
    order[list(pair)] = pair[::-1]
    heard = listen(order)
    assert heard.exchanged == pair
    status = heard.status()
    assert status.level == WARN
    assert f"microphones {pair[0]} and {pair[1]} seem exchanged" in status.sentence


@pytest.mark.parametrize("noise", [0.01, 0.1, 10.0])  # up to noise of the microphones' own alone
def test_right_ones_are_left_alone(noise):
    assert listen(np.arange(8), noise=noise).status().level == OK


def test_a_wave_with_two_exchanged_fits_as_with_the_channels_exchanged():
    rng = np.random.default_rng(2)
    wave = np.exp(1j * rng.uniform(0, 6, (3, 5)))
    heard = rng.normal(size=(3, 5, 4)) + 1j * rng.normal(size=(3, 5, 4))
    [(fit, exchanged)] = exchanges(wave[None], heard @ heard.conj().swapaxes(1, 2))
    assert fit == pytest.approx((np.abs(np.einsum("fm,fmt->ft", wave.conj(), heard)) ** 2).sum())
    for i in range(5):
        for j in range(5):
            order = np.arange(5)
            order[[i, j]] = j, i
            power = np.abs(np.einsum("fm,fmt->ft", wave.conj(), heard[:, order])) ** 2
            assert exchanged[i, j] == pytest.approx(power.sum())


def test_many_microphones_take_little_memory():
    config = SystemConfig(labels=("a",), array=MicrophoneArray.circular(64))
    window = np.random.default_rng(0).normal(0, 0.1, (64, N)).astype(np.float32)
    tracemalloc.start()
    try:
        ChannelOrder(config).hear(window)
        assert tracemalloc.get_traced_memory()[1] < 10 * window.nbytes
    finally:
        tracemalloc.stop()


def test_below_8800_hz_it_looks_as_high_as_there_is_something():
    front_end = FrontEnd(sample_rate=8000)
    order = ChannelOrder(SystemConfig(labels=("a",), front_end=front_end))
    order.hear(np.random.default_rng(0).normal(0, 0.1, (8, front_end.window_samples)).astype(np.float32))
    assert order.status().level == OK and np.isfinite(order.gains).all()


def test_there_is_no_verdict_before_some_looks():
    assert listen([1, 0, *range(2, 8)], LOOKS - 1).exchanged is None


def test_looks_are_few_and_pass_over_a_dead_microphone():
    now = [0.0]
    heard = ChannelOrder(CONFIG, clock=lambda: now[0])
    window = wave(0.3, np.random.default_rng(0))
    heard.hear(window)
    heard.hear(window)
    assert heard.status().values["looks"] == "1"
    now[0] += LOOK_EVERY_S
    window[3] = 0
    heard.hear(window)
    assert heard.status().values["looks"] == "1"
