"""Scores of systems that heard the same bags: found and named, DCASE's, how late, by class, by direction, and paired.

A sound is found and named as in matching.py; ER20, F20, LE and LR are seld.py's, over all bags. A detection of unknown
class counts there as one of a class that never sounds. The delay of a sound that was found runs from its onset to the
end of the first window, of those that end after the onset, that reported it; computing comes on top in a live graph.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
from rich.console import Group
from rich.table import Table

from seld_overlap_ros.bags.reading import Bag
from seld_overlap_ros.config import uniform_azimuths
from seld_overlap_ros.evaluation.events import Event, wrap
from seld_overlap_ros.evaluation.events import plain as in_words
from seld_overlap_ros.evaluation.matching import Matching, match
from seld_overlap_ros.evaluation.replay import Heard, Settings, hear
from seld_overlap_ros.evaluation.scores import compare, interval95, plain
from seld_overlap_ros.evaluation.seld import SEGMENT_S, Sounding, in_frames, seld_scores
from seld_overlap_ros.models.engine import Engine

AZIMUTHS = uniform_azimuths()  # of the directions that true sounds are sorted into [rad]
LIMITS = ("found", "named", "f20", "lr")  # scores that a build may ask for: more is better
ALPHA = 0.05  # of a paired test, for the eye


@dataclass(frozen=True)
class Scored:
    """One bag with its truth, as one system heard it."""

    bag: Bag
    heard: Heard
    matching: Matching

    @property
    def delays_s(self) -> list[float]:
        """From the onset of each sound that was found to the end of the first window that reported it."""
        delays = []
        for true, heard in self.matching.pairs:
            later = [end for end in self.heard.reported_s.get(heard.id, ()) if end > true.onset_s]
            delays += [later[0] - true.onset_s] if later else []  # windows come in order
        return delays

    def hits(self, named: bool) -> list[bool]:
        """Of each true sound, by onset: whether it was found, or named."""
        right = {true.id for true, _ in (self.matching.named if named else self.matching.pairs)}
        return [event.id in right for event in self.bag.events]


def evaluate(bags: Sequence[Bag], systems: Mapping[str, Engine], settings: Settings,
             tick: Callable[[], object] = lambda: None) -> dict:
    """Let every system hear every bag -> scores and all that was heard, as plain values for JSON.

    `problems` has a sentence for each bag that cannot be scored; it counts for no system, so that all are compared on
    the same sounds. `run_time` alone depends on the machine. `tick` is called for each chunk of a bag.
    """
    heard = {name: [hear(bag, system, settings, tick) for bag in bags] for name, system in systems.items()}
    reasons = [_why_not(bag, {name: of_system[n] for name, of_system in heard.items()}) for n, bag in enumerate(bags)]
    scored = {name: [Scored(bag, one, match(bag.events, one.events))
                     for bag, one, reason in zip(bags, of_system, reasons, strict=True) if not reason]
              for name, of_system in heard.items()}
    return plain({
        "settings": asdict(settings),
        "problems": [reason for reason in reasons if reason],
        "bags": [_about(bag) for bag in bags],
        "systems": {name: _scores(scored[name]) | {"heard": [_heard(one) for one in heard[name]]} for name in systems},
        "compared": _compared(scored),
        "run_time": {name: _run_time(bags, of_system) for name, of_system in heard.items()},
    })


def _why_not(bag: Bag, heard: Mapping[str, Heard]) -> str:
    """Why a bag cannot be scored; empty if it can."""
    deaf = [name for name, one in heard.items() if not one.n_windows]
    if deaf:
        why = " ".join(heard[deaf[0]].notes) or f"{bag.duration_s:.1f} s of audio fill no window"
        return f"{bag.path.name} cannot be heard by {', '.join(deaf)}: {why}"
    return "" if bag.events is not None else f"{bag.path.name} has no ground truth and cannot be scored"


def _about(bag: Bag) -> dict:
    truth = None if bag.events is None else [event.to_json() for event in bag.events]
    return {"bag": str(bag.path), "duration_s": bag.duration_s, "notes": list(bag.notes), "truth": truth}


def _heard(heard: Heard) -> dict:
    events = [event.to_json() | {"first_reported_s": min(heard.reported_s.get(event.id, ()), default=None)}
              for event in heard.events]
    return {"n_windows": heard.n_windows, "notes": list(heard.notes), "events": events}


def _run_time(bags: Sequence[Bag], heard: Sequence[Heard]) -> dict:
    wall_s, audio_s = sum(one.wall_s for one in heard), sum(bag.duration_s for bag in bags)
    return {"wall_s": wall_s, "times_real_time": audio_s / wall_s}


def _scores(scored: Sequence[Scored]) -> dict:
    return {
        "all": numbers(scored),
        "by_bag": [{"bag": str(one.bag.path)} | numbers([one]) for one in scored],
        "by_class": _groups(scored, lambda event: event.label or "unknown"),
        "by_direction": _groups(scored, lambda event: f"{math.degrees(nearest(event.azimuth)):.0f}"),
    }


def numbers(scored: Sequence[Scored]) -> dict:
    """The scores of one system over some bags: shares in [0, 1], seconds, degrees; NaN where nothing is to be found."""
    found, named = ([hit for one in scored for hit in one.hits(named)] for named in (False, True))
    delays, seld = [delay for one in scored for delay in one.delays_s], seld_scores(*_soundings(scored))
    return {
        "n": len(found),
        "found": float(np.mean(found)) if found else math.nan,
        "found_ci95": interval95(sum(found), len(found)),
        "named": float(np.mean(named)) if named else math.nan,
        "named_ci95": interval95(sum(named), len(named)),
        "extra": sum(len(one.matching.extra) for one in scored),
        "er20": seld.error_rate,
        "f20": seld.f,
        "le_deg": math.degrees(seld.localization_error),
        "lr": seld.localization_recall,
        "delay_median_s": float(np.median(delays)) if delays else math.nan,
        "delay_p90_s": float(np.quantile(delays, 0.9)) if delays else math.nan,
    }


def _soundings(scored: Sequence[Scored]) -> tuple[Sounding, Sounding]:
    """What sounds and what is heard in which segment."""
    per_clip = max((math.ceil(one.bag.duration_s / SEGMENT_S) for one in scored), default=1)
    of_clip = [(one.bag.events, one.heard.events) for one in scored]
    labels = {label: number for number, label in enumerate(dict.fromkeys(
        event.label for events in of_clip for event in (*events[0], *events[1])))}

    def sounding(side: int) -> Sounding:
        rows = [(clip, labels[event.label], event.azimuth, event.onset_s, event.end_s)
                for clip, events in enumerate(of_clip) for event in events[side]]
        clip, label, azimuth, start, end = np.array(rows, float).reshape(-1, 5).T
        return in_frames(clip.astype(int), label.astype(int), azimuth, start, end, per_clip)

    return sounding(0), sounding(1)


def nearest(azimuth: float) -> float:
    """The direction of AZIMUTHS [rad] in which a sound is."""
    return min(AZIMUTHS, key=lambda centre: abs(wrap(azimuth - centre)))


def _groups(scored: Sequence[Scored], group: Callable[[Event], str]) -> dict[str, dict]:
    """Counts by group: true sounds, those found and named, and detections that were not there."""
    counts = defaultdict(lambda: {"n": 0, "found": 0, "named": 0, "extra": 0})
    for one in scored:
        for true in one.bag.events:
            counts[group(true)]["n"] += 1
        for what, events in (("found", [true for true, _ in one.matching.pairs]),
                             ("named", [true for true, _ in one.matching.named]), ("extra", one.matching.extra)):
            for event in events:
                counts[group(event)][what] += 1
    return {key: counts[key] for key in sorted(counts)}


def _compared(scored: Mapping[str, Sequence[Scored]]) -> list[dict]:
    """Each pair of systems on the same sounds."""
    pairs = []
    for (first, of_first), (second, of_second) in combinations(scored.items(), 2):
        for what in ("found", "named"):
            hits = [np.array([hit for one in side for hit in one.hits(what == "named")], bool)
                    for side in (of_first, of_second)]
            if len(hits[0]):
                pairs.append({"first": first, "second": second, "score": what, **asdict(compare(*hits))})
    return pairs


def read_limits(texts: Sequence[str]) -> dict[str, float]:
    """Each as in "f20=0.6" -> the least value of that score. Raises ValueError."""
    limits = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            limits[name] = float(value)
        except ValueError:
            name = ""
        if name not in LIMITS or not 0 <= limits[name] <= 1:
            raise ValueError(f"--fail-under {text!r} is no limit: write SCORE=VALUE, the score one of "
                             f"{', '.join(LIMITS)}, the value from 0 to 1, as in f20=0.6")
    return limits


def shortfalls(result: dict, limits: Mapping[str, float]) -> list[str]:
    """A sentence for each score of an `evaluate` that is below its limit, or has no value."""
    reached = {(name, score): of_system["all"][score] for name, of_system in result["systems"].items()
               for score in limits}
    return [f"{name}: {score} is {'without a value' if value is None else value}, and {limits[score]:g} is asked for"
            for (name, score), value in reached.items() if value is None or value < limits[score]]


def tables(result: dict) -> Group:
    """What an `evaluate` says, for a terminal."""
    parts = [_systems_table(result), "", _classes_table(result)]
    if result["compared"]:
        parts += ["", *(f"{pair['first']} against {pair['second']}, {pair['score']}: {pair['gain']:+.3f} "
                        f"({pair['only_first']} only by the first, {pair['only_second']} only by the second; "
                        f"p = {pair['p']:.2g}{', which may be chance' if pair['p'] >= ALPHA else ''})"
                        for pair in result["compared"])]
    return Group(*parts)


def _systems_table(result: dict) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for number, head in enumerate(("system", "sounds", "found", "named", "extra", "ER20", "F20", "LE", "LR", "delay",
                                   "speed")):
        table.add_column(head, justify="right" if number else "left", no_wrap=bool(number), overflow="fold")
    for name, of_system in result["systems"].items():
        row = of_system["all"]
        table.add_row(
            name, str(row["n"]), _shown(row["found"]), _shown(row["named"]), str(row["extra"]), _shown(row["er20"]),
            _shown(row["f20"]), _shown(row["le_deg"], "{:.1f}°"), _shown(row["lr"]),
            _shown(row["delay_median_s"], "{:.2f} s"), _shown(result["run_time"][name]["times_real_time"], "{:.1f}x"))
    return table


def _classes_table(result: dict) -> Table:
    """How many of each class were found and named by each system."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("class", no_wrap=True)
    table.add_column("sounds", justify="right")
    for name in result["systems"]:
        table.add_column(f"{name}: found, named", justify="right")
    of_systems = [of_system["by_class"] for of_system in result["systems"].values()]
    for label in sorted({label for classes in of_systems for label, counts in classes.items() if counts["n"]}):
        counts = [classes[label] for classes in of_systems]
        table.add_row(in_words(label), str(counts[0]["n"]), *(f"{one['found']}, {one['named']}" for one in counts))
    return table


def _shown(value: float | None, form: str = "{:.3f}") -> str:
    return "-" if value is None else form.format(value)
