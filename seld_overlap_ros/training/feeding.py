"""What it costs to feed a training step, beside the step itself: from stored mixtures, and from fresh ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.memory import keep_freed_memory
from seld_overlap_ros.models.system import System
from seld_overlap_ros.simulation.fresh import FreshMixtures
from seld_overlap_ros.simulation.store import MixtureStore
from seld_overlap_ros.training.dataset import QueryDataset, collate
from seld_overlap_ros.training.precision import cpu_has_bf16

BATCH = 16
ROUNDS = 8


@dataclass(frozen=True)
class FeedingCost:
    """Milliseconds a sample, medians over ROUNDS batches."""

    step: float  # forward, backward and update of the overlapped system
    stored: float  # read from the store, features
    fresh: float  # drawn, features

    @property
    def stored_share(self) -> float:
        """Of the step's time."""
        return self.stored / self.step

    @property
    def fresh_share(self) -> float:
        """Of the step's time."""
        return self.fresh / self.step


def feeding_cost(mixtures: MixtureStore, fresh: FreshMixtures, width: float) -> FeedingCost:
    """Measure, one after the other and in turn, in this process. Raises ValueError if there are too few mixtures."""
    return FeedingCost(**{name: median(values) for name, values in feeding_times(mixtures, fresh, width).items()})


def feeding_times(mixtures: MixtureStore, fresh: FreshMixtures, width: float, rounds: int = ROUNDS,
                  batch: int = BATCH) -> dict[str, list[float]]:
    """What FeedingCost is the median of, one figure a round."""
    if len(mixtures) < rounds * batch:
        raise ValueError(f"{rounds * batch} stored mixtures are needed to measure, there are {len(mixtures)}")
    keep_freed_memory()
    config = SystemConfig(mixtures.labels, width=width, array=mixtures.array, azimuths=mixtures.azimuths)
    stored, drawn = (QueryDataset(source, config, 0.2) for source in (mixtures, fresh))
    step = TrainingStep(config)
    times: dict[str, list[float]] = {"step": [], "stored": [], "fresh": []}
    for number in range(rounds + 1):
        indices = range(batch * (number % rounds), batch * (number % rounds + 1))
        items, stored_s = _timed(lambda indices=indices: collate([stored[i] for i in indices]))
        _, fresh_s = _timed(lambda indices=indices: collate([drawn[i] for i in indices]))
        _, step_s = _timed(lambda items=items: step(items))
        if number:  # the first round warms up
            for name, seconds in (("step", step_s), ("stored", stored_s), ("fresh", fresh_s)):
                times[name].append(1000 * seconds / batch)
    return times


class TrainingStep:
    """Forward, backward and update of the overlapped system on the CPU, in what training computes in there."""

    def __init__(self, config: SystemConfig) -> None:
        self._system = System(config).to(memory_format=torch.channels_last)
        self._optimizer = torch.optim.Adam(self._system.parameters())
        self._bf16 = cpu_has_bf16()  # not what a GPU does: it is not used here

    def __call__(self, batch: dict[str, torch.Tensor]) -> None:
        """On a batch of QueryDataset's items."""
        self._optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
            logits, separated, scores = self._system(batch["features"], batch["direction"])
        loss = sum(part.float().square().mean() for part in (logits, separated, scores))
        loss.backward()
        self._optimizer.step()


def _timed(work: Callable[[], Sequence]) -> tuple[Sequence, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start
