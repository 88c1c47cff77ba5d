"""What computes the networks: one interface, numpy in and numpy out, and one door to it.

Letters as everywhere: F bins, T frames, D directions, K asked directions of one window (there may be none), C classes.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from seld_overlap_ros.config import SystemConfig

AUTO = "auto"
ENGINES = (AUTO, "torch")


class EngineError(ValueError):
    """An engine that is not there; the message says which would do."""


class Engine(Protocol):
    """A trained system, ready to compute."""

    config: SystemConfig
    title: str  # what it is, for a log

    def localize(self, features: np.ndarray) -> np.ndarray:
        """Features (2M-1, F, T) -> probability of a sound per direction (D,)."""

    def separate(self, features: np.ndarray, gains: np.ndarray, number: int | None = None) -> np.ndarray:
        """Features (2M-1, F, T) and the query rule's gains (K, D) -> separated log magnitude (K, F, T).

        What SSS `number` separates, or what all of them do and the gate makes of it.
        """

    def classify(self, log_mag: np.ndarray) -> np.ndarray:
        """Log magnitude of each source (K, F, T) -> probability per class (K, C)."""


def load_engine(
    name_or_path: str | Path, engine: str = AUTO, networks: Collection[str] | None = None, threads: int | None = None
) -> Engine:
    """A shipped model's name or a file -> what computes it. Raises CheckpointError, and EngineError.

    `engine`: one of ENGINES; `auto` is the fastest that is installed. `networks`: those of layout.network_names that
    will be used, all without it. `threads`: how many may compute; as many as there are cores without it.
    """
    if engine not in ENGINES:
        raise EngineError(f"no engine {engine!r}; there is {', '.join(ENGINES)}")
    if not find_spec("torch"):
        raise EngineError("no torch for this Python: pip install torch")
    from seld_overlap_ros.models.torch_engine import TorchEngine

    return TorchEngine.load(name_or_path, networks, threads)
