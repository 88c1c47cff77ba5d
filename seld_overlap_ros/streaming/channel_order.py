"""Whether the channels of the audio come in the order of the model's microphones.

Two exchanged microphones look well each by itself, and make every direction wrong. What gives them away: a sound far
away reaches a known array as a plane wave, with delays that only a direction can have. So the loudest moments of a
window are held against plane waves from all around (SRP-PHAT), with the channels as they come and with every two of
them exchanged. What fits better that way in the mean of many looks is exchanged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.dsp.steering import hertz, plane_waves
from seld_overlap_ros.dsp.stft import stft
from seld_overlap_ros.streaming.health import OK, WARN, Status

LOOK_EVERY_S = 5.0  # a look takes 10 ms with 8 microphones, 0.2 s with 64
LOOKS = 5  # before a verdict
MEMORY = 20  # looks that the mean reaches back
# Share of the power of plane waves that an exchange adds. On 500 stored mixtures two exchanged microphones added .09 in
# the median look, no exchange of right ones more than .02; 97 % were found, none falsely (`python tools/exchanged.py`).
BETTER = 0.03
N_ANGLES = 48
LOWEST_HZ, HIGHEST_HZ, EVERY_BIN = 600.0, 4400.0, 3  # below, all microphones hear the same
MOMENT = 16  # frames
N_MOMENTS = 4


class ChannelOrder:
    """Gathers evidence window by window: `gains` is what the exchange of each of `pairs` adds in the mean of looks."""

    def __init__(self, config: SystemConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._front_end, self._clock = config.front_end, clock
        hz = hertz(config.front_end)
        self._bins = np.arange(int(LOWEST_HZ / hz[1]), min(int(HIGHEST_HZ / hz[1]), len(hz)), EVERY_BIN)
        around = np.arange(N_ANGLES) * (2 * np.pi / N_ANGLES)
        waves = plane_waves(self._front_end, config.array, around)[self._bins]  # (F, M, A)
        self._waves = np.moveaxis(waves, 2, 0).astype(np.complex64)
        self.pairs = list(combinations(range(config.array.n_microphones), 2))
        self.gains = np.zeros(len(self.pairs))
        self._n_looks = 0
        self._next_s = 0.0

    def hear(self, samples: np.ndarray) -> None:
        """Window (M, window_samples) of the audio. Most are passed over, as a look every few seconds is enough."""
        if self._clock() < self._next_s or not np.ptp(samples, axis=1).all():
            return
        self._next_s = self._clock() + LOOK_EVERY_S
        gains = self._gains(samples)
        self._n_looks += 1
        self.gains += (gains - self.gains) / min(self._n_looks, MEMORY)

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

    def _gains(self, samples: np.ndarray) -> np.ndarray:
        """How much better the loudest moments fit a plane wave with each pair exchanged (pairs,), of 1."""
        spectrum = stft(samples, self._front_end)[:, self._bins]  # (M, F, T)
        size = np.abs(spectrum)
        moments = size.sum(axis=(0, 1))[: size.shape[-1] // MOMENT * MOMENT].reshape(-1, MOMENT).sum(axis=1)
        phase = spectrum / np.maximum(size, np.finfo(np.float32).tiny)
        gain = np.zeros(len(self.pairs))
        for moment in np.argsort(moments)[-N_MOMENTS:]:
            heard = phase[..., moment * MOMENT : (moment + 1) * MOMENT].swapaxes(0, 1)  # (F, M, MOMENT)
            cross = heard @ heard.conj().swapaxes(1, 2) / heard[0].size  # (F, M, M)
            fits, exchanged = zip(*exchanges(self._waves, cross), strict=True)
            gain += np.max(exchanged, axis=0)[tuple(zip(*self.pairs, strict=True))] - max(fits)
        return gain / (N_MOMENTS * len(self._bins) * samples.shape[0])


def exchanges(waves: np.ndarray, cross: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """How well each plane wave (A, F, M) fits cross spectra C (F, M, M): w^H C w, and with each exchange (M, M).

    With i and j exchanged, the wave is w + d, where d has w_j - w_i at i and the opposite at j. So only
    2 Re(d^H C w) + d^H C d is to be added, which takes M^2 numbers; every order by itself takes M^4.
    """
    power = np.einsum("fmm->fm", cross).real
    apart = power[:, :, None] + power[:, None] - 2 * cross.real  # (F, M, M)
    for wave in waves:
        seen = (cross @ wave[:, :, None])[..., 0]  # (F, M)
        between = (wave.conj().T @ seen).real  # (M, M)
        own = between.diagonal()
        further = np.einsum("fmn,fmn->mn", np.abs(wave[:, :, None] - wave[:, None]) ** 2, apart)
        yield own.sum(), own.sum() + 2 * (between + between.T - own[:, None] - own) + further
