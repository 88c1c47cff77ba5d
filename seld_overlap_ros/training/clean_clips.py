"""SSC on clean dry clips: how far the labels and the number of recordings carry, before any room or other sound.

This is the ceiling of what SSC can reach in a mixture, and the way to find labels that are wrong.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import RichProgressBar
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchmetrics.functional.classification import multiclass_confusion_matrix

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.data.sounds import Clip
from seld_overlap_ros.dsp.features import log_magnitude
from seld_overlap_ros.dsp.stft import stft
from seld_overlap_ros.memory import keep_freed_memory
from seld_overlap_ros.models.ssc_net import MelSscNet
from seld_overlap_ros.simulation.mixture import SPEED, as_heard, at_speed, place_in_window
from seld_overlap_ros.simulation.rooms import scene_rng
from seld_overlap_ros.training.augment import blank, colour
from seld_overlap_ros.training.precision import precision
from seld_overlap_ros.training.saving import MovableCheckpoint
from seld_overlap_ros.training.train import claim, quiet

WIDTH = 0.25
MEL_BANDS = 64
BATCH = 32
LEARNING_RATE = 2e-3  # highest of one cycle
MIXED = 0.2  # of mixup's beta distribution: mostly one sound, now and then two alike
SMOOTHING = 0.1  # of the labels: some recordings are ambiguous
GAIN_DB = (-30.0, -3.0)  # of the peak, re full scale
FLOOR_DB = (-90.0, -50.0)  # of white noise, re full scale: a recording's own floor would give it away
COLOUR_DB = 3.0  # standard deviation of a smooth random frequency response: microphones differ
MASKED = 0.125  # share of bins and of frames blanked at most


@dataclass(frozen=True)
class Outcome:
    """What came out on the test clips."""

    labels: tuple[str, ...]
    confusion: np.ndarray  # (C, C), rows true, columns said

    @property
    def accuracy(self) -> float:
        """Share of the clips that were named right."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def recall(self) -> dict[str, float]:
        """Share of each class's clips that were named right; NaN for a class without test clips."""
        with np.errstate(invalid="ignore"):
            shares = np.diag(self.confusion) / self.confusion.sum(axis=1)
        return dict(zip(self.labels, shares.tolist(), strict=True))

    def confusions(self, n: int) -> list[tuple[str, str, int]]:
        """The n most frequent mistakes: (true, said, how often)."""
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-wrong, axis=None)[:n]
        rows, columns = np.unravel_index(order, wrong.shape)
        found = [(self.labels[i], self.labels[j], int(wrong[i, j])) for i, j in zip(rows, columns, strict=True)]
        return [mistake for mistake in found if mistake[2]]


class ClipDataset(Dataset):
    """Clips in a window: with an epoch varied, by (epoch, index) only; without one as they are, at its start."""

    def __init__(self, clips: Sequence[Clip], labels: Sequence[str], epoch: int | None = None) -> None:
        self.clips, self.epoch, self.front_end = clips, epoch, FrontEnd()
        self.class_id = {label: i for i, label in enumerate(labels)}

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Normalised log magnitude (F, T) and class."""
        clip = self.clips[index]
        n, rate = self.front_end.window_samples, self.front_end.sample_rate
        rng = scene_rng("clip", self.epoch, index)
        if self.epoch is None:
            dry, start = as_heard(clip.samples, n, rate, rng), 0
            gain_db, floor_db = np.mean(GAIN_DB), np.mean(FLOOR_DB)
        else:
            samples = at_speed(clip.samples, rng.uniform(*SPEED))
            dry, start = place_in_window(as_heard(samples, n, rate, rng), n, rng)
            gain_db, floor_db = rng.uniform(*GAIN_DB), rng.uniform(*FLOOR_DB)
        window = 10 ** (floor_db / 20) * rng.standard_normal(n).astype(np.float32)
        window[start : start + len(dry)] += 10 ** (gain_db / 20) * dry
        features = log_magnitude(stft(window, self.front_end))
        if self.epoch is not None:
            colour([features], COLOUR_DB, rng)
            blank([features], MASKED, rng)
        return torch.from_numpy(np.ascontiguousarray(features)), self.class_id[clip.label]


class _Data(lightning.LightningDataModule):
    def __init__(self, train: Sequence[Clip], val: Sequence[Clip], labels: Sequence[str]) -> None:
        super().__init__()
        self.train, self.val, self.labels = train, val, labels

    def train_dataloader(self) -> DataLoader:
        epoch = self.trainer.current_epoch
        drawn = ClipDataset(self._drawn(epoch), self.labels, epoch)
        return DataLoader(drawn, BATCH, drop_last=True, num_workers=1)

    def _drawn(self, epoch: int) -> list[Clip]:
        """As many clips as there are; a class with fifty times as many as another comes seven times as often."""
        counts = Counter(clip.label for clip in self.train)
        weights = np.array([counts[clip.label] ** -0.5 for clip in self.train])
        chosen = scene_rng("order", epoch).choice(len(weights), len(weights), p=weights / weights.sum())
        return [self.train[i] for i in chosen]

    def val_dataloader(self) -> DataLoader:
        return DataLoader(ClipDataset(self.val, self.labels), BATCH, num_workers=1)


class _Module(lightning.LightningModule):
    def __init__(self, n_classes: int) -> None:
        super().__init__()
        front_end = FrontEnd()
        net = MelSscNet(n_classes, WIDTH, MEL_BANDS, front_end.n_bins, front_end.sample_rate)
        self.net = net.to(memory_format=torch.channels_last)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        torch.manual_seed(self.global_step)
        features, label = batch
        # mixup (Zhang et al. 2018) of the log magnitudes: a louder and a softer sound at once
        share = float(torch.distributions.Beta(MIXED, MIXED).sample())
        other = torch.randperm(len(label))
        scores = self.net(share * features + (1 - share) * features[other]).float()
        one, two = (functional.cross_entropy(scores, y, label_smoothing=SMOOTHING) for y in (label, label[other]))
        loss = share * one + (1 - share) * two
        self.log("train/loss", loss, prog_bar=True, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        features, label = batch
        right = (self.net(features).argmax(dim=1) == label).float().mean()
        self.log("val/accuracy", right, prog_bar=True, batch_size=len(label))

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.AdamW(self.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, LEARNING_RATE, total_steps=int(self.trainer.estimated_stepping_batches), pct_start=0.15
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def digest(clips: Sequence[Clip]) -> str:
    """Of clips and their labels, to tell others from them."""
    found = hashlib.sha256()
    for clip in clips:
        found.update(clip.label.encode() + b"\0" + clip.samples.tobytes())
    return found.hexdigest()[:16]


def check_clips(clips: dict[str, Sequence[Clip]], epochs: int, out: Path) -> Outcome:
    """Train SSC on the clips of "train", keep the epoch that is best on "val", and name those of "test".

    Started again, a run that was cut off goes on where it was. Raises ValueError if `out` holds another one, and for
    clips that are too few, or of a class that none of "train" is of.
    """
    labels = tuple(sorted({clip.label for clip in clips["train"]}))
    if len(clips["train"]) < BATCH or not clips["val"] or not clips["test"]:
        raise ValueError(f"{BATCH} training clips and one of validation and of test at least are needed, and there are "
                         f"{', '.join(f'{len(own)} {split}' for split, own in clips.items())}: add recordings")
    if unheard := sorted({clip.label for own in clips.values() for clip in own} - set(labels)):
        raise ValueError(f"no train clips of {', '.join(unheard)}: add recordings of them to the sounds folder")
    claim(out, {"epochs": epochs, "clips": {split: digest(own) for split, own in clips.items()}})
    quiet()
    keep_freed_memory()
    lightning.seed_everything(0, verbose=False)
    module, data = _Module(len(labels)), _Data(clips["train"], clips["val"], labels)
    saving = {"dirpath": out, "enable_version_counter": False, "save_on_train_epoch_end": True}
    best = MovableCheckpoint(filename="best", monitor="val/accuracy", mode="max", **saving)
    last = MovableCheckpoint(filename="last", **saving)
    trainer = lightning.Trainer(
        devices=1,
        max_epochs=epochs,
        precision=precision(),
        callbacks=[best, last, RichProgressBar()],
        logger=False,
        reload_dataloaders_every_n_epochs=1,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    resume = out / "last.ckpt"
    trainer.fit(module, data, ckpt_path=resume if resume.is_file() else None, weights_only=True)
    module.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
    module.eval()
    with torch.inference_mode():
        batches = [(module.net(features).argmax(dim=1), label)
                   for features, label in DataLoader(ClipDataset(clips["test"], labels), BATCH)]
    said, true = (torch.cat(parts) for parts in zip(*batches, strict=True))
    confusion = multiclass_confusion_matrix(said, true, len(labels)).numpy()
    return Outcome(labels, confusion)
