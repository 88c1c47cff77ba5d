"""What it costs to feed a training step, beside the step itself: from stored mixtures, and from fresh ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch.utils.data import default_collate

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.memory import keep_freed_memory
from seld_overlap_ros.models.system import System
from seld_overlap_ros.simulation.fresh import FreshMixtures
from seld_overlap_ros.simulation.store import MixtureStore
from seld_overlap_ros.training.dataset import QueryDataset

BATCH = 16
ROUNDS = 8


@dataclass(frozen=True)
class FeedingCost:
    """Milliseconds a sample, medians over ROUNDS batches."""

    step: float  # forward, backward and update of the overlapped system, in bf16
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
    if len(mixtures) < ROUNDS * BATCH:
        raise ValueError(f"{ROUNDS * BATCH} stored mixtures are needed to measure, there are {len(mixtures)}")
    keep_freed_memory()
    config = SystemConfig(mixtures.labels, width=width, array=mixtures.array, azimuths=mixtures.azimuths)
    stored, drawn = (QueryDataset(source, config, 0.2) for source in (mixtures, fresh))
    system = System(config).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(system.parameters())
    times: dict[str, list[float]] = {"step": [], "stored": [], "fresh": []}
    for number in range(ROUNDS + 1):
        indices = range(BATCH * (number % ROUNDS), BATCH * (number % ROUNDS + 1))
        batch, stored_s = _timed(lambda indices=indices: default_collate([stored[i] for i in indices]))
        _, fresh_s = _timed(lambda indices=indices: default_collate([drawn[i] for i in indices]))
        _, step_s = _timed(lambda batch=batch: _step(system, optimizer, batch))
        if number:  # the first round warms up
            for name, seconds in (("step", step_s), ("stored", stored_s), ("fresh", fresh_s)):
                times[name].append(1000 * seconds / BATCH)
    return FeedingCost(**{name: median(values) for name, values in times.items()})


def _step(system: System, optimizer: torch.optim.Optimizer, batch: dict[str, torch.Tensor]) -> None:
    optimizer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        x = batch["features"].to(memory_format=torch.channels_last)
        logits, separated, scores = system(x, batch["direction"])
    loss = sum(part.float().square().mean() for part in (logits, separated, scores))
    loss.backward()
    optimizer.step()


def _timed(work: Callable[[], Sequence]) -> tuple[Sequence, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start
