"""The losses of each stage, and which stage hands which weights to which network (docs/reading.md, "Three stages")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import lightning
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.dsp.features import FLOOR_DB
from seld_overlap_ros.models.system import System
from seld_overlap_ros.training.dataset import NO_CLASS
from seld_overlap_ros.training.recipe import Recipe

Sources = dict[str, "tuple[str, str] | None"]
Weights = dict[str, dict[str, Tensor]]  # network -> its tensors
ALL = ("ssl", "sss.0", "sss.1", "ssc")

# system -> network of the system -> (stage it comes from, name it has there)
SOURCES: dict[str, Sources] = {
    "cascade": {"ssl": ("ssl", "ssl"), "sss.0": ("sss", "sss.0"), "ssc": ("ssc", "ssc")},
    "ssl_sss": {"ssl": ("ssl_sss", "ssl"), "sss.0": ("ssl_sss", "sss.0"), "ssc": ("ssc", "ssc")},
    "sss_ssc": {"ssl": ("ssl", "ssl"), "sss.0": ("sss_ssc", "sss.0"), "ssc": ("sss_ssc", "ssc")},
    "overlap": {name: ("overlap", name) for name in ALL},
    # what a careful reader asks for beside the paper's four
    "one_sss": {name: ("one_sss", name) for name in ALL if name != "sss.1"},
    "scratch": {name: ("scratch", name) for name in ALL},
}
# stage -> network that it trains -> where its first weights come from
INITIAL: dict[str, Sources] = {
    "ssl": {"ssl": None},
    "sss": {"sss.0": None},
    "ssc": {"ssc": None},
    "ssl_sss": {"ssl": ("ssl", "ssl"), "sss.0": ("sss", "sss.0")},
    "sss_ssc": {"sss.0": ("sss", "sss.0"), "ssc": ("ssc", "ssc")},
    "overlap": {"ssl": ("ssl_sss", "ssl"), "sss.0": ("ssl_sss", "sss.0"),
                "sss.1": ("sss_ssc", "sss.0"), "ssc": ("sss_ssc", "ssc")},
    "one_sss": {"ssl": ("ssl_sss", "ssl"), "sss.0": ("sss_ssc", "sss.0"), "ssc": ("sss_ssc", "ssc")},
    "scratch": dict.fromkeys(ALL),
}
TABLE_1 = ("cascade", "ssl_sss", "sss_ssc", "overlap")


def compressed_error(separated: Tensor, target: Tensor, mixture: Tensor) -> Tensor:
    """Squared error of magnitude^.3 over the mixture's own square of it, from log magnitudes (B, F, T) in [0, 1].

    An error of the log magnitude counts the same in every bin; this one where there is something to hear.
    """
    own, wanted, heard = (10 ** (0.3 * FLOOR_DB / 20 * (x - 1)) * (x > 0) for x in (separated, target, mixture.float()))
    error = (own - wanted).square().mean(dim=(1, 2)) / heard.square().mean(dim=(1, 2)).clamp(min=1e-9)
    return error.mean()


def architecture(system: str) -> str:
    """The `config.system` of a system's networks: `scratch` is `overlap`, trained otherwise."""
    return "overlap" if system == "scratch" else system


def needed_stages(systems: Iterable[str]) -> tuple[str, ...]:
    """The stages that lead to these systems, each after those that it starts from."""
    asked = {source[0] for system in systems for source in SOURCES[system].values()}
    while more := {s[0] for stage in asked for s in INITIAL[stage].values() if s} - asked:
        asked |= more
    return tuple(stage for stage in INITIAL if stage in asked)


def stages_of(systems: Sequence[str], started: bool) -> tuple[str, ...]:
    """The stages that a training goes through: all that lead to these systems, or the one system's own."""
    return own_stages(systems[0]) if started else needed_stages(systems)


def stage_file(folder: Path, stage: str) -> Path:
    """Where a finished stage leaves its networks."""
    return folder / f"{stage}.safetensors"


def load_networks(system: System, sources: Sources, folder: Path) -> None:
    """Fill networks of a system from finished stages in `folder`; None keeps the fresh weights."""
    for name, source in sources.items():
        if source:
            stage, name_there = source
            weights = load_file(stage_file(folder, stage))
            prefix = f"{name_there}."
            own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
            system.get_submodule(name).load_state_dict(own)


def own_stages(system: str) -> tuple[str, ...]:
    """The stages that a system's networks come from, without those that lead to these."""
    return tuple(dict.fromkeys(stage for stage, _ in SOURCES[system].values()))


def weights_for(stage: str, system: str, model: System) -> Weights:
    """A model's networks, under the names that they have in one of the system's own stages."""
    return {there: model.get_submodule(name).state_dict()
            for name, (its_stage, there) in SOURCES[system].items() if its_stage == stage}


def assemble(config: SystemConfig, system: str, folder: Path) -> System:
    """A system from the finished stages in `folder`, in eval mode."""
    assembled = System(replace(config, system=architecture(system)))
    load_networks(assembled, SOURCES[system], folder)
    return assembled.eval()


class Stage(lightning.LightningModule):
    """One stage of training: a system of which only the stage's networks learn.

    They start from what the stages before it left in `folder`, or from `start`.
    """

    def __init__(self, stage: str, config: SystemConfig, recipe: Recipe, folder: Path, seed: int,
                 start: Weights | None = None) -> None:
        super().__init__()
        self.stage, self.recipe, self.seed = stage, recipe, seed
        kind = architecture(stage) if stage in SOURCES else "cascade"
        self.system = System(replace(config, system=kind)).to(memory_format=torch.channels_last)
        if start is None:
            load_networks(self.system, INITIAL[stage], folder)
        else:
            for name, weights in start.items():
                self.system.get_submodule(name).load_state_dict(weights)
        self.system.requires_grad_(False)  # several processes wait for every gradient that is asked for
        self.networks = nn.ModuleList(self.system.get_submodule(name) for name in INITIAL[stage])
        self.networks.requires_grad_(True)

    @property
    def kept_by(self) -> dict[str, str]:
        """What in validation says which weights are best: `monitor` and `mode` of Lightning's ModelCheckpoint.

        The loss; but a cross-entropy rises again, with the confidence of wrong answers, long
        before right ones stop to grow: SSC of `mini` was best by its loss at 44 % right, and reached 53 %.
        """
        if "ssc" in INITIAL[self.stage] and self.recipe.loss == "entropy":
            return {"monitor": "val/accuracy", "mode": "max"}
        return {"monitor": "val/loss", "mode": "min"}

    def save_networks(self, folder: Path) -> None:
        """Leave the stage's networks for the stages after it."""
        names = tuple(f"{name}." for name in INITIAL[self.stage])
        state = self.system.state_dict()
        save_file({k: v.contiguous() for k, v in state.items() if k.startswith(names)}, stage_file(folder, self.stage))

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The stage's losses by name; their sum is what the stage learns. Also its score, without a gradient."""
        if self.stage == "ssc":
            return self.class_loss(self.system.ssc(batch["target"]), batch)
        x, q = batch["features"], batch["direction"]
        hard = functional.one_hot(q, batch["active"].shape[1]).float()
        if self.stage == "ssl":
            return self.direction_loss(self.system.ssl(x), batch)
        if self.stage == "sss":
            return self.separation_loss(self.system.sss[0](x, hard), batch)
        if self.stage == "sss_ssc":
            separated = self.system.separate(x, hard)
            return self.separation_loss(separated, batch) | self.class_loss(self.system.ssc(separated), batch)
        if self.stage == "ssl_sss":
            logits = self.system.ssl(x)
            separated = self.system.separate(x, self.system.query(torch.sigmoid(logits), q))
            return self.separation_loss(separated, batch) | self.direction_loss(logits, batch)
        logits, separated, scores = self.system(x, q)
        paths = self.separation_loss(separated, batch) | self.direction_loss(logits, batch)
        return paths | self.class_loss(scores, batch)

    def direction_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Loss of all directions, and the share of mixtures whose directions are exactly right."""
        weight = 1.0 if self.stage == "ssl" else self.recipe.localization_weight
        exact = ((logits > 0) == (batch["active"] > 0)).all(dim=1).float().mean()
        if self.recipe.loss == "squared":
            loss = functional.mse_loss(torch.sigmoid(logits.float()), batch["active"])
        else:
            loss = functional.binary_cross_entropy_with_logits(logits.float(), batch["active"])
        return {"direction_loss": weight * loss, "direction_exact": exact.detach()}

    def separation_loss(self, separated: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean squared error of the separated log magnitude, and as the recipe has it of the compressed magnitude."""
        weight = 1.0 if self.stage in ("sss", "ssl_sss") else self.recipe.separation_weight
        separated, target = separated.float(), batch["target"]
        loss = functional.mse_loss(separated, target)
        if self.recipe.magnitude_weight:
            loss = loss + self.recipe.magnitude_weight * compressed_error(separated, target, batch["features"][:, 0])
        return {"separation_loss": weight * loss}

    def class_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Loss over the queries that hold a sound, and their accuracy."""
        asked = batch["label"] != NO_CLASS
        right = (logits.argmax(dim=1) == batch["label"])[asked].float()
        if self.recipe.loss == "squared":
            true = functional.one_hot(batch["label"].clamp(min=0), logits.shape[1])
            total = (torch.softmax(logits.float(), dim=1) - true)[asked].square().mean(dim=1).sum()
        else:  # the sum over no item at all is 0, the mean would be NaN
            total = functional.cross_entropy(logits.float(), batch["label"], ignore_index=NO_CLASS, reduction="sum",
                                             label_smoothing=self.recipe.smoothing if self.training else 0.0)
        return {"class_loss": total / max(1, int(asked.sum())), "accuracy": right.mean().nan_to_num().detach()}

    def step(self, batch: dict[str, Tensor], split: str) -> Tensor:
        """Sum of the losses, all of them logged under `split`."""
        values = self.losses(batch)
        total = sum(value for name, value in values.items() if name.endswith("_loss"))
        for name, value in (values | {"loss": total}).items():
            # a batch counts for as many items as it has; for the accuracy, for those that hold a sound
            counted = int((batch["label"] != NO_CLASS).sum()) if name == "accuracy" else len(batch["label"])
            self.log(f"{split}/{name}", value, prog_bar=True, on_step=False, on_epoch=True, batch_size=counted,
                     sync_dist=True)
        return total

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Lightning's hook. Dropout depends on the step only, so a resumed training drops what an unbroken one does."""
        torch.manual_seed(10**6 * self.seed + self.global_step)
        return self.step(batch, "train")

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """Lightning's hook."""
        self.step(batch, "val")

    def configure_optimizers(self) -> dict:
        """Adam over the networks of this stage only, under the recipe's learning rate."""
        own = self.recipe.stages[self.stage]
        optimizer = torch.optim.Adam(self.networks.parameters(), lr=own.learning_rate)
        if not self.recipe.one_cycle:
            return {"optimizer": optimizer}
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, own.learning_rate, total_steps=int(self.trainer.estimated_stepping_batches)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
