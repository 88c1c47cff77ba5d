"""Train the stages one after another; a run that was cut off goes on where it was, to the same result."""

from __future__ import annotations

import json
import logging
import os
import signal
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.utils.data import DataLoader

from seld_overlap_ros import __version__
from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.memory import keep_freed_memory
from seld_overlap_ros.models.checkpoint import check_config, find_model, read_training_record, sha256
from seld_overlap_ros.models.layout import shapes
from seld_overlap_ros.models.system import System, load_model, save_model
from seld_overlap_ros.simulation.fresh import FreshMixtures
from seld_overlap_ros.simulation.rooms import scene_rng
from seld_overlap_ros.simulation.store import MixtureStore
from seld_overlap_ros.training.dataset import QueryDataset, collate
from seld_overlap_ros.training.precision import precision
from seld_overlap_ros.training.progress import Feeding, Progress
from seld_overlap_ros.training.recipe import Recipe, StageRecipe
from seld_overlap_ros.training.saving import MovableCheckpoint, write_whole
from seld_overlap_ros.training.stages import (
    INITIAL,
    TABLE_1,
    Stage,
    Weights,
    architecture,
    assemble,
    needed_stages,
    stage_file,
    stages_of,
    weights_for,
)

ROUND = 2500  # mixtures from one checkpoint to the next: a minute or two on two cores
MAX_WORKERS = 8  # a process; more hold more batches in memory than any device eats


@dataclass(frozen=True)
class Mixtures:
    """What is learnt from, and what chooses the weights that are kept."""

    train: MixtureStore
    val: MixtureStore
    fresh: FreshMixtures | None = None  # in place of `train`, others in every pass, in the stages that ask for them

    def __post_init__(self) -> None:
        """Raises ValueError unless all are of one array, its directions, and the same classes."""
        others = [("the validation mixtures", self.val.array, self.val.azimuths, self.val.labels)]
        if self.fresh:
            bank = self.fresh.bank
            others.append(("the rooms or the sounds for fresh ones", bank.array, bank.azimuths, self.fresh.clips))
        for what, array, azimuths, labels in others:
            if (array, tuple(azimuths), set(labels)) != (
                    self.train.array, tuple(self.train.azimuths), set(self.train.labels)):
                raise ValueError(f"{what} are of another array, other directions or other classes than the training "
                                 "mixtures: make all anew with `seld-overlap data mix`")

    @property
    def rounds(self) -> int:
        """Rounds a pass: Lightning's epoch is a round here, as it saves and resumes by epochs."""
        return max(1, round(len(self.train) / ROUND))

    def at_pass(self, stage: str, own: StageRecipe, seed: int, number: int) -> MixtureStore | FreshMixtures:
        """The training mixtures of a stage's pass: fresh ones are others in every stage, seed and pass."""
        if not own.fresh:
            return self.train
        if not self.fresh:
            raise ValueError(f"{stage}: fresh mixtures are asked for, but there is nothing to draw them from")
        return self.fresh.of(stage, seed, number)


class StageData(lightning.LightningDataModule):
    """Mixtures as one stage asks them. Order and queries of a round depend on (seed, round) only."""

    def __init__(self, stage: str, config: SystemConfig, recipe: Recipe, mixtures: Mixtures, seed: int) -> None:
        super().__init__()
        self.config, self.mixtures, self.seed = config, mixtures, seed
        self.stage, self.own = stage, recipe.stages[stage]
        self.batch = self.own.batch
        self.empty_query = recipe.empty_query if stage != "ssc" else 0.0  # silence has no class
        self.parts = {"features": stage != "ssc", "target": stage != "ssl"}  # what the stage looks at: both take time

    def train_dataloader(self) -> DataLoader:
        """Lightning's hook, called at the start of every round: this process's share of the round's mixtures."""
        number, part = divmod(self.trainer.current_epoch, self.mixtures.rounds)
        mixtures = self.mixtures.at_pass(self.stage, self.own, self.seed, number)
        dataset = QueryDataset(mixtures, self.config, self.empty_query, self.seed, number, self.own,
                               **self.parts)
        order = scene_rng("order", self.seed, number).permutation(len(dataset))
        order = order[part :: self.mixtures.rounds]
        n_processes = self.trainer.world_size
        order = order[: len(order) // self.batch * self.batch]  # whole steps, so that all processes have as many
        # a list, because Lightning may start a loader twice, which a generator would not forget
        own = order[self.trainer.global_rank :: n_processes].tolist()
        return DataLoader(dataset, self.batch // n_processes, sampler=own, num_workers=self.workers,
                          collate_fn=collate)

    def val_dataloader(self) -> DataLoader:
        """Lightning's hook. The same queries every time."""
        dataset = QueryDataset(self.mixtures.val, self.config, self.empty_query, **self.parts)
        own = range(self.trainer.global_rank, len(dataset), self.trainer.world_size)
        return DataLoader(dataset, self.batch, sampler=own, num_workers=self.workers,
                          collate_fn=collate)

    @property
    def workers(self) -> int:
        """Cores that are left over for feeding; without any, handing batches between processes only costs time."""
        n_processes = self.trainer.world_size
        return max(0, min(MAX_WORKERS, len(os.sched_getaffinity(0)) // n_processes - 1))


def train_stage(stage: str, config: SystemConfig, recipe: Recipe, mixtures: Mixtures, out: Path, seed: int,
                processes: int = 1, start: Weights | None = None) -> dict:
    """Train one stage, or resume it, and leave its best networks in `out`. Returns its figures.

    `start`: its networks' first weights, in place of those that the stages before it left in `out`.
    With several processes each takes its share of every step (DDP); the batch must be a multiple of their number.
    """
    own = recipe.stages[stage]
    quiet()
    lightning.seed_everything(seed, verbose=False)
    module = Stage(stage, config, recipe, out, seed, start)
    data = StageData(stage, config, recipe, mixtures, seed)
    best = MovableCheckpoint(out / stage, "best", **module.kept_by, enable_version_counter=False)
    # saved when the round has ended: what validation's end saves resumes within a round that is over
    last = MovableCheckpoint(out / stage, "last", enable_version_counter=False, save_on_train_epoch_end=True)
    feeding = Feeding(processes * torch.get_num_threads())
    trainer = lightning.Trainer(
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        use_distributed_sampler=False,
        max_epochs=own.epochs * mixtures.rounds,
        check_val_every_n_epoch=mixtures.rounds,
        num_sanity_val_steps=0,
        precision=precision(),
        callbacks=[best, last, feeding, Progress(stage, feeding)],
        logger=[CSVLogger(out / stage, name="log", flush_logs_every_n_steps=1),
                TensorBoardLogger(out, name="tensorboard", version=stage)],
        log_every_n_steps=1,
        reload_dataloaders_every_n_epochs=1,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    resume = out / stage / "last.ckpt"
    try:
        trainer.fit(module, data, ckpt_path=resume if resume.is_file() else None, weights_only=True)
    except SIGTERMException as error:  # a SystemExit that says nothing is wrong: no script is to take it for the end
        raise SystemExit(128 + signal.SIGTERM) from error
    module.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
    [figures] = trainer.validate(module, data, verbose=False)
    if trainer.is_global_zero:
        module.save_networks(out)
    trainer.strategy.barrier()  # the next stage starts from what this one has saved
    return {**figures, **feeding.figures(), "processes": processes, "precision": trainer.precision}


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
    systems: Sequence[str] = TABLE_1,
    seed: int = 0,
    processes: int = 1,
    start: str | Path | None = None,
) -> None:
    """Train every stage that the systems need and that is not finished yet, then write each system as one checkpoint.

    `out` receives one file a stage and `SYSTEM.model.safetensors`; systems share the stages that they have in common.
    With `start`, the name or file of a trained model of one system, that system's own stages go on from its weights;
    to be resumed, it needs that file again.
    Raises ValueError if `out` holds another training, if the recipe lacks a stage, or if the model does not fit.
    """
    keep_freed_memory()
    asked = {
        "version": __version__,
        "recipe": recipe.to_dict(),
        "seed": seed,
        "mixtures": len(mixtures.train),
        "content": [mixtures.train.content, mixtures.val.content],
    }
    model = None
    if start:
        model, asked["start"] = _started(start, config, systems)
    needed = stages_of(systems, bool(start))
    _check(recipe, config, needed, mixtures, processes)
    if mixtures.fresh and recipe.fresh(needed):
        asked["fresh"] = mixtures.fresh.content
    claim(out, asked | {"config": config.to_dict()})
    # looked up before any is trained: of several processes each must train the same
    for stage in [stage for stage in needed if not _figures_file(out, stage).is_file()]:
        first = weights_for(stage, systems[0], model) if model else None
        figures = train_stage(stage, config, recipe, mixtures, out, seed, processes, first)
        if int(os.environ.get("LOCAL_RANK", 0)) == 0:
            write_whole(_figures_file(out, stage), json.dumps(figures))
    if int(os.environ.get("LOCAL_RANK", 0)) == 0:
        for system in systems:
            stages = {stage: json.loads(_figures_file(out, stage).read_text()) for stage in needed
                      if stage in needed_stages([system])}
            path = out / f"{system}.model.safetensors"
            save_model(path, assemble(config, system, out), asked | {"system": system, "stages": stages})


def _check(recipe: Recipe, config: SystemConfig, needed: Sequence[str], mixtures: Mixtures, processes: int) -> None:
    """Raises ValueError now for what would stop a stage later on, and for stages that there are not."""
    shapes(config)
    check_config(config)
    n_gpus = torch.cuda.device_count()
    if 0 < n_gpus < processes:
        raise ValueError(f"{processes} processes need as many GPUs, and there are {n_gpus}: ask for --processes "
                         f"{n_gpus}, or set CUDA_VISIBLE_DEVICES= to train on the CPU")
    if unknown := sorted(set(recipe.stages) - set(INITIAL)):
        raise ValueError(f"{recipe.name}: no stage is called {', '.join(unknown)}; there are {', '.join(INITIAL)}")
    if lacking := [stage for stage in needed if stage not in recipe.stages]:
        raise ValueError(f"the recipe {recipe.name} says nothing of the stages {', '.join(lacking)}: add them to it")
    for stage in needed:
        batch = recipe.stages[stage].batch
        if batch % processes:
            raise ValueError(f"{stage}: a batch of {batch} cannot be shared by {processes} processes evenly")
        of_a_round = len(mixtures.train) // mixtures.rounds
        if batch > of_a_round:
            raise ValueError(f"{stage}: {of_a_round} training mixtures a round do not fill a batch of {batch}: take "
                             "more, or a recipe with smaller batches")


def _started(start: str | Path, config: SystemConfig, systems: Sequence[str]) -> tuple[System, dict]:
    """The model to go on from, and what the record says of it.

    Raises ValueError unless it is of the one system that is asked for and of all that `config` says.
    """
    model, record = load_model(start), read_training_record(start)
    if len(systems) != 1 or "stages" not in record or model.config != replace(config, system=architecture(systems[0])):
        raise ValueError(f"{start} cannot be gone on from: ask for one --system, its own, with a recipe of its width "
                         "and inputs, and mixtures of its array, directions and classes; and `train` must have made it")
    return model, {"sha256": sha256(find_model(start)), "training": record}


def _figures_file(out: Path, stage: str) -> Path:
    return stage_file(out, stage).with_suffix(".json")


def claim(out: Path, asked: dict) -> None:
    """Write down what a folder trains, in run.json. Raises ValueError if it holds another training already."""
    out.mkdir(parents=True, exist_ok=True)
    file, text = out / "run.json", json.dumps(asked, indent=1)
    if file.is_file() and file.read_text() != text:
        raise ValueError(f"{out} holds another training (its run.json tells what of, and how): set --out to another "
                         "folder")
    write_whole(file, text)
