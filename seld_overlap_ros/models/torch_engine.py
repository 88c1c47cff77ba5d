"""The networks by torch, as they were trained: what every other engine is held against."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch

from seld_overlap_ros.models.system import System, load_model


class TorchEngine:
    """An engine.Engine. Its weights lie channels last, which halves the time of SSL and SSC."""

    batches = (1,)  # as for any other

    def __init__(self, system: System) -> None:
        self.system = system.eval().to(memory_format=torch.channels_last)
        self.config = system.config
        self.title = f"torch {torch.__version__} in f32"

    @classmethod
    def load(cls, name_or_path: str | Path, networks: Collection[str] | None) -> TorchEngine:
        """See engine.load_engine.

        One core is left to the audio and to others: torch's threads wait for each other by spinning. On two cores
        beside one busy process, a window of eight sounds took 2.5 s with two threads and 0.6 s with one.
        """
        beside_others = max(1, len(os.sched_getaffinity(0)) - 1)
        torch.set_num_threads(min(beside_others, torch.get_num_threads()))  # fewer where OMP_NUM_THREADS says so
        return cls(load_model(name_or_path, networks))

    @torch.inference_mode()
    def localize(self, features: np.ndarray) -> np.ndarray:
        """(2M-1, F, T) -> (D,)."""
        return self.system.localize(torch.from_numpy(features)[None])[0].numpy()

    @torch.inference_mode()
    def separate(self, features: np.ndarray, gains: np.ndarray, number: int | None = None) -> np.ndarray:
        """(2M-1, F, T) and (K, D) -> (K, F, T)."""
        x = torch.from_numpy(features).expand(len(gains), -1, -1, -1)  # (K, 2M-1, F, T)
        separate = self.system.separate if number is None else self.system.sss[number]
        return separate(x, torch.from_numpy(gains)).numpy()

    @torch.inference_mode()
    def classify(self, log_mag: np.ndarray) -> np.ndarray:
        """(K, F, T) -> (K, C)."""
        return torch.softmax(self.system.ssc(torch.from_numpy(log_mag)), dim=1).numpy()
