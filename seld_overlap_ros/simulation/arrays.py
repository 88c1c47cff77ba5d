"""Microphone arrays from small YAML files: positions in metres, and how many directions to tell apart."""

from __future__ import annotations

import operator
from pathlib import Path

import numpy as np
import yaml

from seld_overlap_ros.config import MicrophoneArray, uniform_azimuths
from seld_overlap_ros.simulation.mixture import MAX_SOURCES

FARTHEST = 0.5  # [m] from the centre; sources begin at 0.7 m
THINNEST = 1e-3  # [m] spread of the positions across a line


def load_array(path: Path) -> tuple[MicrophoneArray, tuple[float, ...]]:
    """Read an array -> microphones, and the centre of each direction [rad]. Raises ValueError with one sentence."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        positions = tuple(tuple(float(c) for c in position) for position in values["positions"])
        directions = operator.index(values["directions"])
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(
            f"{path.name}: an array needs `positions`, a list of [x, y, z] [m], and `directions`, whole ({error})"
        ) from error
    except OSError as error:
        raise ValueError(f"no array {path.name}: give a shipped name, or a YAML file of the same form") from error
    if directions <= MAX_SOURCES:
        raise ValueError(f"{path.name}: at least {MAX_SOURCES + 1} directions are needed, got {directions}: a mixture "
                         f"has up to {MAX_SOURCES} sounds, each in its own, and training asks one without too")
    array = MicrophoneArray(positions)
    places = np.array(array.positions)
    if np.linalg.norm(places, axis=1).max() > FARTHEST:
        raise ValueError(f"{path.name}: a microphone lies more than {FARTHEST:g} m from the centre: are the positions "
                         "in metres, and those of the array's own frame?")
    if np.linalg.svd((places - places.mean(axis=0))[:, :2], compute_uv=False)[-1] < THINNEST:
        raise ValueError(f"{path.name}: seen from above the microphones lie in a line, and to them one side sounds "
                         "like the other: put one beside it")
    return array, uniform_azimuths(directions)
