"""Pin requirements/python.in for every supported Python: python tools/lock.py (needs uv on PATH; for maintainers).

uv writes one list with markers. Its Windows lines are dropped; CUDA's, which only PyPI's build of torch
asks for, go to cuda.txt: a constraint, so that a CPU build of torch brings none of them. robot.txt is the part of
python.txt that a robot needs, where nothing is trained.
"""
from __future__ import annotations

import re
import subprocess
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"
LOCK = "uv pip compile --universal --python-version 3.10 --no-annotate --no-header".split()
CUDA = re.compile(r"(nvidia|cuda)-|triton==")
OF_A_ROBOT = ("# The library", "# Build")  # how its groups in python.in begin


def main() -> None:
    """Write python.txt, cuda.txt and robot.txt."""
    asked = (REQUIREMENTS / "python.in").read_text()
    pins = lock(asked)
    write("python.txt", [pin for pin in pins if not CUDA.match(pin)])
    write("cuda.txt", [pin for pin in pins if CUDA.match(pin)])
    groups = [group for group in asked.split("\n\n") if group.startswith(OF_A_ROBOT)]
    write("robot.txt", lock("\n".join(groups), "-c", "python.txt"))


def lock(asked: str, *options: str) -> list[str]:
    """The pins of all that is asked for and needed."""
    line = [*LOCK, *options, "-"]
    pins = subprocess.run(line, cwd=REQUIREMENTS, check=True, input=asked, capture_output=True, text=True).stdout
    return [pin for pin in pins.splitlines() if "sys_platform == 'win32'" not in pin]


def write(name: str, pins: list[str]) -> None:
    """Write a list."""
    (REQUIREMENTS / name).write_text("\n".join(["# Written by tools/lock.py.", *pins, ""]))


if __name__ == "__main__":
    main()
