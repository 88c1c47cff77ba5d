"""A bag played to the real nodes over DDS: what they said of it, how late, what they left out, and whether the library
says the same of the bag offline. No ROS here: the nodes are processes of their own.
"""

from __future__ import annotations

import importlib.util
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from seld_overlap_ros.bags.reading import Bag
from seld_overlap_ros.bags.runs import Run, read_run
from seld_overlap_ros.demo import NEEDED, private_network
from seld_overlap_ros.evaluation.events import Event, plain
from seld_overlap_ros.evaluation.recording import Recording, Track
from seld_overlap_ros.evaluation.replay import Heard, Settings
from seld_overlap_ros.graphs import BAG_PLAYER, RUN_RECORDER, Process, find_graph, replay_processes
from seld_overlap_ros.messages import from_event, to_ns, to_seconds
from seld_overlap_ros.up import command, run_all

SCORE_OFF = 0.01  # by which scores may differ where events are the same: some engines compute in bf16, of 3 digits
TIME_OFF_S = 1e-6  # a stamp is in nanoseconds, and a float of today's date good for a quarter of a microsecond
SHOWN = 5  # differences that are told one by one


@dataclass(frozen=True)
class Live:
    """How a graph did on one bag, beside what it heard."""

    n_expected: int  # windows that the audio holds
    n_heard: int
    dropped_s: tuple[float, ...]  # starts of those that never came back, on the scene's clock
    latency_median_s: float  # from the last sample of a window, as the recorder got it, to its events; NaN: not known
    latency_p95_s: float
    factors: Mapping[str, float]  # node -> time for a window over time from window to window
    differences: tuple[str, ...]  # from what the library hears offline; none: the same

    def in_words(self) -> str:
        """One sentence."""
        late = "how late is not known" if np.isnan(self.latency_median_s) else (
            f"{self.latency_median_s:.2f} s late in the middle and {self.latency_p95_s:.2f} s at 95 %")
        busy = f"; real-time factor {max(self.factors.values()):.2f}" if self.factors else ""
        same = f"not as offline: {'; '.join(self.differences)}" if self.differences else "events as offline"
        return f"{self.n_heard} of {self.n_expected} windows, {late}{busy}; {same}"


@dataclass(frozen=True)
class Stage:
    """Where a bag is played: which graph, how fast."""

    graph: str
    rate: float  # times real time; 0: each window when the one before has been heard
    engine: str


def hear_live(bag: Bag, model: str, stage: Stage, settings: Settings, offline: Heard) -> tuple[Heard, Live | None]:
    """Play a bag to a graph with this model; `offline` is what the library heard of it.

    Where that fails, the reason is a note of what was heard, which is nothing then, and there is no Live.
    """
    with TemporaryDirectory(prefix="seld_overlap_live_") as folder:
        lines: list[str] = []
        try:
            run = read_run(play(bag.path, model, stage, settings, Path(folder), lines.append))
        except ValueError as error:
            return Heard((), {}, 0, (str(error),), np.nan, half_sector=offline.half_sector), None
    # what nodes warn of, and what `up` says of their ends
    warned = dict.fromkeys(plain_line(line) for line in lines if re.search(r"^[^[]|\[(WARN|ERROR)\]", line))
    return judge(bag, run, offline, tuple(warned))


def play(bag: Path, model: str, stage: Stage, settings: Settings, folder: Path, say: Callable[[str], object]) -> Path:
    """Start a graph, play a bag to it, and return the bag of what it said, made in `folder`.

    Every line of the nodes goes to `say`. Raises ValueError that says why, where it does not come to its end,
    and KeyboardInterrupt where a signal cuts it short.
    """
    if lacking := [name for name in NEEDED if not importlib.util.find_spec(name)]:
        raise ValueError(f"no {' and no '.join(lacking)} for this Python: run `make setup`, and then `source env.sh`, "
                         "or evaluate offline")
    out, last = folder / "run", deque(maxlen=3)

    def heed(line: str) -> None:
        last.append(plain_line(line))
        say(line)

    given = {"model": model, "engine": stage.engine, "hop": str(settings.hop_s),
             "direction_threshold": str(settings.direction_threshold), "class_threshold": str(settings.class_threshold),
             "channel_map": settings.channel_map, "classes": settings.classes}
    player = Process(BAG_PLAYER, "", "", {"bag": str(bag), "rate": stage.rate, "hop": settings.hop_s})
    processes = [*replay_processes(find_graph(stage.graph), given, str(out)), player]
    commands = {process.node.name: command(process) for process in processes}
    alone = private_network(folder) | {"ROS_SECURITY_ENABLE": "false"}  # among themselves they need no keys
    if run_all(commands, heed, RUN_RECORDER.name, alone, once=[BAG_PLAYER.name]):
        raise ValueError(f"{bag.name} could not be played to the graph {stage.graph}: {' '.join(last)}")
    return out


def plain_line(line: str) -> str:
    """A line of a node's log without level and time."""
    return re.sub(r"\[[A-Z]+\] \[[\d.]+\] \[[^]]*\]: ", "", line)


def heard_live(bag: Bag, run: Run) -> Heard:
    """What a run heard, as `replay` gives it of the same bag; it took from the first audio to the last word."""
    notes = list(run.notes)
    events, separated = _events(bag, run, notes), _separated(bag, run, notes)
    reported = defaultdict(list)
    for _, message in run.windows:
        end_s = _at_s(bag, message.header.stamp) + to_seconds(message.window)
        for said in message.events:
            reported[said.id].append(end_s)
    ordered = tuple(sorted(events.values(), key=lambda event: (event.onset_s, event.id)))
    times_s = [*(received_s for _, received_s in run.audio), *(received_s for received_s, _ in run.windows)]
    wall_s = max(times_s, default=0.0) - min(times_s, default=0.0) or np.nan  # of a single moment, nothing is known
    return Heard(ordered, {known: tuple(ends) for known, ends in reported.items()}, len(run.windows),
                 tuple(dict.fromkeys(notes)), wall_s, separated)


def _at_s(bag: Bag, stamp: Any) -> float:
    """A stamp of a node on the scene's clock [s]."""
    return bag.since_start(to_ns(stamp) + bag.shift_ns)


def _events(bag: Bag, run: Run, notes: list[str]) -> dict[int, Event]:
    """The last word about each sound; what makes no sense is noted."""
    events: dict[int, Event] = {}
    for _, message in run.windows:
        for said in [*message.events, *message.ended]:
            try:
                events[said.id] = replace(from_event(said), onset_s=_at_s(bag, said.onset))
            except ValueError as error:
                notes.append(str(error))
    return events


def _separated(bag: Bag, run: Run, notes: list[str]) -> dict[int, Track]:
    """Each sound alone; what makes no sense is noted."""
    recording = Recording()
    for message in run.separated:
        try:
            recording.add_source(message.event.id, _at_s(bag, message.header.stamp), np.asarray(message.samples),
                                 message.sample_rate)
        except ValueError as error:
            notes.append(str(error))
    return recording.tracks


def judge(bag: Bag, run: Run, offline: Heard, notes: tuple[str, ...] = ()) -> tuple[Heard, Live]:
    """What was heard in a run of a bag, and how that went, held against what the library heard of it."""
    latency_s = tuple(_latencies_s(run))
    heard = replace(heard_live(bag, run), mixture=offline.mixture, latency_s=latency_s, half_sector=offline.half_sector)
    starts = {look.start_s for look in offline.looks}
    came = {_at_s(bag, message.header.stamp) for _, message in run.windows}
    median_s, p95_s = np.percentile(latency_s, (50, 95)) if latency_s else (np.nan, np.nan)
    told = Live(len(starts), len(came), tuple(sorted(starts - came)), float(median_s), float(p95_s), run.factors,
                tuple(differences(offline, heard)))
    return replace(heard, notes=(*heard.notes, *notes)), told


def _latencies_s(run: Run) -> Iterator[float]:
    """Of each window whose audio has stamps; its last sample came with the last chunk that begins in it.

    Of stamps that stand still, none tells which chunk that is.
    """
    if len(run.audio) > 1 and len({stamp_ns for stamp_ns, _ in run.audio}) == 1:
        return
    stamps_ns, received_s = np.array([each[0] for each in run.audio]), np.array([each[1] for each in run.audio])
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
