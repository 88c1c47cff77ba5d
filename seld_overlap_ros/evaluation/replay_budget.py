"""Where a system loses sounds, stage by stage.

Each true sound is looked at in the window that holds the most of it, the middle one of several. What was not named as
an event was lost
- by SSL, if its direction was not asked there;
- by SSC, if it names even the clean sound wrongly (a class that the model does not know included);
- by SSS, if SSC names the clean sound rightly, and what was separated wrongly;
- by one of these two, where the bag has no stem of the sound to tell;
- by the tracks, if that window named it rightly, and the event that was made of it and its neighbours did not.

A sound of which no window holds anything is lost by no stage, and left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from seld_overlap_ros.dsp.features import log_magnitude
from seld_overlap_ros.dsp.stft import stft
from seld_overlap_ros.evaluation.events import Event, wrap
from seld_overlap_ros.evaluation.matching import Matching
from seld_overlap_ros.evaluation.recording import Track
from seld_overlap_ros.evaluation.replay import Look
from seld_overlap_ros.models.engine import Engine

LOST = ("tracks", "class", "separation", "class or separation", "direction")  # from the last stage to the first
NAMED = "named"


def budget(matching: Matching, looks: Sequence[Look], stems: Mapping[int, Track], engine: Engine) -> dict[int, str]:
    """Each true sound, by its id -> NAMED, or which of LOST it was lost by."""
    named = {true.id for true, _ in matching.named}
    window_s = engine.config.front_end.window_s
    truth = [true for true in (*(true for true, _ in matching.pairs), *matching.missed)
             if any(true.onset_s < look.start_s + window_s and true.end_s > look.start_s for look in looks)]
    return {true.id: NAMED if true.id in named else _lost(true, fullest(true, looks, window_s), stems, engine)
            for true in truth}


def fullest(event: Event, looks: Sequence[Look], window_s: float) -> Look:
    """The window that holds the most of a sound, the middle one of several."""
    held = [round(min(event.end_s, look.start_s + window_s) - max(event.onset_s, look.start_s), 6) for look in looks]
    longest = max(held)
    most = [look for look, seconds in zip(looks, held, strict=True) if seconds == longest]
    return most[len(most) // 2]


def _lost(event: Event, look: Look, stems: Mapping[int, Track], engine: Engine) -> str:
    config = engine.config
    direction = min(range(len(config.azimuths)), key=lambda d: abs(wrap(event.azimuth - config.azimuths[d])))
    if direction not in look.said:
        return "direction"
    if event.label not in config.labels:
        return "class"
    right = config.labels.index(event.label)
    if look.said[direction] == right:
        return "tracks"
    if event.id not in stems:
        return "class or separation"
    first = round(look.start_s * config.front_end.sample_rate)
    clean = stems[event.id].between(first, first + config.front_end.window_samples)
    said = engine.classify(log_magnitude(stft(clean, config.front_end))[None])[0].argmax()
    return "separation" if said == right else "class"


def shares(lost: Sequence[Mapping[int, str]]) -> dict[str, int]:
    """How many sounds of several bags were named, and how many were lost by what."""
    counts = Counter(reason for of_bag in lost for reason in of_bag.values())
    return {reason: counts[reason] for reason in (NAMED, *LOST)}
