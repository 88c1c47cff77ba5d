"""Plays a scene to the real nodes, processes of their own, and holds what they heard against the truth. No ROS here."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import soundfile

from seld_overlap_ros.evaluation.events import Event, write_events
from seld_overlap_ros.evaluation.matching import Matching
from seld_overlap_ros.evaluation.page import Report, render
from seld_overlap_ros.evaluation.truth import Truth, load_truth
from seld_overlap_ros.graphs import EVENT_RECORDER, FULL_NODE, GRAPHS, SCENE_PLAYER
from seld_overlap_ros.up import cause, command, end, signals_raise, undisturbed

GRAPH = GRAPHS["demo"]
CLASSES = (  # that the nodes are told can occur in the shipped scene: its own, and some more of homes and of music
    "cymbal_crash", "door", "footstep_hard", "guitar_strum", "hand_drum", "helicopter", "keyboard_key", "laughter",
    "organ", "phone_ring", "piano", "saxophone", "songbird", "speech_female", "speech_male", "water_stream",
)
SLACK_S = 220.0  # for the processes to start, for whom scene_player waits 180 s, and to end, beyond the scene's length
POLL_S = 0.1
DOMAINS = range(1, 102)  # further on, DDS ports run into those that Linux hands out
DDS_PORTS = (0, *range(10, 30))  # of a domain (RTPS 2.5, 9.6.2.3): where all meet, and two for each of ten nodes
NEEDED = ("rclpy", "seld_overlap", "audio_common_msgs")  # to be imported by the nodes
MADE = ("events.json", "truth.json", "index.html", "separated", "log")  # in the folder, by an earlier demo too


class DemoError(ValueError):
    """The demo cannot go on; the sentence says why."""


def play(scene: Path, out: Path, **arguments: str) -> Matching:
    """Play a scene (FLAC or WAV, its truth beside it as JSON) and leave the report in the folder `out`.

    `arguments` go to the nodes as they would be typed, such as model="overlap". Raises DemoError.
    """
    if lacking := [name for name in NEEDED if not importlib.util.find_spec(name)]:
        raise DemoError(f"no {' and no '.join(lacking)} for this Python: run `make setup`, and then `source env.sh`")
    try:
        truth, duration_s = load_truth(scene.with_suffix(".json")), soundfile.info(scene).duration
        _clear(out)
    except (ValueError, OSError, soundfile.SoundFileError) as error:
        raise DemoError(str(error)) from error
    given = {"file": str(scene), "folder": str(out), **arguments}
    commands = {process.node.name: command(process) for process in GRAPH.processes(given)}
    environment = private_network(out / "log")
    with signals_raise(), _running(commands, out / "log", environment) as processes:
        _wait(processes, out / "log", duration_s + SLACK_S)
    return report(scene, truth, out, arguments.get("classes", ""))


def report(scene: Path, truth: Truth, out: Path, classes: str = "") -> Matching:
    """From a scene, its truth and the recording of it in `out`: truth.json and index.html, beside the recording.

    `classes`: what the nodes were told can occur, as they take it.
    """
    samples, sample_rate = soundfile.read(scene, dtype="float32", always_2d=True)  # (n, M)
    entries = json.loads((out / "events.json").read_text(encoding="utf-8"))
    separated = {entry["id"]: _placed(*soundfile.read(out / entry["file"], dtype="float32"), entry["file_start_s"])
                 for entry in entries if "file" in entry}
    told = f", told which {classes.count(',') + 1} classes can occur," if classes else ""
    lead = (f"{samples.shape[1]} microphones, {len(samples) / sample_rate:.0f} s: {truth.in_words()} "
            f"Real ROS 2 nodes{told} listened to it in real time, and this is what they heard.")
    shown = Report(truth.title, lead, samples[:, 0], sample_rate, truth.events,
                   [Event.from_json(entry) for entry in entries], separated, credits=truth.credits)
    write_events(out / "truth.json", truth.events)
    (out / "index.html").write_text(render(shown), encoding="utf-8")
    return shown.matching


def _placed(samples: np.ndarray, sample_rate: int, start_s: float) -> np.ndarray:
    """Samples (n,) that begin at start_s -> as they are from time 0 on."""
    start = round(start_s * sample_rate)
    return np.pad(samples, (start, 0)) if start >= 0 else samples[-start:]


def warnings(out: Path) -> list[str]:
    """What the nodes warned of in the demo that left its report in `out`, behind each one's name."""
    return [f"{log.stem}: {line.partition(']: ')[2] or line}" for log in sorted((out / "log").glob("*.log"))
            for line in log.read_text(errors="replace").splitlines() if line.startswith(("[WARN]", "[ERROR]"))]


def private_network(log_folder: Path) -> dict[str, str]:
    """Environment for nodes that meet each other, and nobody else's on this machine or network."""
    return {**os.environ, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_DOMAIN_ID": str(free_domain()),
            "ROS_LOG_DIR": str(log_folder / "ros"), "PYTHONUNBUFFERED": "1"}


def free_domain() -> int:
    """A ROS domain that nobody on this machine uses: none has its ports. Raises DemoError."""
    for domain in random.sample(DOMAINS, len(DOMAINS)):
        if all(_is_free(7400 + 250 * domain + offset) for offset in DDS_PORTS):
            return domain
    raise DemoError("every ROS domain from 1 to 101 is in use on this machine: end some ROS nodes")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _clear(out: Path) -> None:
    """Make the folder, and take away what an earlier demo left in it. Raises DemoError if it is not a demo's."""
    for path in _foreign(out):
        raise DemoError(f"{path} is not a demo's: give another folder with --out")
    for name in MADE:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    (out / "log").mkdir(parents=True)


def _foreign(out: Path) -> list[Path]:
    """What has a name of MADE that others use too, such as colcon, and no sign of a demo in it or beside it."""
    had_demo = (out / "log" / f"{FULL_NODE.name}.log").exists()
    signs = {out / "log": had_demo, out / "separated": had_demo or (out / "events.json").exists()}
    return [path for path, is_ours in signs.items() if not is_ours and _holds_something(path)]


def _holds_something(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


@contextmanager
def _running(commands: Mapping[str, list[str]], log: Path, environment: dict) -> Iterator[dict[str, subprocess.Popen]]:
    """Processes by name, all ended afterwards. The recorder has the terminal; the others write into files."""
    processes: dict[str, subprocess.Popen] = {}
    with ExitStack() as files:
        try:
            for name, line in commands.items():
                file = None if name == EVENT_RECORDER.name else files.enter_context(open(log / f"{name}.log", "w"))
                # a session of its own, so that Ctrl-C reaches this process alone, which then ends the others in order
                processes[name] = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=file,
                                                   stderr=file and subprocess.STDOUT, env=environment,
                                                   start_new_session=True)
            yield processes
        finally:
            with undisturbed():
                end(processes, print)


def _wait(processes: Mapping[str, subprocess.Popen], log: Path, limit_s: float) -> None:
    """Until the recorder is done. Raises DemoError if a process ends in another way, or the time is over."""
    deadline = time.monotonic() + limit_s
    may_end = (EVENT_RECORDER.name, SCENE_PLAYER.name)
    while True:
        for name, process in processes.items():
            code = process.poll()
            if code or (code == 0 and name not in may_end):
                how = f"with {cause(code)}" if code else "too early"
                raise DemoError(f"{name} ended {how}: {_last_word(name, log)}")
        if processes[EVENT_RECORDER.name].poll() == 0:
            return
        if time.monotonic() > deadline:
            raise DemoError(f"the nodes have not come to an end within {limit_s:.0f} s; what they said is in {log}")
        time.sleep(POLL_S)


def _last_word(name: str, log: Path) -> str:
    file = log / f"{name}.log"
    if not file.exists():
        return "its reason stands above"
    lines = file.read_text(errors="replace").split("\n")
    said = [line.partition("]: ")[2] or line for line in lines if line.strip()]
    return said[-1] if said else "it gave no reason"
