"""Set the project up: python3 tools/bootstrap.py, which is what `make setup` runs. Standard library only.

With --robot (`make robot`), only what a robot needs: no torch, nothing to train or test with.

.venv/    Python packages and ROS 2 as wheels; where a ROS 2 is sourced already, that one is used instead.
install/  this package's messages and commands, built by colcon. Its Python files stay where they are: edit and run.

Either part carries a stamp of what it was made from: with nothing changed a run takes a second, and what is not
finished has no stamp and is made anew (pip keeps what it has downloaded).
"""
from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
INSTALL = ROOT / "install"
BUILD = ROOT / "build" / "colcon"
LOG = ROOT / "build" / "setup.log"
STAMP = "seld_overlap.stamp"
EDITION = "1"  # of what this file makes: another one has everything made anew
# What CMakeLists.txt reads.
SOURCES = ("CMakeLists.txt", "package.xml", "setup.cfg", "msg", "seld_overlap_ros", "launch", "config", "interfaces")
LISTED = ("launch", "config")  # where `ros2 launch` looks for files: it follows links to files, but none to a folder

SUPPORTED = ((3, 10), (3, 13))
CANDIDATES = ("python3", "python3.13", "python3.12", "python3.11", "python3.10")
# What a sourced ROS 2 brings and is compiled or generated with: its own versions stay.
OF_ROS = {"numpy", "empy", "lark", "catkin-pkg", "setuptools"}
ASK_PYTHON = """
import importlib.machinery, importlib.util, json, os, platform, sys, sysconfig
ros = importlib.util.find_spec("rclpy")
folder = os.path.dirname(ros.origin or "") if ros else ""
print(json.dumps(dict(
    executable=os.path.realpath(getattr(sys, "_base_executable", sys.executable)), version=sys.version_info[:3],
    machine=platform.machine(), ros=ros is not None,
    recent=ros is not None and os.path.exists(os.path.join(folder, "event_handler.py")),
    compiled=any(os.path.exists(os.path.join(folder, "_rclpy_pybind11" + suffix))
                 for suffix in importlib.machinery.EXTENSION_SUFFIXES),
    headers=os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")),
    venv=all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")))))
"""


class SetupError(Exception):
    """Says in one sentence what is wrong and the way out."""


class Python(NamedTuple):
    """What an interpreter said of itself."""

    executable: str  # of the base installation, also where a venv is active
    version: list  # major, minor, micro
    machine: str  # x86_64, aarch64, ...
    ros: bool  # rclpy is importable
    headers: bool  # Python.h is there
    venv: bool  # a venv with pip can be made
    recent: bool = True  # and rclpy is that of Jazzy or newer
    compiled: bool = True  # and is built for this Python

    @property
    def minor(self) -> str:
        return "{}.{}".format(*self.version)

    @property
    def fits(self) -> bool:
        return SUPPORTED[0] <= tuple(self.version[:2]) <= SUPPORTED[1]


def ask(command: str) -> Python | None:
    """What the Python of this name says of itself; None where there is none that runs."""
    if not shutil.which(command):
        return None
    said = subprocess.run([command, "-c", ASK_PYTHON], capture_output=True, text=True)
    return Python(**json.loads(said.stdout)) if said.returncode == 0 else None


def choose_python() -> tuple[Python, bool]:
    """The Python to build on, and whether a sourced ROS 2 comes with it."""
    first = ask("python3")
    if os.environ.get("ROS_DISTRO") and first and first.ros:
        if not first.recent:
            raise SetupError(f"the sourced ROS 2 ({os.environ['ROS_DISTRO']}) is older than Jazzy, and lacks what the "
                             "nodes need; start a shell that sources no ROS 2, and this brings its own")
        if not first.compiled:
            raise SetupError(f"the sourced ROS 2 ({os.environ['ROS_DISTRO']}) is built for another Python than python3 "
                             f"here, {first.executable} ({first.minor}); deactivate the environment that it comes from "
                             "(conda, pyenv), or start a shell that sources no ROS 2")
        if first.fits:
            return first, True
        raise SetupError(f"the sourced ROS 2 runs on Python {first.minor}, the pinned packages on 3.10 to 3.13; "
                         "start a shell that sources no ROS 2, or build in a ROS 2 workspace (see README.md)")
    for found in (first, *map(ask, CANDIDATES[1:])):
        if found and found.fits:
            if found.machine != "x86_64":
                raise SetupError(f"the ROS 2 wheels are for x86-64 and this is {found.machine}; install ROS 2 from its "
                                 "own packages, source it, and start this again")
            return found, False
    raise SetupError("no Python 3.10 to 3.13 found on PATH; install one with: "
                     "sudo apt-get install python3 python3-dev python3-venv")


def missing_packages(python: Python, which=shutil.which, environ=os.environ) -> dict[str, str]:
    """What the machine lacks, each with the Debian package that brings it."""
    tools = {"make": ["make"], "git": ["git"], "a C compiler": [environ.get("CC", "cc"), "gcc", "clang"],
             "a C++ compiler": [environ.get("CXX", "c++"), "g++", "clang++"]}
    packages = {"make": "make", "git": "git", "a C compiler": "gcc", "a C++ compiler": "g++"}
    lacking = {tool: packages[tool] for tool, names in tools.items() if not any(map(which, names))}
    if not python.headers:
        lacking[f"the headers of Python {python.minor}"] = f"python{python.minor}-dev"
    if not python.venv:
        lacking[f"venv for Python {python.minor}"] = f"python{python.minor}-venv"
    return lacking


def check_machine(python: Python) -> None:
    """Raises SetupError that names everything missing at once."""
    lacking = missing_packages(python)
    if lacking:
        raise SetupError(f"missing here: {', '.join(lacking)}; install with: "
                         f"sudo apt-get install {' '.join(lacking.values())}")


def digest(root: Path, names: list[str], *words: str) -> str:
    """Hash of files and whole folders under root, their names, and the words."""
    paths = {path for name in names for path in (root / name, *(root / name).rglob("*"))}
    total = hashlib.sha256(repr(words).encode())
    for path in sorted(path for path in paths if path.is_file()):
        content = path.read_bytes()
        total.update(f"{path.relative_to(root)} {len(content)} ".encode() + content)
    return total.hexdigest()


def is_made(folder: Path, stamp: str) -> bool:
    """Whether the folder was made, to its end, from what this stamp stands for."""
    file = folder / STAMP
    return file.is_file() and file.read_text() == stamp


def run(title: str, command: list, **environment: str) -> None:
    """Run a command with its output in the log; a terminal sees its latest line. Raises SetupError."""
    start, tail = time.monotonic(), deque(maxlen=30)
    print(f"set-up: {title} ...", flush=True)
    with open(LOG, "a") as log:
        log.write(f"\n== {title}: {' '.join(map(str, command))}\n")
        log.flush()
        with subprocess.Popen(list(map(str, command)), cwd=ROOT, env={**os.environ, **environment}, text=True,
                              errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, close_fds=False) as process:  # it holds the lock too
            try:
                for line in process.stdout:
                    log.write(line)
                    tail.append(line)
                    show_latest(f"{time.monotonic() - start:5.0f} s  {line.strip()}")
            except KeyboardInterrupt:
                process.terminate()  # and wait for it, or it would write on beside the next run
                process.wait()
                raise
    show_latest("")
    if process.returncode:
        print("".join(tail), file=sys.stderr)
        raise SetupError(f"{title} failed as shown above (all of it in {LOG}); "
                         "once its cause is gone, the same command goes on from here")
    print(f"set-up: {title}: done in {time.monotonic() - start:.0f} s", flush=True)


def show_latest(text: str) -> None:
    """Overwrite the terminal's last line; nothing where the output goes elsewhere."""
    if sys.stdout.isatty():
        print(f"\r\x1b[K{text[:shutil.get_terminal_size().columns - 1]}", end="", flush=True)


def make_environment(python: Python, with_ros: bool, pins: str) -> None:
    """Make .venv with the Python packages of a list in requirements/ and, unless a ROS 2 is there, its wheels.

    Where pip's configuration knows of a CPU build of torch, pip takes it; the constraints pin what the CUDA build asks
    for otherwise.
    """
    requirements = ROOT / "requirements"
    pip = [VENV / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    if with_ros:
        listed = LOG.parent / "python-beside-ros.txt"
        listed.write_text(less_of_ros((requirements / pins).read_text()))
        kind, own = ["--system-site-packages"], {"PIP_USER": "0"}
    else:
        listed = requirements / pins
        kind, own = [], {"PIP_USER": "0", "PYTHONPATH": ""}
    run(f"Python {python.minor} environment", [python.executable, "-m", "venv", "--clear", *kind, VENV], **own)
    run("Python packages (the longest step)", [*pip, "-r", listed, "-c", requirements / "cuda.txt"], **own)
    if not with_ros:
        run("ROS 2 wheels", [*pip, "--no-deps", "-r", requirements / "ros.txt"], **own)
        repair_wheels()
    show_sources()


def less_of_ros(pins: str) -> str:
    """The list of pins without those of what a sourced ROS 2 brings itself."""
    return "".join(line for line in pins.splitlines(keepends=True) if line.split("==")[0] not in OF_ROS)


def site_packages() -> Path:
    """The venv's folder of packages."""
    return next((VENV / "lib").glob("python3.*/site-packages"))


def repair_wheels() -> None:
    """Make the ROS wheels' libraries and CMake files right for this place."""
    # The libraries look for their companions (ros_*.libs) in places that exist only on the machine they were built
    # on; beside them, one entry of LD_LIBRARY_PATH finds all.
    for library in site_packages().glob("ros_*.libs/*.so*"):
        link = VENV / "lib" / library.name
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(library, link.parent))
    asked = [VENV / "bin" / "python", "-c", "import sysconfig; print(sysconfig.get_path('include'))"]
    include = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    for file in (VENV / "share").rglob("*.cmake"):
        text = file.read_text()
        right = rewritten(text, include, str(site_packages()))
        if right != text:
            file.write_text(right)


def rewritten(text: str, include: str, packages: str) -> str:
    """A CMake file of a wheel with the folders of the Python it was built on replaced by this one's."""
    built_on = r"/opt/python/cp\d+-cp\d+"
    text = re.sub(built_on + r"/include/python3\.\d+", lambda _: include, text)
    return re.sub(built_on + r"/lib/python3\.\d+/site-packages", lambda _: packages, text)


def show_sources() -> None:
    """Let the venv's Python import the checkout and, after it, what colcon installs (the messages)."""
    packages = site_packages()
    paths = (ROOT, INSTALL / packages.relative_to(VENV))
    (packages / "seld_overlap.pth").write_text("".join(f"{path}\n" for path in paths))


def link_sources() -> Path:
    """A folder of links to what colcon builds: CMake exports no include folder that lies inside its source folder, and
    numpy's would, .venv being in the checkout. What is in LISTED is installed as these links: edits count at once.
    """
    folder = BUILD / "source" / "seld_overlap"
    folder.mkdir(parents=True)
    for name in SOURCES:
        if name in LISTED:
            (folder / name).mkdir()
            for path in (ROOT / name).iterdir():
                (folder / name / path.name).symlink_to(path)
        else:
            (folder / name).symlink_to(ROOT / name)
    return folder


def build(with_ros: bool) -> None:
    """Build this package, and audio_common_msgs where no ROS 2 here has it, from nothing into install/."""
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if p] if with_ros else [VENV]
    have_audio = any((prefix / "share" / "audio_common_msgs" / "package.xml").is_file()
                     for prefix in prefixes if prefix != INSTALL)
    shutil.rmtree(BUILD, ignore_errors=True)
    shutil.rmtree(INSTALL, ignore_errors=True)
    paths = [link_sources()] if have_audio else [ROOT / "interfaces" / "audio_common_msgs", link_sources()]
    path = ":".join(map(str, prefixes))
    own = {} if with_ros else {"AMENT_PREFIX_PATH": path, "CMAKE_PREFIX_PATH": path, "PYTHONPATH": "",
                               "LD_LIBRARY_PATH": str(VENV / "lib")}
    interpreter = VENV / "bin" / "python"
    run("messages and commands", [
        interpreter, "-m", "colcon", "--log-base", BUILD / "log", "build", "--paths", *paths, "--build-base", BUILD,
        "--install-base", INSTALL, "--merge-install", "--event-handlers", "console_direct+",
        "--cmake-args", "-G", "Ninja", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={interpreter}",
    ], PATH=f"{interpreter.parent}:{os.environ['PATH']}", **own)


def repair_commands(folder: Path) -> None:
    """Make the commands start where the checkout's path has a space, which no first line of a script can hold; env.sh
    puts the right Python first on PATH.
    """
    for command in folder.iterdir():
        text = command.read_text()
        if text.startswith('#!"'):
            command.write_text("#!/usr/bin/env python3\n" + text.split("\n", 1)[1])


def set_up(pins: str) -> None:
    """Do what is not done yet, with the packages of a list in requirements/. Raises SetupError."""
    python, with_ros = choose_python()
    of_ros = os.environ["ROS_DISTRO"] if with_ros else ""
    made_on = (EDITION, str(ROOT), python.executable, str(python.version), of_ros, pins)
    environment = digest(ROOT, ["requirements"], *made_on)
    listed = (path.name for name in LISTED for path in sorted((ROOT / name).iterdir()))
    built = digest(ROOT, ["CMakeLists.txt", "package.xml", "setup.cfg", "msg", "interfaces"], environment, *listed)
    if is_made(VENV, environment) and is_made(INSTALL, built):
        return
    check_machine(python)
    if not is_made(VENV, environment):
        make_environment(python, with_ros, pins)
        (VENV / STAMP).write_text(environment)
    build(with_ros)
    repair_commands(INSTALL / "lib" / "seld_overlap")
    (INSTALL / STAMP).write_text(built)
    print("set-up: ready; `source env.sh` gives a shell in which python, seld-overlap and the nodes work", flush=True)


def main() -> int:
    """Exit status: 0 ready, 1 it failed, 130 stopped by Ctrl-C."""
    LOG.parent.mkdir(exist_ok=True)
    try:
        with open(LOG.parent / "setup.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two at once, from two terminals, would ruin each other's work
            os.set_inheritable(lock.fileno(), True)  # what is still at work when this was killed keeps it
            set_up("robot.txt" if sys.argv[1:] == ["--robot"] else "python.txt")
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
