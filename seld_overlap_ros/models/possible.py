"""A system that is told which of its classes can occur where it listens: no farm animals in a workshop."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np

from seld_overlap_ros.models.engine import Engine

FEW = 20  # names that a line of a log bears
LEAST = np.finfo(np.float32).tiny  # scores may be 0 to the last bit, and must add up to 1 all the same


class Possible:
    """An engine whose scores of the other classes go to those that can occur: p_c / (their sum), by Bayes' rule."""

    def __init__(self, engine: Engine, text: str = "") -> None:
        """`text`: a list of classes such as "door, dog_bark"; empty: all. Raises ValueError for what is no class."""
        self.config, self.title, self.batches = engine.config, engine.title, engine.batches
        self.localize, self.separate = engine.localize, engine.separate
        classes = read_classes(text, engine.config.labels)
        self.classes_in_words = ", ".join(classes) if len(classes) <= FEW else f"{len(classes)} classes"  # for a log
        self._engine, self._possible = engine, np.isin(engine.config.labels, classes)  # (C,)

    def classify(self, log_mag: np.ndarray) -> np.ndarray:
        """As of an Engine: (K, F, T) -> (K, C), with 0 for what cannot occur."""
        scores = self._engine.classify(log_mag)
        if self._possible.all():
            return scores
        scores = np.where(self._possible, np.maximum(scores, LEAST), 0)
        return scores / scores.sum(axis=1, keepdims=True)


def read_classes(text: str, labels: Sequence[str]) -> tuple[str, ...]:
    """Names from a list such as "door, dog_bark"; of an empty one, all `labels`. Raises ValueError."""
    names = tuple(filter(None, (name.strip() for name in text.split(","))))
    for name in names:
        if name not in labels:
            near = get_close_matches(name, labels, n=1)
            which = f"did you mean {near[0]}?" if near else f"it knows {', '.join(labels)}"
            raise ValueError(f"classes: {name!r} is no class of the model; {which}")
    return names or tuple(labels)
