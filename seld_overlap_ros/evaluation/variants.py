"""A trained `overlap` without one of its parts: what the gate, each SSS and the soft direction map are worth.

Nothing is trained for them; they are `overlap`'s weights, asked otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from seld_overlap_ros.models.engine import Engine

Separate = Callable[[Engine, np.ndarray, np.ndarray], np.ndarray]  # engine, features, gains (K, D) -> (K, F, T)


def _mean(engine: Engine, features: np.ndarray, gains: np.ndarray) -> np.ndarray:
    return (engine.separate(features, gains, 0) + engine.separate(features, gains, 1)) / 2


def _hard(engine: Engine, features: np.ndarray, gains: np.ndarray) -> np.ndarray:
    return engine.separate(features, (gains > 0).astype(np.float32))


VARIANTS: dict[str, Separate] = {
    "gate off, mean of both SSS": _mean,
    "SSS of SSL+SSS alone": lambda engine, features, gains: engine.separate(features, gains, 0),
    "SSS of SSS+SSC alone": lambda engine, features, gains: engine.separate(features, gains, 1),
    "hard direction map": _hard,
}


class Variant:
    """An engine whose system separates as one of VARIANTS does."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.config, self.batches = engine.config, engine.batches
        self.title = f"{engine.title}, {name}"
        self.localize, self.classify = engine.localize, engine.classify
        self._engine, self._separate = engine, VARIANTS[name]

    def separate(self, features: np.ndarray, gains: np.ndarray, number: int | None = None) -> np.ndarray:
        """As Engine.separate. Raises ValueError for one SSS alone, of which there are no variants."""
        if number is not None:
            raise ValueError("a variant is of the whole separation")
        return self._separate(self._engine, features, gains)
