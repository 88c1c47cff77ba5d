"""Pictures of `bench.json`, drawn from it alone. Marks are medians, lines go from quartile to quartile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from seld_overlap_ros.evaluation.plots import CEILING, COLOURS

NAMES = {"default_ms": "as shipped", "eager_ms": "PyTorch eager"}
COLOUR = dict(zip(NAMES, COLOURS, strict=False))
STAGES = {"features": "features", "ssl": "SSL", "sss": "SSS and gate", "ssc": "SSC", "resynthesis": "resynthesis"}
REAL_TIME = 0.5  # the real-time factor that a graph is to stay below


def draw_all(results: dict, folder: Path) -> dict[str, str]:
    """Draw what was measured into a folder -> file name and what it shows."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = {}
    for draw in (stages, growth, time, opponents):
        name = f"{draw.__name__}.png"
        draw(results).savefig(folder / name, dpi=100, bbox_inches="tight")
        shown[name] = draw.__doc__.splitlines()[0]
    return shown


def stages(results: dict) -> Figure:
    """One window with one query, stage by stage: as shipped, by eager PyTorch, and the floor."""
    figure = Figure(figsize=(8.5, 3.2))
    axis = figure.subplots()
    names = [*STAGES, "window"]
    places = np.arange(len(names))
    for i, (key, title) in enumerate(NAMES.items()):
        entries = [results["stages"][name] if name in STAGES else results["window"] for name in names]
        _bars(axis, places + 0.27 * (i - 1), entries, key, title, 0.25)
    floor = results["floor"]
    least = [floor["stages"][name]["ms"] if name in STAGES else floor["window_ms"] for name in names]
    axis.bar(places + 0.27, least, 0.25, color="#868e96", label=f"floor ({floor['precision']})")
    axis.set_xticks(places, [STAGES.get(name, "whole window") for name in names])
    axis.set_yscale("log")
    _finish(axis, "ms")
    return figure


def growth(results: dict) -> Figure:
    """One window: what it costs against the number of queries, of microphones, and the width of the networks."""
    figure = Figure(figsize=(10.5, 3.2))
    axes = figure.subplots(1, 3)
    shown = (("queries", "queries of a window", "sources"), ("microphones", "microphones, one query", "microphones"),
             ("widths", "width of the networks, one query", "width"))
    for axis, (section, title, x) in zip(axes, shown, strict=True):
        entries = results[section]["costs"]
        for key, name in NAMES.items():
            _curve(axis, [entry[x] for entry in entries], entries, key, name)
        axis.set_xlabel(title)
        axis.set_ylim(bottom=0)
        _ticks(axis.xaxis, [entry[x] for entry in entries])
        _finish(axis, "ms", legend=axis is axes[-1])
    figure.tight_layout()
    return figure


def time(results: dict) -> Figure:
    """Three sounds heard on and on: the real-time factor against the hop, and what a hop costs as time goes by."""
    figure = Figure(figsize=(9.0, 3.0))
    left, right = figure.subplots(1, 2)
    entries = results["hops"]["costs"]
    _curve(left, [entry["hop_s"] for entry in entries], entries, "rtf", None)
    left.axhline(REAL_TIME, **CEILING)
    left.set(xscale="log", yscale="log", xlabel="hop [s]")
    _ticks(left.xaxis, [entry["hop_s"] for entry in entries])
    low, high = left.get_ylim()
    _ticks(left.yaxis, [tick for tick in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5) if low <= tick <= high])
    _finish(left, "real-time factor", legend=False)
    running = results["running_time"]
    ms = running["ms"]
    right.plot((np.arange(len(ms)) + 0.5) * running["minutes"] / len(ms), ms, "o-", color=COLOURS[0])
    right.set_ylim(0, 1.3 * max(ms))
    right.set_xlabel(f"minutes of audio, a hop of {running['hop_s']:g} s")
    _finish(right, "ms a hop", legend=False)
    figure.tight_layout()
    return figure


def opponents(results: dict) -> Figure:
    """What a second of audio costs, window after window: this system, and what one would pick instead."""
    costs = results["opponents"]["costs"]
    figure = Figure(figsize=(7.0, 0.45 * len(costs) + 0.9))
    axis = figure.subplots()
    for y, entry in enumerate(reversed(costs)):
        low, high = entry["spread"]["ms_a_second"]["quartiles"]
        axis.barh(y, entry["ms_a_second"], 0.6, color=COLOURS[entry["kind"]])
        axis.hlines(y, low, high, color="black", linewidth=1.2)
    axis.set_yticks(range(len(costs)), [entry["name"] for entry in reversed(costs)])
    axis.set_xlabel("ms a second of audio")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", alpha=0.3)
    return figure


def _ticks(axis: Axis, values: Sequence[float]) -> None:
    axis.set_ticks(values, [f"{value:g}" for value in values])
    axis.set_ticks([], minor=True)


def _bars(axis: Axes, x: np.ndarray, entries: Sequence[dict], key: str, title: str, width: float) -> None:
    axis.bar(x, [entry[key] for entry in entries], width, color=COLOUR[key], label=title)
    axis.vlines(x, *np.array([entry["spread"][key]["quartiles"] for entry in entries]).T, color="black", linewidth=1.2)


def _curve(axis: Axes, x: Sequence[float], entries: Sequence[dict], key: str, title: str | None) -> None:
    colour = COLOUR.get(key, COLOURS[0])
    axis.plot(x, [entry[key] for entry in entries], "o-", color=colour, label=title, markersize=4)
    axis.vlines(x, *np.array([entry["spread"][key]["quartiles"] for entry in entries]).T, color=colour, linewidth=1.2)


def _finish(axis: Axes, label: str, legend: bool = True) -> None:
    axis.set_ylabel(label)
    axis.grid(axis="y", alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    if legend:
        axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
