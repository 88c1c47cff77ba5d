"""Repeated times, taken in turn so that whatever else the machine does hits all alike, and what machine it was."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from importlib.util import find_spec

import numpy as np

WARM_UP = 2  # rounds
REST_S = 0.01  # from one time to the next: threads that wait by spinning have gone to sleep by then
QUIET_LOAD = 0.15  # of the cores taken by others; with more, the numbers are of a busy machine
PACKAGES = ("numpy", "scipy", "torch", "openvino")

FAST = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "i8mm", "bf16", "sve")  # as Linux says it

Times = dict[str, np.ndarray]  # name -> seconds, one a round


def quartiles(values: np.ndarray, digits: int = 3) -> dict:
    """Median, first and third quartile of repeated numbers, and how many they were."""
    low, middle, high = (round(float(each), digits) for each in np.percentile(values, (25, 50, 75)))
    return {"median": middle, "quartiles": [low, high], "repeats": len(values)}


def timed(work: Callable[[], object]) -> float:
    """How long one call takes [s]."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turn(works: Mapping[str, Callable[[], float]], rounds: int) -> Times:
    """All works, each of which returns its seconds, one after the other, so many rounds; the first ones do not count.

    Every round begins with another one, for what follows on a heavy work finds caches that this one has filled.
    """
    names = list(works)
    times: dict[str, list[float]] = {name: [] for name in names}
    warm_up = min(rounds, WARM_UP)
    for number in range(warm_up + rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(REST_S)
            seconds = works[name]()
            if number >= warm_up:
                times[name].append(seconds)
    return {name: np.array(own) for name, own in times.items()}


class Contestant:
    """An object in a process of its own, with the threads and the memory that it is shipped with."""

    def __init__(self, kind: type, *arguments: object) -> None:
        """kind(*arguments) is made in the new process."""
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _make, (kind, arguments))

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def ask(self, method: str, *arguments: object) -> object:
        """What a method of the object returns."""
        return self._pool.submit(_ask, method, arguments).result()

    def time(self, method: str, *arguments: object) -> float:
        """How long a method takes [s] that was called just before; the way to the process and back does not count."""
        self.ask(method, *arguments)
        return self.first(method, *arguments)

    def first(self, method: str, *arguments: object) -> float:
        """How long it takes when other work has left it cold caches and threads asleep [s]."""
        return self._pool.submit(_time, method, arguments).result()


_made: list[object] = []  # in a contestant's process, the object


def _make(kind: type, arguments: tuple) -> None:
    _made.append(kind(*arguments))


def _ask(method: str, arguments: tuple) -> object:
    return getattr(_made[0], method)(*arguments)


def _time(method: str, arguments: tuple) -> float:
    return timed(lambda: _ask(method, arguments))


class Neighbour:
    """Another process that keeps one core busy, while it is not asleep."""

    def __init__(self) -> None:
        # what it is beside may be killed: then it looks whose child it is, and ends
        busy = f"import os\nwhile os.getppid() == {os.getpid()}:\n    for _ in range(100_000): pass"
        self._process = subprocess.Popen([sys.executable, "-c", busy])
        self._process.send_signal(signal.SIGSTOP)

    def __enter__(self) -> Neighbour:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def beside(self, work: Callable[[], float]) -> float:
        """What a work returns that is done while the core is busy."""
        self._process.send_signal(signal.SIGCONT)
        time.sleep(REST_S)
        try:
            return work()
        finally:
            self._process.send_signal(signal.SIGSTOP)


def machine() -> dict:
    """What the numbers were measured on, and what it did before."""
    versions = {name: metadata.version(name) for name in PACKAGES if find_spec(name)}
    return {
        "cpu": processor(), "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}",
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "python": platform.python_version(), "packages": versions,
        "load_at_start": [round(load, 2) for load in os.getloadavg()],
        "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def processor() -> str:
    """Its name and, where known, what it can multiply fast."""
    if not shutil.which("lscpu"):
        return platform.processor() or platform.machine()
    said = subprocess.run(["lscpu", "-J"], stdout=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"}, check=True).stdout
    fields = dict(_fields(json.loads(said)["lscpu"]))
    flags = set(fields.get("Flags:", "").split())
    return f"{fields.get('Model name:', platform.machine())} ({', '.join(f for f in FAST if f in flags) or 'plain'})"


def load_warnings(about: dict) -> list[str]:
    """A sentence if a machine was busy when it was asked."""
    load, cores = about["load_at_start"][0], about["cores"]
    if load <= QUIET_LOAD * cores:
        return []
    return [f"The machine was busy at the start (load {load:g} on {cores} cores): repeat this on a quiet one before "
            "any of it is taken for a number of the system's."]


def _fields(entries: list[dict]) -> Iterator[tuple[str, str]]:
    """lscpu nests its fields in newer versions."""
    for entry in entries:
        yield entry["field"], entry.get("data") or ""
        yield from _fields(entry.get("children", []))
