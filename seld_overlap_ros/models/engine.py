"""What computes the networks: one interface, numpy in and numpy out, and one door to it.

Letters as everywhere: F bins, T frames, D directions, C classes, K directions that are asked in one window (or none).
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.models.layout import network_names

AUTO = "auto"
DEFAULT_MODEL = "plus"  # of the shipped ones: what finds, separates and names most (docs/results.md)
MODULES = {"openvino": "openvino", "openvino_f32": "openvino", "torch": "torch"}  # what they need; the fastest first
ENGINES = (AUTO, *MODULES)


class EngineError(ValueError):
    """An engine that is not there; the message says which would do."""


class Engine(Protocol):
    """A trained system, ready to compute."""

    config: SystemConfig
    title: str  # what it is, and how exact, for a log
    batches: Sequence[int]  # numbers of directions that it computes together, and gets ready for when they first come

    def localize(self, features: np.ndarray) -> np.ndarray:
        """Features (2M-1, F, T) -> probability of a sound per direction (D,)."""

    def separate(self, features: np.ndarray, gains: np.ndarray, number: int | None = None) -> np.ndarray:
        """Features (2M-1, F, T) and the query rule's gains (K, D) -> separated log magnitude (K, F, T).

        What SSS `number` separates; without it what all do that the system has, and the gate makes of it.
        """

    def classify(self, log_mag: np.ndarray) -> np.ndarray:
        """Log magnitude of each source (K, F, T) -> probability per class (K, C)."""


def load_engine(name_or_path: str | Path, engine: str = AUTO, networks: Collection[str] | None = None) -> Engine:
    """A shipped model's name or a file -> what computes it. Raises CheckpointError, and EngineError.

    `engine`: one of ENGINES; `auto` is the fastest that is installed, and openvino_f32 does without 16-bit arithmetic.
    `networks`: those of layout.network_names that will be used; all without it.
    """
    chosen = choose(engine)
    if chosen == "torch":
        from seld_overlap_ros.models.torch_engine import TorchEngine

        return TorchEngine.load(name_or_path, networks)
    # With this package beside it, openvino tells Google Analytics whenever it is imported. A robot tells nobody.
    sys.modules.setdefault("openvino_telemetry", None)
    from seld_overlap_ros.models.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(name_or_path, networks, exact=chosen == "openvino_f32")


def choose(engine: str) -> str:
    """The engine of that name, or for `auto` the fastest that is installed. Raises EngineError."""
    if engine not in ENGINES:
        raise EngineError(f"no engine {engine!r}; there is {', '.join(ENGINES)}")
    there = [name for name, module in MODULES.items() if engine in (AUTO, name) and find_spec(module)]
    if not there:
        missing = "openvino" if engine == AUTO else MODULES[engine]
        raise EngineError(f"no {missing} for this Python, which the engine {engine} needs: pip install {missing}")
    return there[0]


def warm_up(engine: Engine, networks: Collection[str] | None = None) -> None:
    """Let an engine compute with each of its networks, or with those, as the first time takes longest."""
    config = engine.config
    names = network_names(config) if networks is None else networks
    numbers = [n for n in range(config.n_sss) if f"sss.{n}" in names]
    plane = (config.front_end.n_bins, config.front_end.n_frames)
    features = np.zeros((config.n_features, *plane), np.float32)
    if "ssl" in names:
        engine.localize(features)
    for k in engine.batches:
        if numbers:
            gains = np.zeros((k, len(config.azimuths)), np.float32)
            engine.separate(features, gains, None if len(numbers) == config.n_sss else numbers[0])
        if "ssc" in names:
            engine.classify(np.zeros((k, *plane), np.float32))
