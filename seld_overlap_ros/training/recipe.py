"""How systems are trained: read from a small YAML file whose numbers carry their reasons."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path

import yaml

SHIPPED = Path(str(resources.files("seld_overlap_ros"))) / "training" / "recipes"
LOSSES = ("entropy", "squared")


@dataclass(frozen=True)
class StageRecipe:
    """One stage: passes over the mixtures, highest learning rate (Adam) and items a step over all processes."""

    epochs: int
    learning_rate: float
    batch: int
    fresh: bool = False  # other mixtures in every pass, as many as are stored, and varied (`simulation/fresh.py`)
    turned: bool = False  # the array turned to a random one of its directions in each stored mixture; only of SSL
    coloured: float = 0.0  # [dB] standard deviation of a smooth random frequency response of all microphones
    masked: float = 0.0  # share of bins and of frames blanked at most in the training features (SpecAugment)

    def __post_init__(self) -> None:
        _check(self, {"epochs": (1, None), "batch": (1, None), "learning_rate": (0, 1), "coloured": (0, 60),
                      "masked": (0, 0.9)})


@dataclass(frozen=True)
class Recipe:
    """The losses, the weight of each where a stage has more than one, and every stage's numbers."""

    name: str
    width: float
    separation_weight: float  # of the separation's squared error beside the class's loss
    localization_weight: float  # of the direction's loss in the joint stages
    empty_query: float  # share of queries for a direction without a sound, target 0
    stages: dict[str, StageRecipe]
    loss: str = "entropy"  # of classes and directions: cross-entropy, or the paper's mean square error
    magnitude_weight: float = 0.0  # of the error of the compressed magnitude, beside that of the log magnitude
    one_cycle: bool = True  # the learning rate rises and falls (Smith 2018); false: constant, as the paper
    smoothing: float = 0.0  # share of a class label that is spread over all classes
    mel_bands: int = 0  # that SSC sees the spectrum in; 0: the paper's SSC
    steered: bool = False  # SSS sees how each bin sounds from the asked direction on; false: the paper's map
    labels: tuple[str, ...] = ()  # classes to mix; without them, all that there are
    mixtures: int = 0  # the first so many stored ones are learnt from; 0: all

    def __post_init__(self) -> None:
        _check(self, {"width": (1e-3, 16), "separation_weight": (0, None), "localization_weight": (0, None),
                      "magnitude_weight": (0, None), "empty_query": (0, 0.99), "smoothing": (0, 0.99),
                      "mel_bands": (0, None), "mixtures": (0, None)})
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {self.loss!r}")
        if any(own.turned for stage, own in self.stages.items() if stage != "ssl"):
            raise ValueError("turned is for the stage ssl: stored mixtures hold the sources as one microphone alone "
                             "hears them; fresh ones are turned anyway")

    def fresh(self, stages: Iterable[str]) -> bool:
        """Whether one of these stages asks for fresh mixtures."""
        return any(self.stages[stage].fresh for stage in stages if stage in self.stages)

    def to_dict(self) -> dict:
        """Plain values, for the training record."""
        return asdict(self)


def _check(recipe: Recipe | StageRecipe, limits: dict[str, tuple[float, float | None]]) -> None:
    """Raises ValueError for an entry of another type than its field's, or beyond the limits (None: without one)."""
    kinds = {"int": "a whole number", "float": "a number, with a point if it has an exponent (2.0e-3)",
             "bool": "true or false"}  # fmt: skip
    for field in fields(recipe):
        value, kind = getattr(recipe, field.name), str(field.type)
        fits = {"int": type(value) is int, "float": type(value) in (int, float), "bool": type(value) is bool}
        if not fits.get(kind, True):
            raise ValueError(f"{field.name} must be {kinds[kind]}, got {value!r}")
        low, high = limits.get(field.name, (None, None))
        if low is not None and not low <= value <= (math.inf if high is None else high):
            raise ValueError(f"{field.name} must be {low:g} or more{'' if high is None else f', up to {high:g}'}, got "
                             f"{value!r}")


def load_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises ValueError with one sentence that names what is missing or unknown.

    `base: NAME` takes all that is not given, of the stages too, from NAME.yaml in the same folder, or the shipped one.
    """
    values = _values(path, ())
    try:
        stages = {stage: StageRecipe(**numbers) for stage, numbers in values["stages"].items()}
        labels = values.get("labels", ())
        if not isinstance(labels, (list, tuple)):
            raise TypeError(f"labels must be a list, got {labels!r}")
        if odd := [label for label in labels if not isinstance(label, str)]:
            raise TypeError(f"labels must be texts, got {odd[0]!r}: put the names into quotes")
        return Recipe(**{**values, "name": path.stem, "labels": tuple(labels), "stages": stages})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path.name}: missing or unknown entry ({error})") from error


def _values(path: Path, above: tuple[Path, ...]) -> dict:
    """What a recipe and its base say; `above`: the recipes that it is the base of."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"no recipe {path}: give a shipped name, such as mini, or a YAML file ({error})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path.name}: a recipe is a YAML mapping of {', '.join(f.name for f in fields(Recipe))}")
    stages = values.get("stages") or {}
    if not isinstance(stages, dict) or not all(isinstance(own or {}, dict) for own in stages.values()):
        raise ValueError(f"{path.name}: stages must be a mapping, and each of them one too, such as ssl: {{epochs: 5}}")
    if "base" not in values:
        return values
    name = f"{values.pop('base')}.yaml"
    base = path.parent / name if (path.parent / name).is_file() else SHIPPED / name
    if base in (path, *above):
        raise ValueError(f"{path.name} is its own base: name another recipe, such as mini")
    base = _values(base, (path, *above))
    below = base.get("stages") or {}
    merged = {name: {**(below.get(name) or {}), **(stages.get(name) or {})} for name in {**below, **stages}}
    return base | values | {"stages": merged}
