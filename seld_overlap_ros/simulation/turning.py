"""Turns of an array about its axis after which it looks the same, and so do its directions.

The paper's eight microphones and eight directions have eight of them: rolling the channels by one turns every azimuth
by 45 degrees, exactly. A simulated room heard by the turned array is a room that the bank need not hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from seld_overlap_ros.config import MicrophoneArray

SAME_PLACE = 2e-4  # [m], far below a wavelength: arrays are written down in tenths of a millimetre
SAME_DIRECTION = 1e-6  # [rad]


@dataclass(frozen=True)
class Turn:
    """The array turned clockwise by `angle`, so that every source is seen further counter-clockwise by it."""

    angle: float  # [rad]
    microphones: tuple[int, ...]  # (M,) whose signal microphone m of the turned array hears
    directions: tuple[int, ...]  # (D,) which direction a source in direction d is seen in


@lru_cache(maxsize=8)
def turns(array: MicrophoneArray, azimuths: tuple[float, ...]) -> tuple[Turn, ...]:
    """Every such turn for the centres of the directions (D,) [rad]; the first one is none at all."""
    positions, steps = np.array(array.positions), len(azimuths)
    found = []
    for angle in (2 * math.pi * k / steps for k in range(steps)):
        cos, sin = math.cos(angle), math.sin(angle)
        clockwise = positions @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])  # where they come to lie
        apart = np.linalg.norm(clockwise[:, None] - positions[None], axis=-1)  # (M, M)
        seen = np.array(azimuths)[:, None] + angle - np.array(azimuths)[None]  # (D, D)
        turned = np.abs(np.remainder(seen + math.pi, 2 * math.pi) - math.pi)
        if apart.min(axis=1).max() < SAME_PLACE and turned.min(axis=1).max() < SAME_DIRECTION:
            found.append(Turn(angle, tuple(apart.argmin(axis=1).tolist()), tuple(turned.argmin(axis=1).tolist())))
    return tuple(found)
