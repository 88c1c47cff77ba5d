"""Pictures of `results.json`, drawn from it alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#2f7ed8", "#e8590c", "#2b8a3e", "#ae3ec9", "#b07d00", "#0c8599", "#d6336c", "#5f7fa8")
CEILING = {"color": "#868e96", "linestyle": "--", "linewidth": 1}


def draw_all(results: dict, folder: Path) -> dict[str, str]:
    """Draw every picture into a folder -> file name and what it shows."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = {}
    for draw in (accuracy, by_sources, confusion_matrix, gains, *([mixtures] if curves(results) else [])):
        name = f"{draw.__name__}.png"
        shown[name] = _picture(draw, results, folder / name)
    return shown


def _picture(draw: Callable[[dict], Figure], results: dict, path: Path) -> str:
    figure = draw(results)
    figure.savefig(path, dpi=100, bbox_inches="tight")
    return draw.__doc__.splitlines()[0]


def accuracy(results: dict) -> Figure:
    """Accuracy of each system and seed in the test, 95 % intervals over recordings, ceiling, and the paper's figure."""
    names = list(results["systems"])
    figure = Figure(figsize=(max(5.0, 1.5 * len(names) + 1), 3.6))
    axis = figure.subplots()
    for i, seed in enumerate(results["seeds"]):
        offset = 0.14 * (i - (len(results["seeds"]) - 1) / 2)
        own = {names.index(name) + offset: system for name, system in seed["systems"].items()}
        colour = COLOURS[i % len(COLOURS)]
        axis.plot(list(own), [100 * system["accuracy_test"] for system in own.values()], "o", color=colour,
                  label=f"{seed['run']} (seed {seed['seed']})")
        _intervals(axis, own, [system["ci95_recordings"] for system in own.values()], colour)
    for x, name in enumerate(names):
        if name in results["paper"]:
            axis.plot(x - 0.33, 100 * results["paper"][name], "D", color="black", fillstyle="none",
                      label="paper, on its own data" if x == 0 else None)
        axis.hlines(100 * results["systems"][name]["ceiling"], x - 0.4, x + 0.4, **CEILING,
                    label="ceiling: SSC on the clean source" if x == 0 else None)
    axis.set_xticks(range(len(names)), names)
    axis.set_xlim(-0.6, len(names) - 0.4)
    _finish(axis, "accuracy, one source a mixture [%]")
    return figure


def by_sources(results: dict) -> Figure:
    """Accuracy over all sources of the test mixtures by their number, 95 % intervals over recordings, and ceiling."""
    figure = Figure(figsize=(5.5, 3.4))
    axis = figure.subplots()
    width = 0.8 / len(results["systems"])
    for i, (name, system) in enumerate(results["systems"].items()):
        own = {int(k) + width * (i + 0.5) - 0.4: group for k, group in system["by_sources"].items()}
        axis.bar(list(own), [100 * group["accuracy"] for group in own.values()], 0.9 * width,
                 color=COLOURS[i % len(COLOURS)], label=name)
        _intervals(axis, own, [group["ci95_recordings"] for group in own.values()], "black")
        for x, group in own.items():
            axis.hlines(100 * group["ceiling"], x - 0.45 * width, x + 0.45 * width, **CEILING)
    axis.set_xticks(sorted({int(k) for system in results["systems"].values() for k in system["by_sources"]}))
    axis.set_xlabel("sources in the mixture")
    axis.set_ylim(bottom=0)
    _finish(axis, "accuracy, all sources [%]")
    return figure


def confusion_matrix(results: dict) -> Figure:
    """What each class was called, of the sources that the best system found; each row adds up to 100 %."""
    best = results["best"]
    counts, labels = np.array(best["confusion"], float), [label.replace("_", " ") for label in best["labels"]]
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(4.0, 0.145 * len(labels) + 2)
    figure = Figure(figsize=(size + 0.6, size))
    axis = figure.subplots()
    image = axis.imshow(100 * share, cmap="magma_r", vmin=0, vmax=100)
    for set_ticks, rotation in ((axis.set_xticks, 90), (axis.set_yticks, 0)):
        set_ticks(range(len(labels)), labels, fontsize=7, rotation=rotation)
    axis.set_xlabel("said")
    axis.set_ylabel("true")
    axis.set_title(f"{best['system']} ({best['run']})", fontsize=10)
    figure.colorbar(image, ax=axis, fraction=0.04, pad=0.02).set_label("%")
    return figure


def gains(results: dict) -> Figure:
    """SI-SDR improvement of the sources that the best system found, by the number of sources in the mixture."""
    best = results["best"]
    edges = np.array(best["si_sdri_edges"])
    figure = Figure(figsize=(5.5, 3.2))
    axis = figure.subplots()
    for i, (k, counts) in enumerate(best["si_sdri_by_sources"].items()):
        share = 100 * np.array(counts) / max(sum(counts), 1)
        axis.stairs(share, edges, color=COLOURS[i], linewidth=1.6,
                    label=f"{k} source{'s' if k != '1' else ''} ({sum(counts)})")
    axis.axvline(0, **CEILING)
    axis.set_xlabel("SI-SDR improvement [dB]; what lies beyond is in the outer bins")
    axis.set_ylim(bottom=0)
    _finish(axis, "share of the sources [%]")
    return figure


def mixtures(results: dict) -> Figure:
    """Accuracy in the test against the number of mixtures that were learnt from, 95 % intervals over recordings."""
    figure = Figure(figsize=(5.5, 3.4))
    axis = figure.subplots()
    for i, (name, points) in enumerate(curves(results).items()):
        colour = COLOURS[i % len(COLOURS)]
        axis.plot(list(points), [100 * one["accuracy_test"] for one in points.values()], "o-", color=colour, label=name)
        _intervals(axis, points, [one["ci95_recordings"] for one in points.values()], colour)
    axis.set_xscale("log")
    sizes = sorted({n for points in curves(results).values() for n in points})
    axis.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axis.minorticks_off()
    axis.set_xlabel("mixtures")
    axis.set_ylim(bottom=0)
    _finish(axis, "accuracy, one source a mixture [%]")
    return figure


def curves(results: dict) -> dict[str, dict[int, dict]]:
    """Figures of each system by the number of mixtures it learnt from, where there is more than one such number.

    Of the training that was compared last with such others: one against another training says nothing of it.
    """
    compared = results.get("comparisons", [])
    for against in dict.fromkeys(one["against"] for one in reversed(compared)):
        if found := _curves([one for one in compared if one["against"] == against], results["seeds"], against):
            return found
    return {}


def _curves(compared: Sequence[dict], seeds: Sequence[dict], against: str) -> dict[str, dict[int, dict]]:
    reference = next(seed["systems"] for seed in seeds if seed["run"] == against)
    found = {}
    for name in dict.fromkeys([*reference, *(one["system"] for one in compared)]):
        own = [one for one in compared if one["system"] == name]
        own.append(reference.get(name, {}))  # which counts, where another has as many
        points = {one["mixtures"]: one for one in own if one.get("mixtures")}
        if len(points) > 1:
            found[name] = dict(sorted(points.items()))
    return found


def _intervals(axis: Axes, x: Iterable[float], limits: Sequence[Sequence[float]], colour: str) -> None:
    low, high = 100 * np.array(limits).T
    axis.vlines(list(x), low, high, color=colour, linewidth=1.2)


def _finish(axis: Axes, label: str) -> None:
    axis.set_ylabel(label)
    axis.grid(axis="y", alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
