"""What has come of the audio so far, for whoever wants to know how well a robot's ears are: numbers that only add up,
and what each microphone gives now."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

FULL_SCALE = 1 - 2.0**-15  # the largest sample of 16 bits
LEVEL_S = 1.0  # time constant of the levels
QUIETEST_DB = -120.0


@dataclass
class AudioCounts:
    """Plain counts since the start. M: microphones, in the model's order."""

    n_microphones: int
    chunks: int = 0  # messages with audio that could be used
    refused: int = 0  # messages that could not
    refusal: str = ""  # why the last of these could not; empty once one could again
    last_refusal: str = ""  # the same, for good
    seconds: float = 0.0  # of audio that could be used
    samples: int = 0  # of each microphone
    gaps: int = 0
    gap_s: float = 0.0  # silence put in for them
    overlaps: int = 0
    overlap_s: float = 0.0  # dropped, as it had come before
    odd_stamps: int = 0  # chunks whose stamp was off and the next one's was not
    clock_steps: int = 0  # how often the time was set right against a clock that drifts
    restarts: int = 0  # for a jump or another rate
    unusable: int = 0  # samples that were NaN, infinite or absurdly large
    clipped: int = 0  # samples at full scale
    windows: int = 0
    power: np.ndarray = field(init=False)  # (M,) mean square of about the last second
    still_s: np.ndarray = field(init=False)  # (M,) for how long a microphone has given one and the same sample
    alike_s: dict[tuple[int, int], float] = field(init=False)  # for how long two have given the same samples

    def __post_init__(self) -> None:
        self.power = np.zeros(self.n_microphones)
        self.still_s = np.zeros(self.n_microphones)
        self.alike_s = {}
        self._last = np.full(self.n_microphones, np.nan, np.float32)

    def add(self, samples: np.ndarray, rate: int) -> None:
        """Count a chunk (n, M) at `rate` [Hz]."""
        if not len(samples):
            return
        length_s = len(samples) / rate
        self.chunks += 1
        self.refusal = ""
        self.seconds += length_s
        self.samples += len(samples)
        self.clipped += int(np.count_nonzero(np.abs(samples) >= FULL_SCALE))
        power = np.einsum("nm,nm->m", samples, samples, dtype=np.float64) / len(samples)
        self.power += min(1.0, length_s / LEVEL_S) * (power - self.power)
        still = np.all(samples == samples[0], axis=0)
        goes_on = still & (samples[0] == self._last)
        self.still_s = np.where(goes_on, self.still_s, 0.0) + np.where(still, length_s, 0.0)
        self._last = samples[-1].copy()
        self.alike_s = {pair: self.alike_s.get(pair, 0.0) + length_s for pair in _alike(samples, still)}

    @property
    def levels_db(self) -> np.ndarray:
        """Level of each microphone (M,) over about the last second [dB re full scale], at least QUIETEST_DB."""
        return np.maximum(10 * np.log10(np.maximum(self.power, 1e-30)), QUIETEST_DB)

    def dead(self, after_s: float = 1.0) -> list[int]:
        """Microphones, from 0, that have stood still for after_s [s] while another one has not."""
        still = self.still_s >= after_s
        return [] if still.all() else np.flatnonzero(still).tolist()

    def twins(self, after_s: float = 1.0) -> list[tuple[int, int]]:
        """Pairs of microphones, from 0, that have given the same samples for after_s [s] and do not stand still."""
        return [pair for pair, same_s in self.alike_s.items() if same_s >= after_s]


def _alike(samples: np.ndarray, still: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of channels of a chunk (n, M) with the same samples, those left out that stand still (M,)."""
    first = samples[0]
    firsts, seconds = np.nonzero(np.triu(first[:, None] == first, k=1) & ~still[:, None] & ~still)
    pairs = zip(firsts.tolist(), seconds.tolist(), strict=True)
    return [(i, j) for i, j in pairs if np.array_equal(samples[:, i], samples[:, j])]
