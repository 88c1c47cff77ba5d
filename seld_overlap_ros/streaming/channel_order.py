"""Whether the channels of the audio come in the order of the model's microphones.

Two exchanged microphones look well each by itself, and make every direction wrong. What gives them away: a sound far
away reaches a known array as a plane wave, with delays that only a direction can have. So the loudest moments of a
window are held against plane waves from all around (SRP-PHAT), with the channels as they come and with every two of
them exchanged. What fits better that way in the mean of many looks is exchanged.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import combinations

import numpy as np

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.dsp.stft import stft
from seld_overlap_ros.streaming.health import OK, WARN, Status

LOOK_EVERY_S = 5.0  # a look takes 10 ms with 8 microphones
LOOKS = 5  # before a verdict
MEMORY = 20  # looks that the mean reaches back
# Share of the power of plane waves that an exchange adds. On 500 stored mixtures two exchanged microphones added .09 in
# the median look, no exchange of right ones more than .02; 97 % were found, none falsely (`python tools/exchanged.py`).
BETTER = 0.03
N_ANGLES = 48
LOWEST_HZ, HIGHEST_HZ, EVERY_BIN = 600.0, 4400.0, 3  # below, all microphones hear the same
MOMENT = 16  # frames
N_MOMENTS = 4
SPEED_OF_SOUND = 343.0  # [m/s]


class ChannelOrder:
    """Gathers evidence window by window: `gains` is what the exchange of each of `pairs` adds in the mean of looks."""

    def __init__(self, config: SystemConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._front_end, self._clock = config.front_end, clock
        bin_hz = config.front_end.sample_rate / config.front_end.n_fft
        self._bins = np.arange(int(LOWEST_HZ / bin_hz), int(HIGHEST_HZ / bin_hz), EVERY_BIN)
        self._waves = plane_waves(np.asarray(config.array.positions), self._bins * bin_hz)
        n_mics = config.array.n_microphones
        self.pairs = list(combinations(range(n_mics), 2))
        self._orders = [np.arange(n_mics), *(_exchanged(n_mics, pair) for pair in self.pairs)]
        self.gains = np.zeros(len(self.pairs))
        self._n_looks = 0
        self._next_s = 0.0

    def hear(self, samples: np.ndarray) -> None:
        """Window (M, window_samples) of the audio. Most are passed over, as a look every few seconds is enough."""
        if self._clock() < self._next_s or not np.ptp(samples, axis=1).all():
            return
        self._next_s = self._clock() + LOOK_EVERY_S
        fits = self._fits(samples)
        self._n_looks += 1
        self.gains += (fits[1:] - fits[0] - self.gains) / min(self._n_looks, MEMORY)

    @property
    def exchanged(self) -> tuple[int, int] | None:
        """Two microphones that seem exchanged."""
        best = int(self.gains.argmax())
        sure = self._n_looks >= LOOKS and self.gains[best] > BETTER
        return self.pairs[best] if sure else None

    def status(self) -> Status:
        """A line for /diagnostics."""
        values = {"looks": str(self._n_looks), "best exchange adds": f"{self.gains.max():.3f}"}
        if pair := self.exchanged:
            return Status("channel order", WARN, f"microphones {pair[0]} and {pair[1]} seem exchanged, as their delays "
                          "fit no direction: check cables and channel_map", values)
        return Status("channel order", OK, "no two microphones seem exchanged", values)

    def _fits(self, samples: np.ndarray) -> np.ndarray:
        """How well the loudest moments fit a plane wave, in each order of the channels (1 + pairs,), [0, 1]."""
        spectrum = stft(samples, self._front_end)[:, self._bins]  # (M, F, T)
        size = np.abs(spectrum)
        moments = size.sum(axis=(0, 1))[: size.shape[-1] // MOMENT * MOMENT].reshape(-1, MOMENT).sum(axis=1)
        phase = spectrum / np.maximum(size, np.finfo(np.float32).tiny)
        fits = np.zeros(len(self._orders))
        for moment in np.argsort(moments)[-N_MOMENTS:]:
            heard = phase[..., moment * MOMENT : (moment + 1) * MOMENT].swapaxes(0, 1)  # (F, M, MOMENT)
            cross = heard @ heard.conj().swapaxes(1, 2) / heard[0].size  # (F, M, M)
            ordered = np.stack([cross[:, order][:, :, order].ravel() for order in self._orders], axis=1)
            fits += (self._waves @ ordered).real.max(axis=0)
        return fits / (N_MOMENTS * len(self._bins) * samples.shape[0])


def plane_waves(positions: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Cross spectra, conjugate, that plane waves from all around give: positions (M, 3) [m] -> (N_ANGLES, F M M)."""
    angles = np.arange(N_ANGLES) * (2 * np.pi / N_ANGLES)
    ahead = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ positions[:, :2].T / SPEED_OF_SOUND  # (A, M) [s]
    phase = np.exp(2j * np.pi * hz[:, None] * ahead[:, None])  # (A, F, M)
    return (phase.conj()[..., :, None] * phase[..., None, :]).reshape(N_ANGLES, -1).astype(np.complex64)


def _exchanged(n_mics: int, pair: tuple[int, int]) -> np.ndarray:
    order = np.arange(n_mics)
    order[list(pair)] = pair[::-1]
    return order
