"""A bag played to the real nodes over DDS: what they said of it, how late, what they left out, and whether the library
says the same of the bag offline. No ROS here: the nodes are processes of their own.
"""

from __future__ import annotations

import importlib.util
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from seld_overlap_ros.bags.reading import Bag
from seld_overlap_ros.bags.runs import Run
from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.demo import NEEDED, private_network
from seld_overlap_ros.evaluation.events import Event, plain
from seld_overlap_ros.evaluation.replay import Heard, Settings
from seld_overlap_ros.graphs import AUTOSTART, BAG_PLAYER, RUN_RECORDER, Process, find_graph
from seld_overlap_ros.messages import from_event, to_ns, to_seconds
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.up import command, up

SCORE_OFF = 1e-3  # by which scores may differ where events are the same: the sums of a network have no fixed order
TIME_OFF_S = 1e-6  # a stamp is in nanoseconds, and a float of today's date good for a quarter of a microsecond
SHOWN = 5  # differences that are told one by one


@dataclass(frozen=True)
class Live:
    """How a graph did on one bag, beside what it heard."""

    n_expected: int  # windows that the audio holds
    n_heard: int
    dropped_s: tuple[float, ...]  # starts of those that never came back, on the scene's clock
    latencies_s: tuple[float, ...]  # from the last sample of a window, as the recorder got it, to its events
    factors: Mapping[str, float]  # node -> time for a window over time from window to window, in real time
    differences: tuple[str, ...]  # from what the library hears offline; none: the same

    def to_json(self) -> dict:
        """As plain values; median and 95th percentile of the latency are NaN where nothing was heard."""
        median, high = np.percentile(self.latencies_s, (50, 95)) if self.latencies_s else (np.nan, np.nan)
        return asdict(self) | {"latency_median_s": float(median), "latency_p95_s": float(high),
                               "real_time_factor": max(self.factors.values(), default=None),
                               "same_as_offline": not self.differences}


def play(bag: Bag, graph: str, model: str, settings: Settings, rate: float, folder: Path,
         say: Callable[[str], object]) -> Path:
    """Start a graph, play the bag to it, and return the bag of what it said, made in `folder`.

    Every line of the nodes goes to `say`. Raises ValueError that says why, where it does not come to its end.
    """
    if lacking := [name for name in NEEDED if not importlib.util.find_spec(name)]:
        raise ValueError(f"no {' and no '.join(lacking)} for this Python: run `make setup`, and then `source env.sh`, "
                         "or evaluate offline")
    out, lines = folder / "run", []

    def heed(line: str) -> None:
        lines.append(line)
        say(line)

    os.environ.update(private_network(folder))  # which `up` hands on
    processes = replay_processes(str(bag.path), graph, model, settings, rate, str(out))
    commands = {process.node.name: command(process) for process in processes}
    if up(commands, heed, ends_with=RUN_RECORDER.name):
        raise ValueError(f"{bag.path.name} could not be played to the graph {graph}: {' '.join(lines[-2:])}")
    return out


def replay_processes(bag: str, graph: str, model: str, settings: Settings, rate: float, out: str) -> list[Process]:
    """A graph on the clock of a bag, the recorder that waits for it, and the player that waits for both."""
    given = {"model": model, "hop": str(settings.hop_s), "direction_threshold": str(settings.direction_threshold),
             "class_threshold": str(settings.class_threshold)}
    nodes = find_graph(graph).processes(given)
    waited_for = ",".join(managed_nodes(graph))
    return [
        Process(RUN_RECORDER, "", "", {"folder": out, "nodes": waited_for}),
        *(Process(each.node, "", "", {**each.parameters, "use_sim_time": True}) for each in nodes),
        Process(BAG_PLAYER, "", "", {"bag": bag, "rate": rate}),
    ]


def managed_nodes(graph: str) -> list[str]:
    """Those of a graph that load and listen."""
    return [node.name for node in find_graph(graph).nodes if AUTOSTART in node.parameters]


def heard_live(bag: Bag, run: Run) -> Heard:
    """What a run heard, as `replay.hear` gives it of the same bag; it took from the first audio to the last word."""
    events: dict[int, Event] = {}
    reported = defaultdict(list)
    notes = list(run.notes)
    for _, message in run.windows:
        for said in [*message.events, *message.ended]:
            try:
                event = from_event(said)
            except ValueError as error:
                notes.append(str(error))
                continue
            events[said.id] = replace(event, onset_s=bag.since_start(to_ns(said.onset) + bag.shift_ns))
        end_s = bag.since_start(to_ns(message.header.stamp) + bag.shift_ns) + to_seconds(message.window)
        for said in message.events:
            reported[said.id].append(end_s)
    ordered = tuple(sorted(events.values(), key=lambda event: (event.onset_s, event.id)))
    times = [received_s for _, received_s in run.audio] + [received_s for received_s, _ in run.windows]
    return Heard(ordered, {known: tuple(ends) for known, ends in reported.items()}, len(run.windows),
                 tuple(dict.fromkeys(notes)), max(times, default=0.0) - min(times, default=0.0))


def live(bag: Bag, run: Run, config: SystemConfig, hop_s: float, offline: Heard) -> Live:
    """How a run of a bag went, held against what the library heard of it."""
    silent = Notices(lambda sentence: None)
    held = bag.windows(config.front_end, config.array.n_microphones, hop_s, silent)
    expected = {window.stamp_ns - bag.shift_ns for window in held}
    came = {to_ns(message.header.stamp) for _, message in run.windows}
    dropped_s = tuple(bag.since_start(stamp_ns + bag.shift_ns) for stamp_ns in sorted(expected - came))
    return Live(len(expected), len(came), dropped_s, tuple(_latencies_s(run)), run.factors,
                tuple(differences(offline, heard_live(bag, run))))


def _latencies_s(run: Run) -> Iterator[float]:
    """Of each window whose audio has stamps; its last sample came with the last chunk that begins in it."""
    stamps_ns, received_s = (np.array(each) for each in zip(*run.audio, strict=True)) if run.audio else ((), ())
    for came_s, message in run.windows:
        start_ns = to_ns(message.header.stamp)
        within = (stamps_ns >= start_ns) & (stamps_ns < start_ns + to_ns(message.window)) & (received_s <= came_s)
        if start_ns and within.any():
            yield float(came_s - received_s[within].max())


def differences(offline: Heard, live: Heard) -> list[str]:
    """A sentence for each thing in which they differ; [] where windows, directions, classes, times and scores agree."""
    told = []
    if offline.n_windows != live.n_windows:
        told.append(f"{live.n_windows} windows in place of {offline.n_windows}")
    here, there = _by_start(offline), _by_start(live)
    told += [f"only offline: {_in_words(*here[key])}" for key in sorted(here.keys() - there.keys())]
    told += [f"only live: {_in_words(*there[key])}" for key in sorted(there.keys() - here.keys())]
    told += [f"offline {_in_words(*here[key])}, live {_in_words(*there[key])}"
             for key in sorted(here.keys() & there.keys()) if not _same(here[key], there[key])]
    more = len(told) - SHOWN
    return told if more <= 1 else [*told[:SHOWN], f"and {more} more"]


def _in_words(event: Event, ends_s: tuple[float, ...]) -> str:
    return (f"{plain(event.label)} {event.score:.3f} at {event.azimuth_deg:.0f}° from {event.onset_s:.3f} s, "
            f"{event.duration_s:.3f} s long, in {len(ends_s)} windows")


def _by_start(heard: Heard) -> dict[tuple[float, float], tuple[Event, tuple[float, ...]]]:
    """Onset and direction -> the event, and the ends of the windows that reported it. (Ids need not be the same: they
    count from the stamps.)"""
    return {(round(event.onset_s, 6), round(event.azimuth, 4)): (event, heard.reported_s.get(event.id, ()))
            for event in heard.events}


def _same(one: tuple[Event, tuple[float, ...]], other: tuple[Event, tuple[float, ...]]) -> bool:
    (event, ends), (event_, ends_) = one, other
    return (event.label == event_.label and abs(event.score - event_.score) < SCORE_OFF
            and abs(event.duration_s - event_.duration_s) < TIME_OFF_S and len(ends) == len(ends_)
            and np.allclose(ends, ends_, rtol=0, atol=TIME_OFF_S))
