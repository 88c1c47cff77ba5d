"""What a training step eats: features, targets and one query a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.dsp.features import analyse, log_magnitude
from seld_overlap_ros.dsp.stft import stft
from seld_overlap_ros.simulation.fresh import FreshMixtures
from seld_overlap_ros.simulation.mixture import turned_events
from seld_overlap_ros.simulation.rooms import scene_rng
from seld_overlap_ros.simulation.store import MixtureStore
from seld_overlap_ros.simulation.turning import turns
from seld_overlap_ros.training.augment import blank, colour
from seld_overlap_ros.training.recipe import StageRecipe

NO_CLASS = -100  # cross-entropy leaves these items out


def collate(items: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Items of QueryDataset as a batch, the features channels last in memory: half the time of stacking and turning."""
    batch = default_collate([{name: value for name, value in item.items() if name != "features"} for item in items])
    if "features" in items[0]:
        n_features, *shape = items[0]["features"].shape
        rows = items[0]["features"].new_empty(len(items), *shape, n_features)
        for row, item in zip(rows, items, strict=True):
            row.copy_(item["features"].permute(1, 2, 0))
        batch["features"] = rows.permute(0, 3, 1, 2)
    return batch


class QueryDataset(Dataset):
    """One query a mixture: a direction with a sound, or with probability `empty_query` one without.

    The query depends on (seed, epoch, index) only, so a resumed training asks what an unbroken one would have.
    """

    def __init__(
        self,
        mixtures: MixtureStore | FreshMixtures,
        config: SystemConfig,
        empty_query: float,
        seed: int = 0,
        epoch: int = 0,
        varied: StageRecipe | None = None,
        features: bool = True,
        target: bool = True,
    ) -> None:
        """`varied`: how the items are, as the recipe of a stage has it. Without `features` none are computed, and
        without `target` no target; all else is the same.

        A turned array turns no target, which is what one microphone hears.
        """
        self.mixtures, self.config, self.empty_query = mixtures, config, empty_query
        self.seed, self.epoch, self.varied, self.features, self.target = seed, epoch, varied, features, target
        self.turns = turns(config.array, config.azimuths) if varied and varied.turned else ()
        self.class_id = {label: i for i, label in enumerate(config.labels)}

    def __len__(self) -> int:
        return len(self.mixtures)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """features (2M-1, F, T), active (D,), direction (), label () or NO_CLASS for an empty query, target (F, T)."""
        rng = scene_rng("query", self.seed, self.epoch, index)
        scene = self.mixtures[index]
        if self.turns:
            by = self.turns[rng.integers(len(self.turns))]
            scene = replace(scene, mixture=scene.mixture[list(by.microphones)], events=turned_events(scene.events, by))
        active = np.zeros(len(self.config.azimuths), np.float32)
        active[[event.direction for event in scene.events]] = 1
        item = {"active": active}
        if self.features:
            item["features"], _ = analyse(scene.mixture, self.config.front_end)
        if rng.random() < self.empty_query:
            stem = None
            item |= {"direction": rng.choice(np.flatnonzero(active == 0)), "label": NO_CLASS}
        else:
            k = int(rng.integers(len(scene.events)))
            stem = scene.stems[k]
            item |= {"direction": scene.events[k].direction, "label": self.class_id[scene.events[k].label]}
        if self.target:
            item["target"] = self._target(stem)
        self._vary(item, rng)
        return {name: torch.as_tensor(value) for name, value in item.items()}

    def _target(self, stem: np.ndarray | None) -> np.ndarray:
        """Log magnitude (F, T) of what is asked for: a stem (window_samples,), or None, silence."""
        front_end = self.config.front_end
        if stem is None:
            return np.zeros((front_end.n_bins, front_end.n_frames), np.float32)
        return log_magnitude(stft(stem, front_end))

    def _vary(self, item: dict[str, np.ndarray], rng: np.random.Generator) -> None:
        """Features (2M-1, F, T) and target (F, T), as far as there are any, as the recipe has it, in place."""
        spectrograms = [item[name] for name in ("features", "target") if name in item]
        if self.varied and self.varied.coloured:
            colour([each[0] if each.ndim == 3 else each for each in spectrograms], self.varied.coloured, rng)
        if self.varied and self.varied.masked:
            blank(spectrograms, self.varied.masked, rng)
