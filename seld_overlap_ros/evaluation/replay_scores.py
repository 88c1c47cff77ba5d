"""Scores of systems that heard the same bags: found and named, DCASE's, separation, how late, in groups, and paired.

A sound is found and named as in matching.py; ER20, F20, LE and LR are seld.py's, over all bags. A detection of unknown
class counts there as one of a class that never sounds. The delay of a sound that was found runs from its onset to the
end of the first window, of those that end after the onset, that reported it; computing comes on top in a live graph.
The paper's count asks for one sound a mixture: here for one in each stretch of a window's length in which any begins.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations

import numpy as np
from scipy.stats import wilcoxon

from seld_overlap_ros.bags.reading import Bag
from seld_overlap_ros.config import FrontEnd, uniform_azimuths
from seld_overlap_ros.evaluation.events import Event, wrap
from seld_overlap_ros.evaluation.matching import Matching, match
from seld_overlap_ros.evaluation.replay import Heard, Settings
from seld_overlap_ros.evaluation.replay_budget import budget, shares
from seld_overlap_ros.evaluation.replay_separation import capi_sdri_of_clips, si_sdr_gains
from seld_overlap_ros.evaluation.scores import compare, interval95, mean, plain
from seld_overlap_ros.evaluation.seld import SEGMENT_S, Sounding, in_frames, seld_scores
from seld_overlap_ros.models.engine import Engine
from seld_overlap_ros.simulation.rooms import scene_rng

AZIMUTHS = uniform_azimuths()  # of the directions that true sounds are sorted into [rad]
STRETCH_S = FrontEnd().window_s  # the length of the paper's mixtures
SHARES = ("found", "named", "f20", "lr")  # scores from 0 to 1 that a build may ask for: more is better
LIMITS = (*SHARES, "per_1000", "si_sdri", "capi_sdri")  # and those that are no shares


@dataclass(frozen=True)
class Scored:
    """One bag with its truth, as one system heard it. Dicts are by the ids of true sounds."""

    bag: Bag
    heard: Heard
    matching: Matching
    si_sdri: Mapping[int, float] = field(default_factory=dict)  # [dB], of sounds that were found and have a stem
    capi_sdri: Sequence[float] = ()  # [dB], clip by clip
    lost: Mapping[int, str] | None = None  # what each sound was lost by; None: not known

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

    def gains(self) -> list[float]:
        """Of each true sound, by onset: SI-SDR improvement [dB]; NaN where there is none."""
        return [self.si_sdri.get(event.id, math.nan) for event in self.bag.events]


def score(bags: Sequence[Bag], heard: Mapping[str, Sequence[Heard]], settings: Settings,
          systems: Mapping[str, Engine]) -> dict:
    """What each system heard of each bag -> scores and all that was heard, as plain values for JSON.

    `systems` say what sounds were lost by; one that is not among them gets no such account.
    `problems` has a sentence for each bag that cannot be scored, or that a system could not hear: it counts for the
    others then. Systems are compared on the bags that both heard, so on the same sounds. `run_time` depends on the
    machine, and the rest on it as far as engines differ.
    """
    problems = [_problem(bag, {name: of_system[n] for name, of_system in heard.items()}) for n, bag in enumerate(bags)]
    of_bags = {name: [_scored(bag, one, systems.get(name)) if one.n_windows and bag.events is not None else None
                      for bag, one in zip(bags, of_system, strict=True)] for name, of_system in heard.items()}
    scored = {name: [one for one in of_system if one] for name, of_system in of_bags.items()}
    return plain({
        "settings": asdict(settings),
        "problems": [problem for problem in problems if problem],
        "bags": [_about(bag) for bag in bags],
        "systems": {name: _scores(scored[name]) | {"heard": list(map(_heard, of_system, of_bags[name]))}
                    for name, of_system in heard.items()},
        "compared": _compared(of_bags),
        "run_time": {name: _run_time(bags, of_system) for name, of_system in heard.items()},
    })


def _scored(bag: Bag, heard: Heard, engine: Engine | None) -> Scored:
    matching, mixture = match(bag.events, heard.events, heard.half_sector), heard.mixture
    alone = bag.stems(mixture.sample_rate) if mixture else {}
    lost = budget(matching, heard.looks, alone, engine) if engine and heard.looks else None
    if not alone:
        return Scored(bag, heard, matching, lost=lost)
    gains = si_sdr_gains(matching, alone, mixture, heard.separated)
    clips = capi_sdri_of_clips(bag.events, alone, heard.events, heard.separated, mixture, bag.duration_s)
    return Scored(bag, heard, matching, gains, clips, lost)


def _problem(bag: Bag, heard: Mapping[str, Heard]) -> str:
    """Why a bag cannot be scored, for all or for some systems; empty if it can."""
    deaf = [name for name, one in heard.items() if not one.n_windows]
    if not deaf:
        return "" if bag.events is not None else f"{bag.path.name} has no ground truth and cannot be scored"
    some_heard = len(deaf) < len(heard)
    others = ", and counts for the other systems alone" if some_heard and bag.events is not None else ""
    nothing = "not one window was heard" if some_heard else f"{bag.duration_s:.1f} s of audio fill no window"
    why = "; ".join(dict.fromkeys(note for name in deaf for note in heard[name].notes)) or nothing
    return f"{bag.path.name} cannot be heard by {', '.join(deaf)}{others}: {why}"


def _about(bag: Bag) -> dict:
    truth = None if bag.events is None else [event.to_json() for event in bag.events]
    return {"bag": str(bag.path), "duration_s": bag.duration_s, "notes": list(bag.notes), "truth": truth,
            "credits": list(bag.credits)}


def _heard(heard: Heard, scored: Scored | None) -> dict:
    events = [event.to_json() | {"first_reported_s": min(heard.reported_s.get(event.id, ()), default=None)}
              for event in heard.events]
    return {"n_windows": heard.n_windows, "notes": list(heard.notes), "events": events,
            "sector_deg": math.degrees(2 * heard.half_sector), "sounds": _sounds(scored) if scored else []}


def _sounds(scored: Scored) -> list[dict]:
    """Each true sound: the detection that it was found as, what it was lost by, and SI-SDR improvement [dB]."""
    found, lost = {true.id: heard.id for true, heard in scored.matching.pairs}, scored.lost or {}
    return [{"id": event.id, "found_as": found.get(event.id), "lost": lost.get(event.id),
             "si_sdri": scored.si_sdri.get(event.id)} for event in scored.bag.events]


def _run_time(bags: Sequence[Bag], heard: Sequence[Heard]) -> dict:
    """Of the bags that a system could hear: what it did not hear took no time."""
    times = [(one.wall_s, bag.duration_s) for bag, one in zip(bags, heard, strict=True) if one.n_windows]
    wall_s, audio_s = (sum(pair[n] for pair in times) for n in (0, 1))
    latency_s = [seconds for one in heard for seconds in one.latency_s]
    return {"wall_s": wall_s, "times_real_time": audio_s / wall_s if wall_s else math.nan, "latency_s": latency_s}


def _scores(scored: Sequence[Scored]) -> dict:
    return {
        "all": numbers(scored),
        "by_bag": [{"bag": str(one.bag.path)} | numbers([one]) for one in scored],
        "by_class": _groups(scored, lambda event, bag: event.label or "unknown"),
        "by_direction": _groups(scored, lambda event, bag: f"{math.degrees(nearest(event.azimuth)):.0f}"),
        "by_sources": _groups(scored, lambda event, bag: str(at_once(event, bag.events))),
        "confusion": confusion(scored),
        "lost": shares([one.lost for one in scored]) if all(one.lost is not None for one in scored) else None,
        "delays_s": [delay for one in scored for delay in one.delays_s],
    }


def numbers(scored: Sequence[Scored]) -> dict:
    """The scores of one system over some bags: shares in [0, 1], seconds, degrees, dB; NaN where there is nothing.

    `named` is the accuracy over all sources, and `per_1000` the paper's count.
    """
    found, named = ([hit for one in scored for hit in one.hits(named)] for named in (False, True))
    delays, seld = [delay for one in scored for delay in one.delays_s], seld_scores(*_soundings(scored))
    counted = [hit for one in scored for ids in (drawn(one.bag),)
               for event, hit in zip(one.bag.events, one.hits(named=True), strict=True) if event.id in ids]
    return {
        "n": len(found),
        "found": float(np.mean(found)) if found else math.nan,
        "found_ci95": interval95(sum(found), len(found)),
        "named": float(np.mean(named)) if named else math.nan,
        "named_ci95": interval95(sum(named), len(named)),
        "per_1000": 1000 * float(np.mean(counted)) if counted else math.nan,
        "n_drawn": len(counted),
        "extra": sum(len(one.matching.extra) for one in scored),
        "er20": seld.error_rate,
        "f20": seld.f,
        "le_deg": math.degrees(seld.localization_error),
        "lr": seld.localization_recall,
        "delay_median_s": float(np.median(delays)) if delays else math.nan,
        "delay_p90_s": float(np.quantile(delays, 0.9)) if delays else math.nan,
        "si_sdri": mean([gain for one in scored for gain in one.si_sdri.values()]),
        "capi_sdri": mean([value for one in scored for value in one.capi_sdri]),
    }


def drawn(bag: Bag) -> set[int]:
    """The sounds of the paper's count: one of those that begin in the same stretch, drawn once and for all.

    By what sounds there and when, wherever the bag lies and whatever it is called.
    """
    stretches = defaultdict(list)
    for event in sorted(bag.events, key=lambda event: (event.onset_s, event.azimuth)):
        stretches[int(event.onset_s // STRETCH_S)].append(event)
    chosen = {}
    for number, events in stretches.items():
        said = [(event.label, round(event.onset_s, 2)) for event in events]
        chosen[number] = events[scene_rng("count", number, said).integers(len(events))].id
    return set(chosen.values())


def _soundings(scored: Sequence[Scored]) -> tuple[Sounding, Sounding]:
    """What sounds and what is heard in which frame."""
    n_segments = max((math.ceil(one.bag.duration_s / SEGMENT_S) for one in scored), default=1)
    of_clip = [(one.bag.events, one.heard.events) for one in scored]
    # what is unknown agrees with nothing: of the truth, and of what was heard, it is a class of its own
    labels = {label: number for number, label in enumerate(dict.fromkeys(
        event.label or side for events in of_clip for side in (0, 1) for event in events[side]))}

    def sounding(side: int) -> Sounding:
        rows = [(clip, labels[event.label or side], event.azimuth, event.onset_s, event.end_s)
                for clip, events in enumerate(of_clip) for event in events[side]]
        clip, label, azimuth, start, end = np.array(rows, float).reshape(-1, 5).T
        return in_frames(clip.astype(int), label.astype(int), azimuth, start, end, n_segments)

    return sounding(0), sounding(1)


def nearest(azimuth: float) -> float:
    """The direction of AZIMUTHS [rad] in which a sound is."""
    return min(AZIMUTHS, key=lambda centre: abs(wrap(azimuth - centre)))


def at_once(event: Event, truth: Sequence[Event]) -> int:
    """How many true sounds sound at once at most while an event does; the event itself is one of them if it is true."""
    moments = [event.onset_s, *(other.onset_s for other in truth if event.onset_s < other.onset_s < event.end_s)]
    return max(sum(other.onset_s <= moment < other.end_s or other is event for other in truth) for moment in moments)


def _groups(scored: Sequence[Scored], group: Callable[[Event, Bag], str]) -> dict[str, dict]:
    """By group: true sounds, those found and named, detections that were not there, and SI-SDR improvement [dB]."""
    counts = defaultdict(lambda: {"n": 0, "found": 0, "named": 0, "extra": 0})
    gains = defaultdict(list)
    for one in scored:
        for what, events in (("n", one.bag.events), ("found", [true for true, _ in one.matching.pairs]),
                             ("named", [true for true, _ in one.matching.named]), ("extra", one.matching.extra)):
            for event in events:
                counts[group(event, one.bag)][what] += 1
        for event in one.bag.events:
            gains[group(event, one.bag)] += [one.si_sdri[event.id]] if event.id in one.si_sdri else []
    return {key: {**counts[key], "si_sdri": mean(gains[key])} for key in sorted(counts, key=in_order)}


def in_order(key: str) -> tuple[float, str]:
    """Numbers as numbers, names as names."""
    try:
        return float(key), ""
    except ValueError:
        return math.inf, key


def confusion(scored: Sequence[Scored]) -> list[dict]:
    """How often which true class was given which name: `said` null where it was not found, `true` null where nothing
    was, and "unknown" for a class that is not known.
    """
    counts = Counter()
    for one in scored:
        counts.update((true.label or "unknown", heard.label or "unknown") for true, heard in one.matching.pairs)
        counts.update((true.label or "unknown", None) for true in one.matching.missed)
        counts.update((None, heard.label or "unknown") for heard in one.matching.extra)
    return [{"true": true, "said": said, "n": n}
            for (true, said), n in sorted(counts.items(), key=lambda entry: tuple(name or "" for name in entry[0]))]


def _compared(of_bags: Mapping[str, Sequence[Scored | None]]) -> list[dict]:
    """Each pair of systems on the same sounds: those of the bags that both heard."""
    pairs = []
    for (first, of_first), (second, of_second) in combinations(of_bags.items(), 2):
        both = [pair for pair in zip(of_first, of_second, strict=True) if all(pair)]
        sides = [[pair[n] for pair in both] for n in (0, 1)]
        for what in ("found", "named"):
            hits = [np.array([hit for one in side for hit in one.hits(what == "named")], bool)
                    for side in sides]
            if len(hits[0]):
                pairs.append({"first": first, "second": second, "score": what, "n": len(hits[0]),
                              **asdict(compare(*hits))})
        gains = [np.array([gain for one in side for gain in one.gains()], float) for side in sides]
        difference = gains[0] - gains[1]
        if np.isfinite(difference).any():
            pairs.append({"first": first, "second": second, "score": "si_sdri", **_gained(difference)})
    return pairs


def _gained(difference: np.ndarray) -> dict:
    """Differences of SI-SDR improvement [dB], NaN where one has none -> their mean, and Wilcoxon's signed-rank test."""
    difference = difference[np.isfinite(difference)]
    p = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
    return {"n": len(difference), "gain": float(difference.mean()), "p": p}


def read_limits(texts: Sequence[str]) -> dict[str, float]:
    """Each as in "f20=0.6" -> the least value of that score. Raises ValueError."""
    limits = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            limits[name] = float(value)
        except ValueError:
            name = ""
        if name not in LIMITS or not math.isfinite(limits[name]) or (name in SHARES and not 0 <= limits[name] <= 1):
            raise ValueError(f"--fail-under {text!r} is no limit: write SCORE=VALUE, as in f20=0.6; the score one of "
                             f"{', '.join(SHARES)}, from 0 to 1, or one of {', '.join(LIMITS[len(SHARES):])}")
    return limits


def shortfalls(result: dict, limits: Mapping[str, float]) -> list[str]:
    """A sentence for each score of an `evaluate` that is below its limit, or has no value."""
    reached = {(name, score): of_system["all"][score] for name, of_system in result["systems"].items()
               for score in limits}
    return [f"{name}: {score} is {'without a value' if value is None else value}, and {limits[score]:g} is asked for"
            for (name, score), value in reached.items() if value is None or value < limits[score]]
