"""Processes that are started together end together, and everything they say is passed on."""

import os
import signal
import subprocess
import sys
import threading
import time
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from seld_overlap_ros import up as up_module
from seld_overlap_ros.cli import app
from seld_overlap_ros.up import MOST_CRASHES, WITHIN_S, Ends, fast_dds, up

LIMIT_S = 60.0
FOREVER = "import time; print('here', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + FOREVER


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_all_end_well_and_every_line_bears_its_name():
    said = []
    code = up({"a": python("print(1); print(2)"), "b": python("import sys; print('oh', file=sys.stderr)")}, said.append)
    assert code == 0
    assert sorted(line for line in said if line.startswith("[")) == ["[a] 1", "[a] 2", "[b] oh"]


def test_an_end_that_the_others_do_not_share_is_said():
    said = []
    up({"first": python(""), "last": python("import time; time.sleep(2)")}, said.append)
    assert said == ["first has ended"]


def test_a_refusal_ends_the_others():
    said, start = [], time.monotonic()
    bad = "import time; time.sleep(1); raise SystemExit('no such model')"
    assert up({"good": python(FOREVER), "bad": python(bad)}, said.append) == 1
    assert "bad ended with exit code 1, so the graph ends" in said
    assert time.monotonic() - start < LIMIT_S


def test_what_crashes_is_started_again_and_the_others_stay(tmp_path):
    code = f"""
import os, pathlib, sys
log = pathlib.Path({str(tmp_path / "log")!r})
n = len(log.read_text()) if log.exists() else 0
log.write_text("x" * (n + 1))
if n < 2:
    os.kill(os.getpid(), 9)
sys.exit(1)
"""
    said = []
    assert up({"good": python(FOREVER), "bad": python(code)}, said.append) == 1
    assert [line for line in said if line.startswith("bad ")] == [
        *["bad ended with signal SIGKILL and is started again"] * 2, "bad ended with exit code 1, so the graph ends"]
    assert said.count("[good] here") == 1


def test_a_crash_of_what_cannot_be_done_twice_ends_all():
    ends = Ends(once=["player"])
    assert ends.judge("node", -9)[0] == "again"
    assert ends.judge("player", -9) == ("all", "player ended with signal SIGKILL, so the graph ends")
    assert ends.judge("player", 0)[0] == "well"


def test_what_does_nothing_but_crash_ends_all():
    said = []
    assert up({"bad": python("raise SystemExit(3)")}, said.append) == 3
    assert said.count("bad ended with exit code 3 and is started again") == MOST_CRASHES
    assert said[-1] == "bad ended with exit code 3, for the 11th time within 180 s, so the graph ends"


def test_crashes_now_and_then_do_not_add_up():
    now = [0.0]
    ends = Ends(lambda: now[0])
    for _ in range(100):
        assert ends.judge("node", -9)[0] == "again"
        now[0] += WITHIN_S / MOST_CRASHES + 0.1


def test_ten_kills_in_two_minutes_are_borne():
    now = [0.0]
    ends = Ends(lambda: now[0])
    for _ in range(10):
        assert ends.judge("node", -9)[0] == "again"
        now[0] += 12.0


def test_the_end_of_one_may_be_the_end_of_all():
    commands = {"listener": python(FOREVER), "recorder": python("print(1)")}
    assert up(commands, ends_with="recorder", say=lambda line: None) == 0


def test_fast_dds_is_told_of_large_messages_unless_its_user_has_done_so(monkeypatch):
    monkeypatch.setattr("seld_overlap_ros.up._free_mb", lambda _: 1000.0)
    [(name, path)] = fast_dds({}).items()
    assert name == "FASTDDS_DEFAULT_PROFILES_FILE"
    assert ElementTree.parse(path).getroot().tag.endswith("dds")
    assert list(fast_dds({"ROS_DISTRO": "jazzy"})) == ["FASTRTPS_DEFAULT_PROFILES_FILE"]
    assert fast_dds({"FASTRTPS_DEFAULT_PROFILES_FILE": "mine.xml"}) == {}


def test_where_shared_memory_is_small_fast_dds_is_left_alone_and_that_is_said(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr("seld_overlap_ros.up._free_mb", lambda _: 64.0)  # as in a container
    assert fast_dds({}, str(tmp_path)) == fast_dds({}, str(tmp_path)) == {}
    [said] = capfd.readouterr().err.splitlines()
    assert "has 64 MB free" in said and "--shm-size" in said


def test_nodes_meet_those_of_this_host_alone_unless_their_user_has_said_otherwise(monkeypatch):
    show = {"a": python("import os; print(os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE'))")}

    def shown() -> str:
        said = []
        up(show, said.append)
        return said[0].removeprefix("[a] ")

    for name in ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY"):
        monkeypatch.delenv(name, raising=False)
    assert shown() == "LOCALHOST"
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SYSTEM_DEFAULT")
    assert shown() == "SYSTEM_DEFAULT"
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE")
    monkeypatch.setenv("ROS_LOCALHOST_ONLY", "0")
    assert shown() == "None"


@pytest.mark.parametrize(("given", "expected"), [(None, "SUBNET"), ("LOCALHOST", "LOCALHOST")])
def test_the_network_is_joined_if_asked_and_if_nothing_else_is_set(monkeypatch, given, expected):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", given or "")
    if given is None:
        monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE")
    monkeypatch.delenv("ROS_LOCALHOST_ONLY", raising=False)
    seen = []
    monkeypatch.setattr(up_module, "up", lambda *a, **k: seen.append(up_module.environment()) or 0)
    assert CliRunner().invoke(app, ["up", "full", "--network"]).exit_code == 0
    assert seen[0]["ROS_AUTOMATIC_DISCOVERY_RANGE"] == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all(number):
    said = []

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 2:  # both are there
            os.kill(os.getpid(), number)

    def mine(*_: object) -> None:
        pass

    before = signal.signal(number, mine)  # under nohup one would be ignored
    try:
        assert up({"a": python(FOREVER), "b": python(FOREVER)}, say) == 0
        assert sorted(said) == ["[a] here", "[b] here"]
        assert signal.getsignal(number) is mine
    finally:
        signal.signal(number, before)


def test_a_closed_terminal_changes_nothing_where_nohup_has_it_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with up_module.signals_raise():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_does_not_want_to_end_is_killed(monkeypatch):
    monkeypatch.setattr(up_module, "END_S", 0.5)
    said = []

    def say(line: str) -> None:
        said.append(line)
        if line == "[a] here":
            os.kill(os.getpid(), signal.SIGTERM)

    assert up({"a": python(STUBBORN)}, say) == 0
    assert said[-1] == "a has not ended within 0.5 s and is killed"


def test_a_signal_during_the_end_does_not_cut_it_short(monkeypatch):
    monkeypatch.setattr(up_module, "END_S", 1.0)
    said, refusing = [], "import sys, time; time.sleep(1); sys.exit(1)"

    def say(line: str) -> None:
        said.append(line)
        if "so the graph ends" in line:  # which begins just after it
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    assert up({"a": python(STUBBORN), "b": python(refusing)}, say) == 1
    assert said[-1] == "a has not ended within 1 s and is killed"


def test_what_is_said_comes_at_once_though_nobody_looks():
    code = f"import sys\nfrom seld_overlap_ros.up import up\nup({{'a': [sys.executable, '-c', {FOREVER!r}]}})"
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "[a] here\n"
        finally:
            process.terminate()


def test_the_processes_are_not_in_the_terminals_group():
    """Ctrl-C reaches the whole group, and the nodes are to be ended in order instead."""
    said = []
    up({"a": python("import os; print(os.getpgid(0) == os.getpid())")}, said.append)
    assert said == ["[a] True"]
