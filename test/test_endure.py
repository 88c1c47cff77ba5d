"""What tools/endure.py makes of what it has heard."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")


@pytest.fixture(scope="module")
def tool():
    path = Path(__file__).parents[1] / "tools" / "endure.py"
    spec = importlib.util.spec_from_file_location("endure", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_windows_that_came_and_those_that_did_not_add_up(tool):
    assert tool.windows([101.0, 101.5, 102.5], began=100.0, played_s=8.0, window_s=4.0, hop_s=0.5) == {
        "expected": 9, "received": 3, "before_the_first": 2, "dropped": 4}
    assert tool.windows([], 100.0, 8.0, 4.0, 0.5)["dropped"] == 0


def test_what_comes_twice_late_or_never_is_counted(tool):
    assert set(tool.disorder([1.0, 1.5, 2.0], [(7, 3), (8, 0), (7, 4), (8, 1)]).values()) == {0}
    assert tool.disorder([1.0, 2.0, 1.5, 1.5], [(7, 0), (7, 2), (7, 1), (8, 0), (8, 0)]) == {
        "windows_out_of_order": 2, "chunks_out_of_order": 2, "chunks_missing": 1}


def test_a_kill_is_over_with_the_first_events_of_audio_after_it(tool):
    kills = [(10.0, "a", {"a": 1, "b": 2}), (20.0, "b", {"a": 3, "b": 2}), (30.0, "", {"a": 4, "b": 5})]
    arrivals = [(5.0, 10.2), (7.0, 13.0), (7.5, 13.5)]  # the first was on its way already
    assert tool.after_kills(kills, arrivals, window_s=4.0) == [
        {"node": "a", "events_after_s": 3.0, "others_ended": []},
        {"node": "b", "events_after_s": None, "others_ended": ["a"]}]


def test_latency_begins_with_the_publication_of_the_chunk_that_brings_the_last_sample(tool):
    audio = [(100 + k / 10, 100.11 + k / 10) for k in range(20)]  # chunks of 0.1 s, each published when it is over
    late = tool.after_publication([(100.0, 101.2), (100.1, 101.3), (100.15, 101.3)], audio, window_s=1.0)
    assert late == pytest.approx([1.2 - 1.01, 1.3 - 1.11, 1.3 - 1.21])


def test_how_latency_grows_is_told_of_a_day_too(tool):
    at_s = np.arange(0, 86400, 0.5)
    assert tool.slope_a_minute(0.1 + at_s / 600, at_s) == pytest.approx(0.1)
    assert tool.slope_a_minute(at_s[:1], at_s[:1]) is None


def test_memory_is_told_minute_by_minute_of_nodes_that_were_never_killed(tool):
    samples = [(at, name, pid, 100 + at / 60, at / 4) for at in range(0, 185, 5)
               for name, pid in (("a", 1), ("b", at // 90))]
    assert tool.usage(samples) == {
        "a": {"memory_mb": [101, 102, 103, 103], "memory_mb_a_minute": 1.0, "cpu_s_a_second": 0.25}}


def test_warnings_are_counted_whatever_numbers_they_hold(tool):
    lines = ["[a] [INFO] [1700000000.1] [a]: well", "[a] [WARN] [1700000000.2] [a]: the window at 3.250 s is left out",
             "[a] [WARN] [1700000001.2] [a]: the window at 4.250 s is left out", "[b] Traceback (most recent)",
             "a ended with signal SIGKILL and is started again"]
    assert tool.warnings(lines) == {"[a] WARN the window at # s is left out": 2, "[b] Traceback (most recent)": 1,
                                    "a ended with signal SIGKILL and is started again": 1}
