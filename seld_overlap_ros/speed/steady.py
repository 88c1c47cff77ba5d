"""Systems that ask as many directions as they are told, whatever sounds, and the audio that they are timed on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch

from seld_overlap_ros.config import FrontEnd, SystemConfig
from seld_overlap_ros.graphs import FULL_NODE
from seld_overlap_ros.models.system import System, load_model, save_model
from seld_overlap_ros.streaming.sources import find_scene

STEP = 2.0  # from one direction's logit to the next: more than what a direction that is known already is spared
N_DIRECTIONS = 8
DEFAULT_HOP_S = next(parameter.default for parameter in FULL_NODE.parameters if parameter.name == "hop")
RATE = FrontEnd().sample_rate  # [Hz] of the shipped scene


def steady(system: System) -> System:
    """Let SSL say the same of every window: of 8 directions, each a little less likely than the one before.

    All else, and the cost of SSL too, stays as it was. With `threshold_for(k)` just k directions are asked then.
    """
    last = system.ssl.layers[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(STEP * torch.arange((N_DIRECTIONS - 1) / 2, -N_DIRECTIONS / 2, -1))
    return system


def threshold_for(k: int) -> float:
    """The direction threshold with which a steady system asks k directions."""
    return 1 / (1 + float(np.exp(-STEP * (N_DIRECTIONS / 2 - k))))


def save_steady(path: Path, model: str | SystemConfig) -> Path:
    """Write a steady system: a trained one, or one of random weights."""
    torch.manual_seed(0)
    save_model(path, steady(load_model(model) if isinstance(model, str) else System(model)), {})
    return path


def scene_samples(n_microphones: int) -> np.ndarray:
    """The shipped scene (M, n), its channels again and again where there are more microphones."""
    samples = soundfile.read(find_scene("demo"), dtype="float32")[0].T
    return np.ascontiguousarray(samples[np.arange(n_microphones) % len(samples)])


def four_microphones() -> np.ndarray:
    """A window of the shipped scene (4, n), from every second of its microphones."""
    front_end = FrontEnd()
    return scene_samples(8)[::2, -front_end.window_samples :].copy()


def scene_windows(config: SystemConfig, hop_s: float = DEFAULT_HOP_S) -> list[np.ndarray]:
    """The windows (M, window_samples) of the shipped scene, as a node cuts them."""
    samples, front_end = scene_samples(config.array.n_microphones), config.front_end
    starts = range(0, samples.shape[1] - front_end.window_samples + 1, front_end.whole_hops(hop_s))
    return [samples[:, start : start + front_end.window_samples].copy() for start in starts]
