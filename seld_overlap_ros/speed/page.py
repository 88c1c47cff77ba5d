"""`speed.md`: what held, from `bench.json` alone, with its tables and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from seld_overlap_ros.evaluation.results_page import Claim
from seld_overlap_ros.markdown import table
from seld_overlap_ros.speed.measure import NETWORKS
from seld_overlap_ros.speed.plots import REAL_TIME, STAGES, draw_all
from seld_overlap_ros.streaming.sources import CHUNK_S

COMMAND, AGAIN = "make bench MINUTES=10", "python tools/bench.py --from-json build/bench/bench.json --out docs"
LATENCY_MS, LONG_MINUTES = 150.0, 10.0
STEADY = 0.05  # share by which a hop may cost more at the end of a long run


def write_page(results: dict, folder: Path) -> None:
    """Write `speed.md` and its pictures, in `speed/`, to a folder."""
    pictures = draw_all(results, folder / "speed")
    (folder / "speed.md").write_text(page_text(results, pictures), encoding="utf-8")


def claims(results: dict) -> Iterator[Claim]:
    """What the project asks for, against the numbers."""
    window, queries, mics, running = (results[name] for name in ("window", "queries", "microphones", "running_time"))
    yield Claim(window["speedup_vs_eager"] >= 4, "One window, one query: at least 4 times faster than eager PyTorch. "
                                                 f"{_with_quartiles(window, 'speedup_vs_eager')} times.")
    yield Claim(window["over_floor"] <= 2.5, "At most 2.5 times the floor. "
                                             f"{_with_quartiles(window, 'over_floor')} times.")
    yield Claim(queries["three_over_one"] <= 1.8, "Three sources cost at most 1.8 times one. "
                                                  f"{_with_quartiles(queries, 'three_over_one')} times.")
    yield Claim(window["busy_core_factor"] <= 2.5, "A busy neighbour core costs at most a factor 2.5. "
                f"{_with_quartiles(window, 'busy_core_factor')}; eager PyTorch: "
                f"{_with_quartiles(window, 'eager_busy_core_factor')}.")
    yield from graph_claims(results.get("graph"))
    yield Claim(running["grown_share"] <= STEADY,
                f"A hop costs at most {100 * STEADY:g} % more over {LONG_MINUTES:g} minutes. "
                f"{running['ms_a_minute']:+g} ms a minute (95 %: {running['ms_a_minute_95'][0]:+g} to "
                f"{running['ms_a_minute_95'][1]:+g}), {100 * running['grown_share']:+.1f} % over "
                f"{running['minutes']:g} minutes of audio, the median of {running['runs']} runs.")
    yield Claim(max(queries["power"], mics["power"]) <= 1, "Cost grows no faster than linearly. "
                f"From {queries['from']} to {queries['to']} sources with power {queries['power']:g} of their number "
                f"({queries['ms_each']:g} ms each), from {mics['from']} to {mics['to']} microphones with "
                f"{mics['power']:g} ({mics['ms_each']:g} ms each).")


def graph_claims(graph: dict | None) -> Iterator[Claim]:
    """What is asked of the graph `full`."""
    if graph is None:
        yield Claim(None, "The graphs: they were left out of this run.")
        return
    how = f"`full`, a hop of {graph['hop_s']:g} s, {graph['sources']} sources, {graph['minutes']:g} minutes"
    yield Claim(graph["rtf"] < REAL_TIME, f"{how}: real-time factor below {REAL_TIME:g}. {graph['rtf']:.3f}.")
    late_ms, published_ms = (graph["full"][name]["p95"] for name in ("latency_from_the_sample_ms", "latency_ms"))
    yield Claim(late_ms < LATENCY_MS, f"From the last sample to the event below {LATENCY_MS:g} ms (95th percentile). "
                f"{late_ms:.0f} ms; from its publication on, {published_ms:.0f} ms.")
    held = None if graph["minutes"] < LONG_MINUTES and not graph["drops"] else not graph["drops"]
    yield Claim(held, f"No drops in {LONG_MINUTES:g} minutes. {graph['drops']} in {graph['minutes']:g}.")


def page_text(results: dict, pictures: dict[str, str]) -> str:
    """The page in Markdown."""
    words = {True: "**held**", False: "**did not hold**", None: "**not tried**"}
    machine, floor, engine = results["machine"], results["floor"], results["engine"]
    parts = [
        "# How fast it is", "",
        f"Written by `{COMMAND}` from its `bench.json`, and for this folder by `{AGAIN}`; edit nothing here.", "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB; {machine['system']}, Python "
        f"{machine['python']}, {', '.join(f'{name} {version}' for name, version in machine['packages'].items())}; "
        f"{machine['at']}, load at the start {machine['load_at_start'][0]:g}. The networks ran on {engine['name']} "
        f"({engine['precision']}).", "",
        *(f"**{sentence}**\n" for sentence in results["warnings"]),
        "Times are medians, with quartiles in brackets; what is compared was taken in turn, in one run, each in a "
        "process of its own, and called twice, of which the second counts. The model is the shipped one, in which SSL "
        "was made to ask as many directions as told, whatever sounds; its cost is the same.", "",
        "## What held", "", *(f"- {words[claim.held]}: {claim.text}" for claim in claims(results)), "",
        "## One window, one query", "", *stage_table(results), "", f"![{pictures['stages.png']}](speed/stages.png)", "",
        "The floor is the arithmetic at the rate of a product of two large matrices in the same run "
        f"({_rates(floor['gmac_a_second'])} GMAC/s), plus the bytes that each layer reads and writes once, at that of "
        f"the faster of two copies, a large one and one in cache ({_rates(floor['gb_a_second'])} GB/s): "
        f"{floor['arithmetic_ms']:.2f} and {floor['bytes_ms']:.2f} ms. `gate` is what `gate_node` does alone; "
        "elsewhere it is part of SSS. After other work (the first of the two calls) caches are cold and threads "
        "asleep, as on a robot between its windows. A window that follows another, at the default hop, shares most of "
        "its frames and their features with it.", "", networks_part(results), "",
        "## What it grows with", "", f"![{pictures['growth.png']}](speed/growth.png)", "",
        f"![{pictures['time.png']}](speed/time.png)", "",
        *graph_part(results.get("graph")),
        "## What one would pick instead", "", *opponent_table(results), "",
        f"![{pictures['opponents.png']}](speed/opponents.png)", "",
        "The CRNN is one of the size of the baseline of DCASE 2023, task 3 (three convolutions of 64, two GRU layers "
        "of 128, two of attention, four microphones), in code of our own and with random weights.", "",
        *making_part(results),
    ]  # fmt: skip
    return "\n".join(parts)


def networks_part(results: dict) -> str:
    """What the networks alone take, and what keeps a whole window farther from the floor."""
    default, eager = (sum(results["stages"][name][f"{who}_ms"] for name in NETWORKS) for who in ("default", "eager"))
    least = sum(results["floor"]["stages"][name]["ms"] for name in NETWORKS)
    return (f"The networks by themselves take {default:.2f} ms: {eager / default:.2f} times faster than by eager "
            f"PyTorch, and {default / least:.2f} times their floor. The rest, features and resynthesis, are Fourier "
            "transforms and passes over memory by scipy and numpy, nearly the same in both, and no product of matrices "
            "says how fast those can be.")


def stage_table(results: dict) -> list[str]:
    """As shipped, by eager PyTorch, and the floor."""
    floor, rows = results["floor"], []
    for name, title in {**STAGES, "gate": "`gate`", "window": "**whole window**"}.items():
        own = results["window"] if name == "window" else results["stages"][name]
        least = floor["stages"].get(name, {"ms": floor["window_ms"]} if name == "window" else {})
        rows.append((title, _with_quartiles(own, "default_ms"), _with_quartiles(own, "eager_ms"),
                     f"{own['speedup_vs_eager']:.2f}", _number(least.get("ms"), 2), _number(own.get("over_floor"), 2),
                     _number(least.get("mmac"), 0), _number(least.get("mb"), 1)))
    first = [_with_quartiles(results["window"], f"first_{name}_ms") for name in ("default", "eager")]
    rows.append(("a window after other work", *first, f"{results['window']['first_speedup_vs_eager']:.2f}", "", "", "",
                 ""))
    own = results["following"]
    rows.append(("a window that follows another", _with_quartiles(own, "default_ms"), "",
                 f"{own['speedup_vs_eager']:.2f}", f"{floor['following_ms']:.2f}", f"{own['over_floor']:.2f}", "", ""))
    return table(("", "as shipped [ms]", "PyTorch eager [ms]", "times faster", "floor [ms]", "over the floor", "MMAC",
                  "MB"), rows)


def graph_part(graph: dict | None) -> list[str]:
    """The graphs over DDS."""
    if graph is None:
        return []
    head = ("graph", "real-time factor", "latency [ms]: median, 95 %, most", "from the sample", "ms a minute",
            "dropped", "CPU s a second", "peak memory [MB]", "load at the end")
    return [
        "## The graphs", "",
        f"`scene_player` plays the shipped scene round and round in real time, {graph['minutes']:g} minutes for each "
        f"graph; a hop of {graph['hop_s']:g} s, {graph['sources']} queries in every window, real DDS. Latency is from "
        "the publication of the chunk with the last sample of a window to its event in another process; beside it, "
        f"from that sample itself, which waits for the rest of its chunk of {CHUNK_S:g} s.", "",
        *table(head, (_graph_row(name, graph[name]) for name in ("full", "stages"))), "",
    ]


def _graph_row(name: str, own: dict) -> tuple[str, ...]:
    late, from_sample = (f"{each['median']}, {each['p95']}, {each['most']}"
                         for each in (own["latency_ms"], own["latency_from_the_sample_ms"]))
    return (f"`{name}`", f"{own['rtf']:.3f}", late, from_sample, f"{own['latency_ms_a_minute']:+.2f}",
            f"{own['drops']} of {own['windows']}", _by_node(own["cpu_s_a_second"]), _by_node(own["peak_mb"]),
            f"{own['load']:.1f}")


def opponent_table(results: dict) -> list[str]:
    """What each costs, and what it says for that."""
    return table(("", "ms a second of audio", "says"), (
        (entry["name"], _with_quartiles(entry, "ms_a_second"), entry["says"])
        for entry in results["opponents"]["costs"]))


def making_part(results: dict) -> list[str]:
    """Training, and the mixtures for it."""
    training, generation = results["training"], results["generation"]
    return [
        "## Training and its data", "",
        f"A step of the overlapped system at width {training['width']:g}, {training['batch']} mixtures: "
        f"{_with_quartiles(training, 'bare_samples_a_second')} samples a second bare, "
        f"{_with_quartiles(training, 'samples_a_second')} fed from a store as `seld-overlap train` does it "
        f"({100 * training['fed_over_bare']:.0f} %). A sample costs {training['stored_ms']:.1f} ms from the store, "
        f"{training['fresh_ms']:.1f} ms drawn fresh, and {training['step_ms']:.1f} ms in the step.", "",
        f"A mixture drawn from a bank of rooms takes {_with_quartiles(generation, 'drawn_ms')} ms, and one for which "
        f"pyroomacoustics simulates a room {_with_quartiles(generation, 'naive_ms')} ms. With the "
        f"{generation['room_s']:g} s that a room takes, shared by {generation['mixtures_a_room']} mixtures: "
        f"{generation['speedup']:g} times faster.", "",
    ]


def _with_quartiles(entry: dict, name: str) -> str:
    low, high = entry["spread"][name]["quartiles"]
    return f"{entry[name]:.2f} ({low:.2f} to {high:.2f})"


def _rates(rates: dict[str, float]) -> str:
    return ", ".join(f"{name} {rate:g}" for name, rate in rates.items())


def _by_node(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
