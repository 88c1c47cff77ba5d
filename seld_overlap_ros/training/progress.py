"""What a training shows while it runs, and what it cost: time left, and how long it waited for its data."""

from __future__ import annotations

import time

import lightning
from lightning.pytorch.callbacks import Callback, RichProgressBar


class Feeding(Callback):
    """Counts the seconds spent in training steps and those spent waiting for the next batch, over all resumes."""

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self.step_s = self.wait_s = self.core_s = 0.0
        self.n_samples = 0
        self._since = 0.0

    def state_dict(self) -> dict:
        """Lightning's hook: what a resumed run goes on from."""
        return {"step_s": self.step_s, "wait_s": self.wait_s, "core_s": self.core_s, "n_samples": self.n_samples}

    def load_state_dict(self, state: dict) -> None:
        """Lightning's hook."""
        self.step_s, self.wait_s = state["step_s"], state["wait_s"]
        self.core_s, self.n_samples = state["core_s"], state["n_samples"]

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Lightning's hook."""
        self._since = time.monotonic()

    def on_train_batch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule, batch: dict,
                             index: int) -> None:
        """Lightning's hook."""
        self.wait_s += self._passed()

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: object,
                           batch: dict, index: int) -> None:
        """Lightning's hook."""
        self.step_s += self._passed()
        self.n_samples += len(batch["label"]) * trainer.world_size

    def _passed(self) -> float:
        """Seconds since it was asked last."""
        before, self._since = self._since, time.monotonic()
        self.core_s += (self._since - before) * self._cores
        return self._since - before

    def figures(self) -> dict[str, float]:
        """Samples a second, the share of the time in which the model worked, the minutes of both, and mean cores."""
        total = max(self.step_s + self.wait_s, 1e-9)
        return {"samples_per_s": self.n_samples / total, "fed_share": self.step_s / total, "minutes": total / 60,
                "cores": self.core_s / total}


class Progress(RichProgressBar):
    """Lightning's bar, with the stage and the minutes that are left of it."""

    def __init__(self, stage: str, feeding: Feeding) -> None:
        super().__init__(leave=True)
        self._stage, self._feeding = stage, feeding

    def get_metrics(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> dict:
        """Lightning's hook."""
        shown = {name.removeprefix("train/"): value for name, value in super().get_metrics(trainer, module).items()
                 if name.startswith(("train/loss", "val/"))}
        figures = self._feeding.figures()
        asked = trainer.max_epochs * trainer.num_training_batches
        left = figures["minutes"] * (asked / max(1, trainer.global_step) - 1)
        return {"stage": self._stage, "left": f"{left:.0f} min", "fed": f"{figures['fed_share']:.0%}", **shown}
