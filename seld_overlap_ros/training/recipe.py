"""How a system is trained: read from a small YAML file whose numbers carry their reasons."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import yaml

STAGES = ("ssl", "sss", "ssc", "ssl_sss", "sss_ssc", "overlap")


@dataclass(frozen=True)
class StageRecipe:
    """One stage: epochs, highest learning rate (one cycle, Adam) and items a step."""

    epochs: int
    learning_rate: float
    batch: int


@dataclass(frozen=True)
class Recipe:
    """All stages, and the weight of each loss where a stage has more than one."""

    name: str
    width: float
    separation_weight: float  # of the separation's squared error beside the class's cross-entropy
    localization_weight: float  # of the direction's cross-entropy in the joint stages
    empty_query: float  # share of queries for a direction without a sound, target 0
    stages: dict[str, StageRecipe]
    labels: tuple[str, ...] = ()  # classes to mix; without them, all that there are

    def to_dict(self) -> dict:
        """Plain values, for the training record."""
        return asdict(self)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises ValueError with one sentence that names what is missing or unknown."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"no recipe {path}: give a shipped name, such as first, or a YAML file ({error})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path.name}: a recipe is a YAML mapping of {', '.join(f.name for f in fields(Recipe))}")
    try:
        stages = {stage: StageRecipe(**values["stages"][stage]) for stage in STAGES}
        labels = tuple(map(str, values.get("labels", ())))
        return Recipe(**{**values, "name": path.stem, "labels": labels, "stages": stages})
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path.name}: missing or unknown entry ({error})") from error
