"""Processes that are started together end together, and everything they say is passed on."""

import os
import signal
import sys
import time

import pytest

from seld_overlap_ros import up as up_module
from seld_overlap_ros.up import up

LIMIT_S = 30.0
FOREVER = "import time; print('here', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + FOREVER


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_all_end_well_and_every_line_bears_its_name():
    said = []
    code = up({"a": python("print(1); print(2)"), "b": python("import sys; print('oh', file=sys.stderr)")}, said.append)
    assert code == 0
    assert sorted(said) == ["[a] 1", "[a] 2", "[b] oh"]


@pytest.mark.parametrize(
    ("code", "sentence", "expected"),
    [
        ("raise SystemExit(3)", "bad ended with exit code 3, so everything ends", 3),
        ("import os; os.kill(os.getpid(), 9)", "bad ended with signal SIGKILL, so everything ends", 1),
    ],
)
def test_a_failure_ends_the_others(code, sentence, expected):
    said, start = [], time.monotonic()
    assert up({"good": python(FOREVER), "bad": python("import time; time.sleep(1);" + code)}, said.append) == expected
    assert sentence in said
    assert time.monotonic() - start < LIMIT_S


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all(number):
    said = []

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 2:  # both are there
            os.kill(os.getpid(), number)

    handler = signal.getsignal(number)
    assert up({"a": python(FOREVER), "b": python(FOREVER)}, say) == 0
    assert sorted(said) == ["[a] here", "[b] here"]
    assert signal.getsignal(number) is handler


def test_what_does_not_want_to_end_is_killed(monkeypatch):
    monkeypatch.setattr(up_module, "END_S", 0.5)
    said = []

    def say(line: str) -> None:
        said.append(line)
        if line == "[a] here":
            os.kill(os.getpid(), signal.SIGTERM)

    assert up({"a": python(STUBBORN)}, say) == 0
    assert said[-1] == "a has not ended within 0.5 s and is killed"


def test_the_processes_are_not_in_the_terminals_group():
    """Ctrl-C reaches the whole group, and the nodes are to be ended in order instead."""
    said = []
    up({"a": python("import os; print(os.getpgid(0) == os.getpid())")}, said.append)
    assert said == ["[a] True"]
