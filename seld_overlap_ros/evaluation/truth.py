"""What a scene's own file says about it: every sound that is in it, and where the recordings come from."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from seld_overlap_ros.evaluation.events import Event, plain


@dataclass(frozen=True)
class Simulated:
    """What is known of a scene that was simulated."""

    room_size: tuple[float, float, float]  # [m]
    t60_s: float  # reverberation time of the room
    snr_db: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for number in (*self.room_size, self.t60_s, self.snr_db)):
            raise ValueError("room and snr_db need finite numbers")


@dataclass(frozen=True)
class Truth:
    """The truth of a scene, as `simulation.scene.write_scene` and `data import dcase` leave it beside the sound."""

    title: str
    simulated: Simulated | None  # None: recorded
    events: tuple[Event, ...]
    credits: tuple[str, ...]  # a line for each recording: what it is, its source and its licence

    def in_words(self) -> str:
        """What was played, as a sentence for people."""
        n_classes = len({event.label for event in self.events})
        sounds = f"{len(self.events)} sounds of {n_classes} classes"
        if self.simulated is None:
            return f"{sounds}, recorded."
        size = " × ".join(f"{side:.1f}" for side in self.simulated.room_size)
        return (f"{sounds} in a simulated room of {size} m with a reverberation of {self.simulated.t60_s:.2f} s, "
                f"over background noise at {self.simulated.snr_db:.0f} dB SNR.")


def stem_file(sound: Path, event_id: int) -> Path:
    """Where a scene's file has one of its sounds as microphone 0 hears it alone, from time 0 of the scene on."""
    return sound.with_suffix(".stems") / f"{event_id}.flac"


def load_truth(path: Path) -> Truth:
    """Read {title, room: {size_m, t60_s}, snr_db, events, noise}. Raises ValueError that says what is wrong.

    A scene without a room was recorded.

    An event has what `Event.from_json` reads; it and each entry of noise has a source, a licence and maybe an author.
    """
    try:
        truth = _truth(json.loads(path.read_text(encoding="utf-8")))
    except KeyError as error:
        raise ValueError(f"{path} is no scene: it lacks {error}") from error
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} is no scene: {error}") from error
    if len({event.id for event in truth.events}) != len(truth.events):
        raise ValueError(f"{path} is no scene: each event needs an id of its own")
    return truth


def _truth(scene: dict) -> Truth:
    credits = [_credit(entry["label"], entry) for entry in scene["events"]]
    credits += [_credit("background noise", entry) for entry in scene["noise"]]
    return Truth(
        title=str(scene["title"]),
        simulated=_simulated(scene) if "room" in scene else None,
        events=tuple(Event.from_json(entry) for entry in scene["events"]),
        credits=tuple(dict.fromkeys(credits)),
    )


def _simulated(scene: dict) -> Simulated:
    width, depth, height = (float(side) for side in scene["room"]["size_m"])
    return Simulated((width, depth, height), float(scene["room"]["t60_s"]), float(scene["snr_db"]))


def _credit(what: str | None, entry: dict) -> str:
    author = f" by {entry['author']}" if entry.get("author") else ""
    return f"{plain(what)}: {entry['source']}{author} ({entry['licence']})"
