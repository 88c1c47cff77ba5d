"""Pin requirements/python.in for every supported Python: python tools/lock.py (needs uv on PATH; for maintainers).

uv writes one list with markers. Its Windows lines are dropped; CUDA's, which only PyPI's build of torch
asks for, go to cuda.txt: a constraint, so that a CPU build of torch brings none of them.
"""
from __future__ import annotations

import re
import subprocess
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"
LOCK = "uv pip compile --universal --python-version 3.10 --no-annotate --no-header python.in".split()
CUDA = re.compile(r"(nvidia|cuda)-|triton==")


def main() -> None:
    """Write python.txt and cuda.txt."""
    lock = subprocess.run(LOCK, cwd=REQUIREMENTS, check=True, capture_output=True, text=True).stdout
    pins = [line for line in lock.splitlines() if "sys_platform == 'win32'" not in line]
    for name, wanted in (("python.txt", False), ("cuda.txt", True)):
        chosen = [pin for pin in pins if bool(CUDA.match(pin)) == wanted]
        (REQUIREMENTS / name).write_text("\n".join(["# Written by tools/lock.py.", *chosen, ""]))


if __name__ == "__main__":
    main()
