"""The benchmark measures everything that it promises, its floor counts what torch counts, and its page follows."""

import contextlib
import copy
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.dsp.features import n_new_frames
from seld_overlap_ros.hearing import Hearing
from seld_overlap_ros.models.engine import load_engine
from seld_overlap_ros.models.system import System
from seld_overlap_ros.simulation.rooms import scene_rng
from seld_overlap_ros.speed.crnn import crnn_features
from seld_overlap_ros.speed.floor import LaidOutMap, Work, network_work, planes_work, stage_works
from seld_overlap_ros.speed.measure import HOP_S, LABELS, QUICK, drift
from seld_overlap_ros.speed.page import claims, write_page
from seld_overlap_ros.speed.steady import four_microphones, save_steady, scene_windows, threshold_for
from seld_overlap_ros.speed.timing import in_turn, load_warnings, quartiles

LIMIT_S = 60.0
SMALL = SystemConfig(LABELS, width=1 / 32)
ENDURE = {  # what tools/endure.py reports, as far as it is read
    "real_time_factor": {"full_node: windows": "0.312", "ssl_node: windows": "unknown"},
    "latency_after_publication_s": {"median": 0.08, "95 %": 0.12, "most": 0.2},
    "latency_s": {"median": 0.14, "95 %": 0.18, "most": 0.26}, "latency_s_a_minute": 0.00012,
    "windows": {"expected": 224, "received": 221, "before_the_first": 2, "dropped": 1},
    "nodes": {"full_node": {"cpu_s_a_second": 0.3}}, "peak_mb": {"full_node": 410}, "load": [0.7, 0.5, 0.4],
    "warnings": {},
}


@pytest.fixture(scope="module")
def tool():
    path = Path(__file__).parents[2] / "tools" / "bench.py"
    spec = importlib.util.spec_from_file_location("bench", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results(tool, tmp_path_factory) -> dict:
    """A quick run without the graphs, as bench.json holds it, and what two graphs reported."""
    found = tool.measure_all(QUICK, tmp_path_factory.mktemp("bench"), say=lambda what: None)
    found["graph"] = tool.joined(10.0, {name: tool.of_graph(ENDURE) for name in tool.GRAPHS})
    return json.loads(json.dumps(found))


def numbers(found: object) -> list[float]:
    if isinstance(found, dict):
        return [number for each in found.values() for number in numbers(each)]
    if isinstance(found, list):
        return [number for each in found for number in numbers(each)]
    return [found] if isinstance(found, (int, float)) else []


def test_a_quick_run_measures_all_that_is_promised(results):
    for section, names in {
        "window": ("eager_ms", "default_ms", "speedup_vs_eager", "over_floor", "busy_core_factor", "first_default_ms"),
        "following": ("default_ms", "speedup_vs_eager", "over_floor"),
        "queries": ("three_over_one", "power", "ms_each"), "graph": ("rtf", "latency_p95_ms", "drops"),
        "floor": ("window_ms", "gmac_a_second", "gb_a_second"), "training": ("fed_over_bare", "samples_a_second"),
        "generation": ("speedup",), "running_time": ("ms_a_minute", "grown_share"),
        "machine": ("cpu", "cores", "load_at_start", "packages"),
    }.items():
        assert set(names) <= results[section].keys()
    assert all(math.isfinite(number) for number in numbers(results))
    for name in ("eager_ms", "default_ms", "speedup_vs_eager", "over_floor", "busy_core_factor"):
        low, high = results["window"]["spread"][name]["quartiles"]
        assert 0 < low <= results["window"][name] <= high
    assert results["window"]["spread"]["default_ms"]["repeats"] == QUICK.rounds
    assert [entry["sources"] for entry in results["queries"]["costs"]] == list(QUICK.sources)
    assert any("quick run" in sentence for sentence in results["warnings"])


def test_the_page_has_every_number_with_its_picture(results, tmp_path):
    write_page(results, tmp_path)
    page = (tmp_path / "speed.md").read_text()
    for picture in ("stages", "growth", "time", "opponents"):
        assert f"](speed/{picture}.png)" in page
        assert (tmp_path / "speed" / f"{picture}.png").stat().st_size > 1000
    assert f"{results['window']['speedup_vs_eager']:.2f}" in page
    assert "| `full` | 0.312 | 80, 120, 200 | 140, 180, 260 |" in page
    assert "nan" not in page


def test_what_held_is_said_of_the_numbers_alone(results):
    good = copy.deepcopy(results)
    good["window"] |= {"speedup_vs_eager": 4.2, "over_floor": 2.4, "busy_core_factor": 1.5}
    good["queries"] |= {"three_over_one": 1.7, "power": 0.9}
    good["microphones"]["power"], good["running_time"]["grown_share"] = 0.5, 0.01
    good["graph"] |= {"drops": 0}
    good["graph"]["full"]["latency_from_the_sample_ms"]["p95"] = 149.0
    assert all(claim.held for claim in claims(good))
    late = copy.deepcopy(good)
    late["graph"]["full"]["latency_from_the_sample_ms"]["p95"] = 150.0
    assert [claim.held for claim in claims(late)].count(False) == 1
    for section, name, bad in (("window", "speedup_vs_eager", 3.9), ("window", "over_floor", 2.6),
                               ("window", "busy_core_factor", 2.6), ("queries", "three_over_one", 1.9),
                               ("microphones", "power", 1.1), ("graph", "rtf", 0.5),
                               ("graph", "drops", 1), ("running_time", "grown_share", 0.2)):
        worse = copy.deepcopy(good)
        worse[section][name] = bad
        assert [claim.held for claim in claims(worse)].count(False) == 1
    short = copy.deepcopy(good)
    short["graph"]["minutes"] = 1.0
    assert [claim.held for claim in claims(short)].count(None) == 1  # too short to know


def test_a_hop_that_grows_dearer_is_said_to_and_waves_of_slowness_make_that_unsure():
    hops = np.arange(2340)  # ten minutes
    grown = drift(100 + hops * HOP_S / 60, HOP_S)
    assert grown["ms_a_minute"] == pytest.approx(1, abs=1e-3) and grown["grown_share"] == pytest.approx(0.095, abs=1e-3)
    assert grown["ms_a_minute_95"] == pytest.approx([1, 1], abs=1e-3) and len(grown["ms"]) == 20
    slow = scene_rng("waves").normal(0, 3, 30).repeat(78)  # 20 s each
    waves = drift(100 + slow + scene_rng("hops").normal(0, 1, len(hops)), HOP_S)
    low, high = waves["ms_a_minute_95"]
    assert low < 0 < high  # hop by hop it would be 0.08 to 0.16, and sure


def test_of_windows_one_by_one_none_finds_frames_of_the_one_before():
    front_end, windows = SMALL.front_end, scene_windows(SMALL)
    assert n_new_frames(windows[0], windows[1], front_end.hop) == 31  # as in a node
    assert n_new_frames(windows[1], windows[0], front_end.hop) == front_end.n_frames


def test_a_graph_is_as_slow_as_its_slowest_node(tool):
    slow = ENDURE | {"real_time_factor": {"ssl_node: windows": "0.1", "ssc_node: windows": "0.4"}}
    assert tool.of_graph(slow)["rtf"] == 0.4


@pytest.mark.parametrize("width", [1.0, 1 / 4])
def test_the_arithmetic_is_what_torch_counts(width):
    config = SystemConfig(LABELS, width=width)
    system, x, gain = System(config).eval(), torch.zeros(1, 15, 256, 256), torch.zeros(1, 8)
    system.sss[0].sight = LaidOutMap()
    counted = {}
    for name, network, given in (("ssl", system.ssl, (x,)), ("sss", system.sss[0], (x, gain)),
                                 ("ssc", system.ssc, (x[:, 0],))):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            network(*given)
        counted[name] = network_work(network, given, 4).macs
        assert counted[name] == counter.get_total_flops() / 2
    works = stage_works(config, "f32")
    assert works["sss"].macs == 2 * (counted["sss"] - planes_work(config, 4).macs)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        steered = SystemConfig(LABELS, width=width, system="cascade", steered=True)
        System(steered).eval().sss[0](x, gain)
    assert stage_works(steered, "f32")["sss"].macs == counter.get_total_flops() / 2
    if width == 1:  # the table of docs/reading.md
        assert [round(counted[name] / 1e9, 3) for name in ("ssl", "sss", "ssc")] == [1.765, 2.276, 1.237]


def test_the_bytes_of_a_layer_are_its_input_its_weights_and_its_output():
    layer = torch.nn.Conv2d(3, 5, 3, padding=1)
    assert network_work(layer, (torch.zeros(1, 3, 8, 8),), 2) == Work(64 * 5 * 27, 2 * (3 * 64 + 5 * 27 + 5 * 64))
    assert stage_works(SMALL, "bf16")["ssl"].bytes == stage_works(SMALL, "f32")["ssl"].bytes / 2


def test_a_steady_system_asks_as_many_directions_as_told(tmp_path):
    hearing = Hearing(load_engine(save_steady(tmp_path / "steady.safetensors", SMALL)))
    known = list(range(8))  # whatever was heard before
    for k in (0, 1, 3, 8):
        hearing.direction_threshold = threshold_for(k)
        sources = hearing(scene_windows(SMALL)[k], known)
        assert [source.direction for source in sources] == list(range(k))


def test_the_crnn_is_a_picture_of_the_window(tmp_path):
    features = crnn_features(four_microphones(), 16000)
    assert features.shape == (4 + 6, 204, 64)
    later = np.roll(four_microphones()[:1], 3, axis=-1)
    lags = crnn_features(np.concatenate([four_microphones()[:1], later, later, later]), 16000)[4]  # of the first pair
    assert np.median(lags.argmax(axis=-1)) == 32 - 3


def test_a_busy_neighbour_ends_with_a_bench_that_is_killed():
    code = """
import os, signal
from seld_overlap_ros.speed.timing import Neighbour
Neighbour().beside(lambda: os.kill(os.getpid(), signal.SIGKILL))
"""
    bench = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    try:
        bench.communicate(timeout=LIMIT_S)  # the neighbour holds its output open, too
        assert bench.returncode == -signal.SIGKILL
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(bench.pid, signal.SIGKILL)


def test_all_works_come_first_in_turn():
    order = []

    def work(name):
        order.append(name)
        return 1.0

    times = in_turn({name: lambda name=name: work(name) for name in "abc"}, rounds=3)
    assert "".join(order) == "abcbca" + "cababcbca"
    assert {name: len(own) for name, own in times.items()} == {"a": 3, "b": 3, "c": 3}


def test_quartiles_are_those_of_the_repeats():
    assert quartiles(np.arange(5.0)) == {"median": 2.0, "quartiles": [1.0, 3.0], "repeats": 5}


def test_a_busy_machine_is_warned_of():
    assert load_warnings({"load_at_start": [0.1, 3, 3], "cores": 2}) == []
    assert "busy at the start (load 1.2 on 2 cores)" in load_warnings({"load_at_start": [1.2, 0, 0], "cores": 2})[0]
