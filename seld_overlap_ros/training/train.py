"""Train the stages one after another; a run that was cut off goes on where it was."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from seld_overlap_ros import __version__
from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.memory import keep_freed_memory
from seld_overlap_ros.models.checkpoint import save_model
from seld_overlap_ros.simulation.fresh import FreshMixtures
from seld_overlap_ros.simulation.rooms import scene_rng
from seld_overlap_ros.simulation.store import MixtureStore
from seld_overlap_ros.training.dataset import QueryDataset
from seld_overlap_ros.training.recipe import STAGES, Recipe
from seld_overlap_ros.training.stages import Stage, assemble, stage_file


@dataclass(frozen=True)
class Mixtures:
    """What is learnt from, and what chooses the weights that are kept. Fresh mixtures are others in every epoch."""

    train: MixtureStore | FreshMixtures
    val: MixtureStore

    def at_epoch(self, epoch: int) -> MixtureStore | FreshMixtures:
        """The training mixtures of an epoch."""
        return self.train.at_epoch(epoch) if isinstance(self.train, FreshMixtures) else self.train


class StageData(lightning.LightningDataModule):
    """Mixtures as one stage asks them. Order and queries of an epoch depend on (seed, epoch) only."""

    def __init__(self, stage: str, config: SystemConfig, recipe: Recipe, mixtures: Mixtures, seed: int) -> None:
        super().__init__()
        self.config, self.mixtures, self.seed = config, mixtures, seed
        self.batch = recipe.stages[stage].batch
        self.empty_query = recipe.empty_query if stage != "ssc" else 0.0  # silence has no class

    def train_dataloader(self) -> DataLoader:
        """Lightning's hook, called at the start of every epoch."""
        epoch = self.trainer.current_epoch
        dataset = QueryDataset(self.mixtures.at_epoch(epoch), self.config, self.empty_query, self.seed, epoch)
        # a list, because Lightning may start an epoch's loader twice, which a generator would not forget
        order = scene_rng("order", self.seed, epoch).permutation(len(dataset)).tolist()
        return DataLoader(dataset, self.batch, sampler=order, drop_last=True, num_workers=1)

    def val_dataloader(self) -> DataLoader:
        """Lightning's hook. The same queries every time."""
        dataset = QueryDataset(self.mixtures.val, self.config, self.empty_query)
        return DataLoader(dataset, self.batch, num_workers=1)


def train_stage(stage: str, config: SystemConfig, recipe: Recipe, mixtures: Mixtures, out: Path, seed: int) -> dict:
    """Train one stage, or resume it, and leave its best networks in `out`. Returns its figures."""
    quiet()
    lightning.seed_everything(seed, verbose=False)
    module = Stage(stage, config, recipe, out, seed)
    data = StageData(stage, config, recipe, mixtures, seed)
    # saved when the epoch has ended: what validation's end saves resumes within an epoch that is over
    saving = {"dirpath": out / stage, "enable_version_counter": False, "save_on_train_epoch_end": True}
    best = ModelCheckpoint(filename="best", monitor="val/loss", **saving)
    last = ModelCheckpoint(filename="last", **saving)
    trainer = lightning.Trainer(
        max_epochs=recipe.stages[stage].epochs,
        precision="bf16-mixed",
        callbacks=[best, last, RichProgressBar(leave=True)],
        logger=CSVLogger(out / stage, name="log"),
        log_every_n_steps=1,
        reload_dataloaders_every_n_epochs=1,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    resume = out / stage / "last.ckpt"
    started = time.monotonic()
    trainer.fit(module, data, ckpt_path=resume if resume.is_file() else None, weights_only=True)
    module.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
    [figures] = trainer.validate(module, data, verbose=False)
    module.save_networks(out)
    return {**figures, "minutes": (time.monotonic() - started) / 60}


def quiet() -> None:
    """Nothing about hardware that is not there, folders that a resumed run finds, or Lightning's own affairs."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
    warnings.filterwarnings("ignore", "The '.*_dataloader' does not have many workers")
    warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec.` is deprecated")


def train(
    recipe: Recipe,
    config: SystemConfig,
    mixtures: Mixtures,
    out: Path,
    systems: Sequence[str] = ("overlap",),
    seed: int = 0,
) -> None:
    """Train every stage that is not finished yet, then write each asked system as one checkpoint.

    `out` receives one file a stage and `SYSTEM.model.safetensors`. Raises ValueError if it holds another training.
    """
    keep_freed_memory()
    asked = {
        "version": __version__,
        "recipe": recipe.to_dict(),
        "seed": seed,
        "mixtures": len(mixtures.train),
        "fresh": isinstance(mixtures.train, FreshMixtures),
    }
    _claim(out, asked | {"config": config.to_dict()})
    stages = {}
    for stage in STAGES:
        figures = stage_file(out, stage).with_suffix(".json")
        if not figures.is_file():
            figures.write_text(json.dumps(train_stage(stage, config, recipe, mixtures, out, seed)))
        stages[stage] = json.loads(figures.read_text())
    for system in systems:
        path = out / f"{system}.model.safetensors"
        save_model(path, assemble(replace(config, system=system), out), asked | {"stages": stages})


def _claim(out: Path, asked: dict) -> None:
    """Write down what a folder trains; a run that goes on must be the same one."""
    out.mkdir(parents=True, exist_ok=True)
    claim, text = out / "run.json", json.dumps(asked, indent=1)
    if claim.is_file() and claim.read_text() != text:
        raise ValueError(f"{out} holds another training (recipe, seed, array, classes): set --out to another folder")
    claim.write_text(text)
