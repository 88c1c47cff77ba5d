"""`models.md`: what the shipped models are, from the files themselves, with their figures from `results.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.evaluation.results_page import COMMAND, REPORT, number, percent
from seld_overlap_ros.evaluation.table1 import core_hours
from seld_overlap_ros.markdown import table
from seld_overlap_ros.models.checkpoint import (
    Checkpoint,
    find_model,
    read_checkpoint,
    read_training_record,
    sha256,
    shipped_models,
)

SYSTEMS = {
    "cascade": "SSL, SSS and SSC, each trained by itself",
    "ssl_sss": "SSL and SSS trained on together, SSC by itself",
    "sss_ssc": "SSS and SSC trained on together, SSL by itself",
    "overlap": "SSL with one SSS and SSC with another, joined by a gate and trained on as one: the paper's proposal",
}
BEYOND = {"steered": "a steered SSS", "mel_bands": "SSC on mel bands"}  # settings that the paper has not


def write_card(folder: Path) -> Path | None:
    """Write `models.md` in `folder`, and return its path; none where its `results.json` knows no shipped model."""
    figures = figures_by_model(json.loads((folder / "results.json").read_text(encoding="utf-8")))
    if not any((name, sha256(find_model(name))) in figures for name in shipped_models()):
        return None  # results of other trainings: what is shipped has its page elsewhere
    page = folder / "models.md"
    page.write_text("\n".join(_page(figures)) + "\n", encoding="utf-8")
    return page


def figures_by_model(results: dict) -> dict[tuple[str, str], dict]:
    """Name and SHA-256 of a model -> its entry in `results.json`."""
    return {(name, one["sha256"]): one for seed in results["seeds"] for name, one in seed["systems"].items()}


def _page(figures: dict[tuple[str, str], dict]) -> Iterator[str]:
    names = shipped_models()
    read = {name: read_checkpoint(name) for name in names}
    records = {name: read_training_record(name) for name in names}
    keys = {name: sha256(find_model(name)) for name in names}
    yield from (
        "# The shipped models", "",
        f"Written by `{REPORT}` from the files and from `results.json` (`{COMMAND}`); edit nothing here.", "",
        "Each is one safetensors file, with weights, array, front end, labels and how it was trained, and is known by "
        "its name: `model:=NAME`, `score --model NAME`, `evaluate --system NAME`.", "", "## What they are", "",
    )
    yield from table(
        ("name", "system", "classes", "directions", "microphones", "parameters", "MB", "SHA-256"),
        ((f"`{name}`", _system(one.config), len(one.config.labels),
          len(one.config.azimuths), one.config.array.n_microphones, f"{one.n_parameters / 1e6:.2f} M",
          f"{one.path.stat().st_size / 1e6:.1f}", f"`{keys[name][:16]}…`") for name, one in read.items()))
    yield from ("", "## How they were trained", "")
    yield from table(
        ("name", "recipe", "seed", "mixtures", "core hours", "stages"),
        ((f"`{name}`", record["recipe"]["name"], record["seed"], record.get("mixtures"),
          number(core_hours(record)), _stages(record)) for name, record in records.items()))
    yield from ("", "A stage with its passes: each through the stored mixtures, or, where they are fresh, through as "
                "many that are others in every pass; one query a mixture and pass. The recipes lie in "
                "`seld_overlap_ros/training/recipes/`. The sounds, their sources and licences: [data.md](data.md). "
                "The weights are under Apache-2.0, as far as that is ours to say.", "", "## How well they hear", "")
    yield from table(
        ("name", "n/1000", "accuracy", "ceiling", "direction F1", "SI-SDRi", "worst classes",
         "taken for another most often"),
        (_figures(name, figures[name, key]) for name, key in keys.items() if (name, key) in figures))
    yield from ("", "n/1000 is of validation mixtures, which share the noise of training and chose the passes; all "
                "else is of test mixtures, whose recordings and rooms neither of them had: see "
                "[results.md](results.md).")
    yield from ("", *_limits(next(iter(read.values()))))


def _system(config: SystemConfig) -> str:
    beyond = [words for setting, words in BEYOND.items() if getattr(config, setting)]
    return SYSTEMS.get(config.system, config.system) + (f", with {' and '.join(beyond)}" if beyond else "")


def _stages(record: dict) -> str:
    asked = {stage: record["recipe"]["stages"][stage] for stage in record["stages"]}
    own = ", ".join(f"`{stage}` {one['epochs']}{' fresh' if one.get('fresh') else ''}" for stage, one in asked.items())
    return f"{_stages(record['start']['training'])}; {own}" if "start" in record else own


def _figures(name: str, one: dict) -> tuple:
    worst = sorted(one["recall"], key=one["recall"].get)[:5]
    wrong = ", ".join(f"{entry['true']} as {entry['said']} ({entry['n']})" for entry in one["confusions"][:5])
    return (f"`{name}`", f"{one['n_per_1000']:.0f}", percent(one["accuracy_test"]), percent(one["ceiling"]),
            percent(one["direction_f1"]), number(one["si_sdri"], " dB"), ", ".join(worst), wrong)


def _limits(one: Checkpoint) -> Iterator[str]:
    """What the configuration and the data set bounds to."""
    config = one.config
    step = 360 / len(config.azimuths)
    yield from (
        "## What they are for, and what they are not", "",
        f"- They tell apart {len(config.azimuths)} directions, {step:.0f}° from one to the next, in the plane of the "
        f"array. Two sounds of one direction are one to them.",
        f"- They know windows of {config.front_end.window_s:.1f} s at {config.front_end.sample_rate / 1000:g} kHz: a "
        "shorter sound fills a part of its window, a longer one goes on from window to window under one id.",
        "- They learnt from one to three sounds at a time, in simulated shoebox rooms with noise that comes from all "
        "around. Recordings of a real array differ by its housing, its microphones' spread and its robot's own noise.",
        "- They know their array and no other: for another one, train (README.md). Microphones in another "
        "order are heard from wrong directions.",
        "- They always name one of their classes. What is none of them is named wrongly, with a lower score as a rule; "
        "the nodes call a sound unknown below a score. Told which classes can occur (`classes`), they name more of "
        "those rightly, and give them sounds of the others too.",
        "- Nothing of safety may hang on them alone.",
    )
