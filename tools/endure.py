"""Lets a graph hear the shipped scene round and round in real time, and says how it has borne that.

python tools/endure.py GRAPH [NAME:=VALUE ...] [--minutes 2] [--hop 0.5] [--kills N [--only NODE]]: windows heard and
dropped, what came out of order, latency, CPU, memory, warnings. With --kills each node of GRAPH (or one) is killed N
times with SIGKILL, in turn. The report is printed and left in build/endure/ as JSON.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import rclpy
import soundfile
import typer
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from scipy.stats import theilslopes
from seld_overlap.msg import SeparatedSource, SoundEventArray

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.demo import private_network
from seld_overlap_ros.messages import to_seconds
from seld_overlap_ros.nodes.audio_messages import kind_to_send, message_type
from seld_overlap_ros.streaming.sources import TAIL_S, find_scene
from seld_overlap_ros.up import fast_dds

UP = "from seld_overlap_ros.cli import app; app()"
PLAYER = "scene_player"
FADE_S = 0.05  # from the end of the scene to its beginning
START_S, SAMPLE_S, SETTLE_S, LAST_S = 120.0, 5.0, 15.0, 6.0
LISTENERS = 2  # to the audio: the graph, and this
STAMP_ERROR_S = 1e-5
WARM_S = 60.0  # before this, memory may grow
MOST_VALUES = 4000
PAGE, TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


@dataclass
class Heard:
    """What came; times are seconds of the clock that the player stamps with."""

    arrivals: list[tuple[float, float]] = field(default_factory=list)  # stamp of a window, when its events came
    audio: list[tuple[float, float]] = field(default_factory=list)  # stamp of a chunk of audio, when it was published
    chunks: list[tuple[int, int]] = field(default_factory=list)  # id and sequence
    factors: dict[str, str] = field(default_factory=dict)  # line of /diagnostics -> its highest real-time factor
    usage: list[tuple[float, str, int, float, float]] = field(default_factory=list)  # when, node, pid, MB, CPU [s]
    kills: list[tuple[float, str, dict[str, int]]] = field(default_factory=list)  # when, node, pids of all before
    window_s: float = 0.0


class Running:
    """`seld-overlap up` with a graph that plays a file, in a process of its own, and what it prints."""

    def __init__(self, graph: str, *arguments: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen([sys.executable, "-c", UP, "up", graph, *arguments], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        self.lines.extend(line.rstrip() for line in self.process.stdout)  # appends line by line

    def playing_since(self) -> float | None:
        """When the player began, as its log says."""
        found = (re.search(rf"\[{PLAYER}\].*\[(\d+\.\d+)\].*: playing", line) for line in list(self.lines))
        return next((float(match[1]) for match in found if match), None)

    def nodes(self) -> dict[str, int]:
        """Process id of each node that runs."""
        found = {}
        for task in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with suppress(OSError):  # a thread or a process that has just ended
                for child in task.read_text().split():
                    words = Path(f"/proc/{child}/cmdline").read_bytes().decode(errors="replace").split("\0")
                    found |= {word.split(":=")[1]: int(child) for word in words if word.startswith("__node:=")}
        return found

    def end(self) -> None:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)


def write_loop(scene: Path, file: Path, minutes: float) -> None:
    """The scene round and round for so many minutes, its end faded into its beginning."""
    samples, rate = soundfile.read(scene, dtype="float32")  # (n, M)
    n = round(FADE_S * rate)
    fade = np.linspace(0, 1, n, dtype=np.float32)[:, None]
    loop = np.concatenate([samples[-n:] * (1 - fade) + samples[:n] * fade, samples[n:-n]])
    left = round(60 * minutes * rate)
    with soundfile.SoundFile(file, "w", rate, samples.shape[1], "PCM_16") as out:
        while left > 0:
            out.write(loop[:left])
            left -= len(loop)


def listen(node: rclpy.node.Node, heard: Heard) -> None:
    """Subscribe to what the graph says."""

    def on_events(message: SoundEventArray) -> None:
        heard.arrivals.append((to_seconds(message.header.stamp), time.time()))
        heard.window_s = to_seconds(message.window)

    def on_audio(message: object, info: dict) -> None:
        heard.audio.append((to_seconds(message.header.stamp), info["source_timestamp"] / 1e9))

    def on_diagnostics(message: DiagnosticArray) -> None:
        for status in message.status:
            for value in status.values:
                if value.key == "real-time factor" and value.value != "unknown":
                    heard.factors[status.name] = max(value.value, heard.factors.get(status.name, ""), key=_number)

    qos, sent = QoSProfile(depth=50), kind_to_send()
    node.create_subscription(message_type(sent), sent.topic, on_audio, qos)
    node.create_subscription(SoundEventArray, "events", on_events, qos)
    node.create_subscription(SeparatedSource, "separated",
                             lambda message: heard.chunks.append((message.event.id, message.sequence)), qos)
    node.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, qos)


def _number(factor: str) -> float:
    return float(factor or 0)


def usage_of(pid: int) -> tuple[float, float]:
    """Resident memory [MB] and busy time [s] of a process so far."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return pages * PAGE / 1e6, sum(map(int, times)) / TICKS


def endure(running: Running, node: rclpy.node.Node, heard: Heard, minutes: float, kills: int, only: str) -> float:
    """Until the player has ended. Returns when it began."""
    deadline = time.time() + START_S
    while (began := running.playing_since()) is None:
        rclpy.spin_once(node, timeout_sec=0.1)
        if time.time() > deadline or running.process.poll() is not None:
            sys.exit("\n".join(["the graph does not play:", *running.lines]))
    targets = [name for name in running.nodes() if name != PLAYER and only in ("", name)]
    plan = [name for _ in range(kills) for name in targets]
    pause_s = (60 * minutes - SETTLE_S) / max(1, len(plan))
    due = [(began + SETTLE_S + k * pause_s, name) for k, name in enumerate(plan)]
    next_sample = began
    while PLAYER in (nodes := running.nodes()):
        rclpy.spin_once(node, timeout_sec=0.1)
        if time.time() > next_sample:
            with suppress(OSError):
                heard.usage += [(time.time() - began, name, pid, *usage_of(pid)) for name, pid in nodes.items()]
            next_sample += SAMPLE_S
        if due and time.time() > due[0][0] and due[0][1] in nodes:
            heard.kills.append((time.time(), due[0][1], nodes))
            os.kill(nodes[due.pop(0)[1]], signal.SIGKILL)
    deadline = time.time() + LAST_S
    while time.time() < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)
    heard.kills.append((time.time(), "", running.nodes()))
    return began


def windows(stamps: Sequence[float], began: float, played_s: float, window_s: float, hop_s: float) -> dict[str, int]:
    """How many windows the audio held, how many of them came, and which not: before the first that came, and later."""
    expected = int((played_s - window_s) / hop_s) + 1
    before = round((min(stamps) - began) / hop_s) if stamps else expected
    return {"expected": expected, "received": len(stamps), "before_the_first": before,
            "dropped": expected - before - len(stamps)}


def disorder(stamps: Sequence[float], chunks: Sequence[tuple[int, int]]) -> dict[str, int]:
    """Windows whose stamp does not rise; chunks of a sound that come twice or late, and chunks that never came."""
    latest: dict[int, int] = {}
    back = missing = 0
    for sound, sequence in chunks:
        step = sequence - latest.get(sound, sequence - 1)
        back, missing = back + (step < 1), missing + max(0, step - 1)
        latest[sound] = sequence
    return {"windows_out_of_order": int((np.diff(stamps) <= 0).sum()), "chunks_out_of_order": back,
            "chunks_missing": missing}


def after_kills(kills: Sequence[tuple[float, str, dict[str, int]]], arrivals: Sequence[tuple[float, float]],
                window_s: float) -> list[dict]:
    """For each kill: how long until events of audio after it came [s], None if not before the next; who ended too."""
    told = []
    for (at, name, before), (until, _, after) in pairwise(kills):
        came = [arrival for stamp, arrival in arrivals if stamp + window_s > at and arrival < until]
        told.append({"node": name, "events_after_s": round(min(came) - at, 2) if came else None,
                     "others_ended": sorted(other for other in before if other not in (name, PLAYER)
                                            and after.get(other) != before[other])})
    return told


def after_publication(arrivals: Sequence[tuple[float, float]], audio: Sequence[tuple[float, float]],
                      window_s: float) -> np.ndarray:
    """For each window: from the publication of the chunk with its last sample to its events [s]."""
    stamps, published = np.array(audio).T
    ends = np.array([stamp + window_s for stamp, _ in arrivals])
    last = np.searchsorted(stamps, ends - STAMP_ERROR_S) - 1  # a chunk that begins at the end is not needed
    return np.array([arrival for _, arrival in arrivals]) - published[last]


def usage(samples: Sequence[tuple[float, str, int, float, float]], warm_s: float = WARM_S) -> dict[str, dict]:
    """For each node that was one process all along, from warm_s on: memory minute by minute, its slope, CPU."""
    told = {}
    for name in sorted({name for at, name, *_ in samples if at >= warm_s}):
        when, pids, memory, cpu = (np.array(each) for each in zip(
            *[(at, pid, mb, busy) for at, of, pid, mb, busy in samples if of == name and at >= warm_s], strict=True))
        if len(set(pids)) == 1 and len(when) > 1:
            told[name] = {"memory_mb": [round(mb) for mb in [*memory[:: round(60 / SAMPLE_S)], memory[-1]]],
                          "memory_mb_a_minute": round(60 * np.polyfit(when, memory, 1)[0], 3),
                          "cpu_s_a_second": round((cpu[-1] - cpu[0]) / (when[-1] - when[0]), 3)}
    return told


def warnings(lines: Sequence[str]) -> dict[str, int]:
    """What nodes warned of and what `up` said, with # for every number, and how often."""
    said = [line for line in lines if re.search(r"\[(WARN|ERROR|FATAL)\]|Traceback", line) or not line.startswith("[")]
    plain = [re.sub(r"\[(WARN|ERROR|FATAL)\] \[[\d.]+\] \[\S+\]:", r"\1", line) for line in said]
    return dict(Counter(re.sub(r"(?<![\w])\d+(\.\d+)?", "#", line) for line in plain).most_common())


def spread(values: np.ndarray) -> dict[str, float | None]:
    """Median, 95th percentile and maximum."""
    found = np.percentile(values, [50, 95, 100]) if len(values) else [np.nan] * 3
    return {name: round(float(each), 3) for name, each in zip(("median", "95 %", "most"), found, strict=True)}


def slope_a_minute(values: np.ndarray, at_s: np.ndarray) -> float | None:
    """How much they grow in a minute, by Theil and Sen; of very many, some, as it looks at every two of them."""
    some = slice(None, None, 1 + len(values) // MOST_VALUES)
    return round(60 * theilslopes(values[some], at_s[some]).slope, 5) if len(values) > 1 else None


def report(graph: str, hop_s: float, minutes: float, began: float, heard: Heard, lines: Sequence[str]) -> dict:
    """All that is to be known; `load`: of the machine, the last minute, 5 and 15 minutes.

    Latency is from the last sample of a window, by its stamp, to its events; with the wait for the rest of the chunk
    that brings that sample, and without it.
    """
    stamps = [stamp for stamp, _ in heard.arrivals]
    late = np.array([arrival - stamp - heard.window_s for stamp, arrival in heard.arrivals])
    kills = after_kills(heard.kills, heard.arrivals, heard.window_s)
    return {
        "graph": graph, "minutes": minutes, "hop_s": hop_s, "load": os.getloadavg(),
        "windows": windows(stamps, began, 60 * minutes + TAIL_S, heard.window_s, hop_s),
        "order": disorder(stamps, heard.chunks), "sounds": len({sound for sound, _ in heard.chunks}),
        "latency_s": spread(late),
        "latency_after_publication_s": spread(after_publication(heard.arrivals, heard.audio, heard.window_s)),
        "latency_s_a_minute": slope_a_minute(late, np.array(stamps)),
        "real_time_factor": heard.factors, "nodes": usage(heard.usage, min(WARM_S, 30 * minutes)),
        "peak_mb": {name: round(max(mb for _, of, _, mb, _ in heard.usage if of == name))
                    for name in sorted({name for _, name, *_ in heard.usage})}, "kills": kills,
        "warnings": warnings(lines),
    }


def main(graph: str, arguments: Annotated[Optional[list[str]], typer.Argument()] = None, minutes: float = 2.0,
         hop: float = 0.5, kills: int = 0, only: str = "") -> None:
    """Let GRAPH hear the looped scene, kill its nodes (or the one of --only) so many times each, and report."""
    heard, name = Heard(), "_".join(filter(None, [graph, kills and "kills", only]))
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(private_network(Path(folder)) | fast_dds())
        write_loop(find_scene("demo"), Path(folder) / "loop.wav", minutes)
        rclpy.init()
        node = rclpy.create_node("endure")
        listen(node, heard)
        running = Running(graph, f"file:={folder}/loop.wav", f"hop:={hop}", f"listeners:={LISTENERS}",
                          *(arguments or ()))
        try:
            began = endure(running, node, heard, minutes, kills, only)
        finally:
            running.end()
        rclpy.try_shutdown()
    hop_s = FrontEnd().whole_hops(hop) / FrontEnd().sample_rate
    text = json.dumps(report(graph, hop_s, minutes, began, heard, running.lines), indent=1)
    out = Path("build/endure")
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(text + "\n")
    (out / f"{name}.log").write_text("\n".join(running.lines) + "\n")
    print(text)


if __name__ == "__main__":
    typer.run(main)
