"""Starts a graph's processes where ROS has no `launch`: their lines under their names, and an end for all at once.

What becomes of a process that has ended, the launch files ask here too.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import resources
from pathlib import Path

from seld_overlap_ros.graphs import REFUSED, Process

END_S = 10.0  # for the processes to end when asked to; then they are killed
MOST_CRASHES, WITHIN_S = 10, 180.0  # of one process; with more, starting it again is of no use
DISCOVERY = "ROS_AUTOMATIC_DISCOVERY_RANGE"
PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")
SHARED, SHARED_MB = "/dev/shm", 160  # of nine processes, 17.6 MB each: fastdds.xml


class Ends:
    """What becomes of processes that have ended: a crashed one is started again, unless it does nothing but crash."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, once: Collection[str] = ()) -> None:
        """once: names of those that cannot be started again, as they would do a second time what they have done."""
        self._clock, self._once = clock, once
        self._crashes: dict[str, deque[float]] = defaultdict(deque)  # name -> when

    def judge(self, name: str, code: int) -> tuple[str, str]:
        """Exit code, negative for a signal -> "well", "again" or "all" (everything is to end), and a sentence."""
        if code == 0:
            return "well", ""
        if code == REFUSED or name in self._once:
            return "all", f"{name} ended with {cause(code)}, so the graph ends"
        now, crashes = self._clock(), self._crashes[name]
        crashes.append(now)
        while now - crashes[0] > WITHIN_S:
            crashes.popleft()
        if len(crashes) > MOST_CRASHES:
            return "all", (f"{name} ended with {cause(code)}, for the {len(crashes)}th time within {WITHIN_S:g} s, "
                           "so the graph ends")
        return "again", f"{name} ended with {cause(code)} and is started again"


def fast_dds(environ: Mapping[str, str] = os.environ, shared: str = SHARED) -> dict[str, str]:
    """What to add to the environment for large messages to go fast; {} if its user has set Fast DDS up.

    Also where there is less shared memory than a graph takes, which nodes do not start without; it is said, once.
    """
    if environ.keys() & PROFILES:
        return {}
    if Path(shared).is_dir() and (free_mb := _free_mb(shared)) < SHARED_MB:
        _say(f"{shared} has {free_mb:.0f} MB free, and large messages take {SHARED_MB}: they go another way, more "
             "slowly; give a container more with --shm-size=256m, or clear what dead nodes left: fastdds shm clean")
        return {}
    name = PROFILES[1] if environ.get("ROS_DISTRO") == "jazzy" else PROFILES[0]  # newer ones warn of the old name
    return {name: str(resources.files("seld_overlap_ros") / "fastdds.xml")}


def _free_mb(folder: str) -> float:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize / 1e6


@lru_cache
def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def discovery(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What to add to the environment for nodes to meet those of this host alone; {} if its user has said otherwise."""
    return {} if environ.keys() & {DISCOVERY, "ROS_LOCALHOST_ONLY"} else {DISCOVERY: "LOCALHOST"}


def enclave(node: str, environ: Mapping[str, str] = os.environ) -> list[str]:
    """ROS arguments that give a node its own enclave of config/policy.xml, where SROS2 is switched on."""
    return ["--enclave", f"/seld_overlap/{node}"] if environ.get("ROS_SECURITY_ENABLE") == "true" else []


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Of the processes of a graph."""
    return {**environ, "PYTHONUNBUFFERED": "1", **fast_dds(environ), **discovery(environ)}


def command(process: Process) -> list[str]:
    """The command line that starts a process with this Python."""
    line = [sys.executable, "-m", process.node.module, "--ros-args", "-r", f"__node:={process.node.name}"]
    line += enclave(process.node.name)
    if process.namespace:
        line += ["-r", f"__ns:=/{process.namespace.strip('/')}"]
    if process.params_file:
        line += ["--params-file", process.params_file]
    for name, value in process.parameters.items():
        # ROS reads values as YAML, where JSON's quotes keep a text that looks like a number a text.
        line += ["-p", f"{name}:={json.dumps(value, ensure_ascii=False)}"]
    return line


def say_now(sentence: str) -> None:
    """To stdout at once, though it be no terminal."""
    print(sentence, flush=True)


def up(commands: Mapping[str, Sequence[str]], say: Callable[[str], object] = say_now, ends_with: str = "") -> int:
    """As `run_all`, of which a signal is a good end: nobody waits for what the processes would have come to."""
    try:
        return run_all(commands, say, ends_with)
    except KeyboardInterrupt:
        return 0


def run_all(commands: Mapping[str, Sequence[str]], say: Callable[[str], object], ends_with: str,
            environ: Mapping[str, str] = os.environ, once: Collection[str] = ()) -> int:
    """Run commands by name until all have ended, or one has refused. Returns the exit code.

    0 if all ended well, or the one called `ends_with` did; else the code of the first that refused. One that crashes or
    is killed is started again, unless it is one of `once`, see `Ends`. Every line of theirs goes to `say` behind its
    name. SIGINT or SIGTERM ends them all and raises KeyboardInterrupt.
    """
    lines: queue.Queue[tuple[str, str | None]] = queue.Queue()  # None: there will be no more
    running: dict[str, subprocess.Popen] = {}

    def start(name: str) -> None:
        running[name] = _start(name, commands[name], lines, environ)

    with signals_raise():
        try:
            for name in commands:
                start(name)
            return _watch(running, lines, start, Ends(once=once), say, ends_with)
        finally:
            with undisturbed():
                end(running, say)
                _say_rest(running, lines, say)


def _start(name: str, line: Sequence[str], lines: queue.Queue, environ: Mapping[str, str]) -> subprocess.Popen:
    process = subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment(environ),
        start_new_session=True,  # so that Ctrl-C reaches this process alone, which then ends the others in order
    )
    threading.Thread(target=_read, args=(name, process, lines), daemon=True).start()
    return process


def _read(name: str, process: subprocess.Popen, lines: queue.Queue) -> None:
    with process.stdout:
        for line in process.stdout:
            lines.put((name, line.rstrip("\n")))
    lines.put((name, None))


def _watch(
    running: dict[str, subprocess.Popen],
    lines: queue.Queue,
    start: Callable[[str], None],
    ends: Ends,
    say: Callable[[str], object],
    ends_with: str,
) -> int:
    while running:
        name, line = lines.get()
        if line is not None:
            say(f"[{name}] {line}")
            continue
        code = running.pop(name).wait()
        verdict, sentence = ends.judge(name, code)
        if running and not code and name != ends_with:  # the others go on without it
            sentence = f"{name} has ended"
        if sentence:
            say(sentence)
        if verdict == "again":
            start(name)
        elif verdict == "all":
            return code if code > 0 else 1
        elif name == ends_with:
            return 0
    return 0


def cause(code: int) -> str:
    """What an exit code other than 0 means, for people."""
    return f"exit code {code}" if code > 0 else f"signal {signal.Signals(-code).name}"


def end(processes: dict[str, subprocess.Popen], say: Callable[[str], object]) -> None:
    """Ask what still runs to end, wait, and kill what does not; each killed one is told to `say`."""
    for process in processes.values():
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + END_S
    for name, process in processes.items():
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            say(f"{name} has not ended within {END_S:g} s and is killed")
            process.kill()
            process.wait()


def _say_rest(running: dict[str, subprocess.Popen], lines: queue.Queue, say: Callable[[str], object]) -> None:
    while running:
        try:
            name, line = lines.get(timeout=1.0)
        except queue.Empty:  # something that a process has started holds on to its output
            return
        if line is None:
            del running[name]
        else:
            say(f"[{name}] {line}")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that ask for an end change nothing here: it is under way, and would be cut short."""
    asking = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in asking}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_raise() -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt; during the end that follows, more change nothing.

    SIGHUP is what a terminal sends that is closed, unless `nohup` has it ignored.
    """

    def interrupt(number: int, frame: object) -> None:
        for caught in before:
            signal.signal(caught, signal.SIG_IGN)
        raise KeyboardInterrupt

    heeded = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        heeded.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
