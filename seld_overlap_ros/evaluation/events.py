"""A sound event as people read it in a file: where, what and when, on a scene's own clock."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

LONGEST = 60  # letters of a label that are shown
FLOAT32_DEG = 1e-4  # more than what an azimuth loses as a float32


@dataclass(frozen=True)
class Event:
    """One sound, true or heard."""

    id: int
    azimuth: float  # [rad], counter-clockwise about +z from +x
    label: str | None  # None: something, class unknown
    onset_s: float  # from the first sample of the scene
    duration_s: float
    score: float = 1.0  # probability of the likeliest class, [0, 1]; 1 for the truth

    def __post_init__(self) -> None:
        numbers = (self.azimuth, self.onset_s, self.duration_s, self.score)
        if not 0 <= self.id < 2**64:
            raise ValueError(f"an event needs an id from 0 to 2^64 - 1, got {self.id}")
        if not all(math.isfinite(number) for number in numbers) or self.duration_s < 0:
            raise ValueError(f"an event needs finite numbers and a duration of at least 0 s, got {self}")

    @property
    def end_s(self) -> float:
        """First moment after the sound [s]."""
        return self.onset_s + self.duration_s

    @property
    def azimuth_deg(self) -> float:
        """Azimuth in (-180, 180], for people. Of a float32, as messages carry it, pi lies a little beyond pi."""
        degrees = math.degrees(wrap(self.azimuth))
        return degrees if degrees > -180 + FLOAT32_DEG else degrees + 360

    def to_json(self) -> dict:
        """The entry of `events.json`: degrees and seconds, rounded to what can be read off."""
        return {
            "id": self.id,
            "azimuth_deg": round(self.azimuth_deg, 1),
            "label": self.label,
            "score": round(self.score, 3),
            "onset_s": round(self.onset_s, 3),
            "duration_s": round(self.duration_s, 3),
        }

    @classmethod
    def from_json(cls, entry: dict) -> Event:
        """The reverse of `to_json`; a truth need not have a score. Raises ValueError that says what is wrong."""
        try:
            return cls(
                id=int(entry["id"]),
                azimuth=math.radians(float(entry["azimuth_deg"])),
                label=None if entry["label"] is None else str(entry["label"]),
                onset_s=float(entry["onset_s"]),
                duration_s=float(entry["duration_s"]),
                score=float(entry.get("score", 1.0)),
            )
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"event is incomplete or malformed: {error!r} in {entry!r}") from error


def plain(label: str | None) -> str:
    """A label for people: one line of what can be printed, as labels of messages come from others."""
    return "unknown" if label is None else printable(label)[:LONGEST].replace("_", " ")


def printable(text: str) -> str:
    """A text from others, without what would steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def printable_lines(text: str) -> str:
    """The same of a text of several lines, which it keeps."""
    return "\n".join(map(printable, text.splitlines()))


def wrap(angle: float) -> float:
    """Angle [rad] in (-pi, pi]."""
    return math.pi - (math.pi - angle) % (2 * math.pi)


def write_events(path: Path, events: Iterable[Event], more: Mapping[int, dict] | None = None) -> None:
    """Write a JSON list, in order of onset. `more`: id -> what else an entry says."""
    ordered = sorted(events, key=lambda event: (event.onset_s, event.id))
    entries = [event.to_json() | (more or {}).get(event.id, {}) for event in ordered]
    text = json.dumps(entries, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
