"""Train the stages one after another; a run that was cut off goes on where it was."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from seld_overlap_ros import __version__
from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.models.checkpoint import save_model
from seld_overlap_ros.simulation.store import MixtureStore
from seld_overlap_ros.training.dataset import QueryDataset
from seld_overlap_ros.training.recipe import STAGES, Recipe
from seld_overlap_ros.training.stages import Stage, assemble, stage_file


class NewQueries(Callback):
    """Tell the training set which epoch it is, so that each epoch asks other queries, also after a resume."""

    def on_train_epoch_start(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        """Lightning's hook."""
        trainer.train_dataloader.dataset.epoch = trainer.current_epoch


def _loader(store: MixtureStore, config: SystemConfig, recipe: Recipe, stage: str, train: bool) -> DataLoader:
    dataset = QueryDataset(store, config, recipe.empty_query if stage != "ssc" else 0.0)
    # a worker that lives for one epoch sees the dataset's new epoch number
    return DataLoader(dataset, recipe.stages[stage].batch, shuffle=train, drop_last=train, num_workers=1, prefetch_factor=4)


def train_stage(stage: str, config: SystemConfig, recipe: Recipe, data: Path, out: Path, seed: int) -> dict:
    """Train one stage, or resume it, and leave its best networks in `out`. Returns its figures."""
    lightning.seed_everything(seed, verbose=False)
    module = Stage(stage, config, recipe, out)
    best = ModelCheckpoint(out / stage, "best", monitor="val/loss", enable_version_counter=False)
    last = ModelCheckpoint(out / stage, "last", enable_version_counter=False)
    trainer = lightning.Trainer(
        max_epochs=recipe.stages[stage].epochs,
        precision="bf16-mixed",
        callbacks=[best, last, NewQueries()],
        logger=CSVLogger(out, name=None, version=f"{stage}/log"),
        log_every_n_steps=10,
        reload_dataloaders_every_n_epochs=1,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    loaders = {split: _loader(MixtureStore.load(data / split), config, recipe, stage, split == "train")
               for split in ("train", "val")}
    resume = out / stage / "last.ckpt"
    started = time.monotonic()
    trainer.fit(module, loaders["train"], loaders["val"], ckpt_path=resume if resume.is_file() else None)
    module.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
    [figures] = trainer.validate(module, loaders["val"], verbose=False)
    module.save_networks(out)
    return {**figures, "minutes": (time.monotonic() - started) / 60}


def train(recipe: Recipe, config: SystemConfig, data: Path, out: Path, systems: Sequence[str] = ("overlap",), seed: int = 0) -> None:
    """Train every stage that is not finished yet, then write each asked system as one checkpoint."""
    os.environ.setdefault("POSSIBLE_USER_WARNINGS", "off")
    record = {"version": __version__, "recipe": recipe.to_dict(), "seed": seed, "data": str(data.name), "stages": {}}
    for stage in STAGES:
        if not stage_file(out, stage).is_file():
            record["stages"][stage] = train_stage(stage, config, recipe, data, out, seed)
    for system in systems:
        save_model(out / f"{system}.model.safetensors", assemble(replace(config, system=system), out), record)
