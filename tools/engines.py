"""Hold every engine against torch on stored mixtures: python tools/engines.py --limit 500

Says how far apart they are, how long each takes and, where the model knows the mixtures' classes, how each scores.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from seld_overlap_ros.cli_data import bar
from seld_overlap_ros.dsp.features import FLOOR_DB, analyse
from seld_overlap_ros.evaluation.outcomes import THRESHOLD, check_fit, evaluate, piece
from seld_overlap_ros.evaluation.scores import all_scores, plain
from seld_overlap_ros.hearing import Activity, localize, separate
from seld_overlap_ros.models.engine import DEFAULT_MODEL, Engine, load_engine, warm_up
from seld_overlap_ros.simulation.store import MixtureStore

REFERENCE = "torch"


def answers(engine: Engine, features: np.ndarray, asked: np.ndarray) -> tuple[Activity, np.ndarray, np.ndarray]:
    """Where something sounds, and for given directions (K,) what is separated (K, F, T) and its classes (K, C)."""
    activity = localize(engine, features, THRESHOLD, always_strongest=True)
    log_mag = separate(engine, features, Activity(activity.scores, asked)).log_mag
    return activity, log_mag, engine.classify(log_mag)


def differences(engine: Engine, reference: Engine, store: MixtureStore) -> Iterator[dict]:
    """Of each mixture, how an engine differs from the reference about the directions that the latter asks."""
    for index in bar(engine.title)(range(len(store))):
        features, _ = analyse(store[index].mixture, engine.config.front_end)
        asked = localize(reference, features, THRESHOLD, always_strongest=True).directions
        started = time.perf_counter()
        mine = answers(engine, features, asked)
        took_s = time.perf_counter() - started
        true = answers(reference, features, asked)
        yield {
            "ms": 1000 * took_s,
            "direction": np.abs(mine[0].scores - true[0].scores).max(),
            "same_asked": set(mine[0].directions.tolist()) == set(asked.tolist()),
            "level_db": FLOOR_DB * np.sqrt(np.mean((mine[1] - true[1]) ** 2)),
            "class": np.abs(mine[2] - true[2]).max(),
            "same_class": (mine[2].argmax(axis=1) == true[2].argmax(axis=1)).tolist(),
        }


def agreement(found: list[dict]) -> dict:
    """Differences of mixtures, summed up."""
    same_class = [same for one in found for same in one["same_class"]]
    return {
        "ms_median": np.median([one["ms"] for one in found]),
        "direction_probability_differs_by": max(one["direction"] for one in found),
        "mixtures_asked_alike": np.mean([one["same_asked"] for one in found]),
        "separated_level_differs_by_db_rms": np.mean([one["level_db"] for one in found]),
        "class_probability_differs_by": max(one["class"] for one in found),
        "sources_named_alike": np.mean(same_class),
        "sources": len(same_class),
    }


def scores(engine: Engine, store: MixtureStore) -> dict:
    """The paper's count and what is right of all sources; {} where the model does not know the mixtures."""
    try:
        check_fit(engine.config, store)
    except ValueError as error:
        return {"scores": str(error)}
    outcomes = evaluate(engine, store, bar(f"{engine.title}, scores"))
    found = all_scores(outcomes, engine.config.azimuths, engine.config.front_end.window_s, store.recordings)
    return {"n_per_1000": 1000 * found["count"]["accuracy"], "per_source": found["all_sources"]["accuracy"],
            "direction_f1": found["direction"]["f1"], "si_sdri": found["all_sources"]["si_sdri"]}


def main(model: str = DEFAULT_MODEL, mixtures: Path = Path("data/mixtures/test"), limit: int = 500,
         engines: Annotated[list[str], typer.Option("--engine")] = ["openvino", "openvino_f32"],  # noqa: B006
         ) -> None:
    """Compare, and print what was found as JSON."""
    store, reference = piece(MixtureStore.load(mixtures), 0, limit), load_engine(model, REFERENCE)
    report = {reference.title: scores(reference, store)}
    for name in engines:
        engine = load_engine(model, name)
        warm_up(engine)
        report[engine.title] = agreement(list(differences(engine, reference, store))) | scores(engine, store)
    print(json.dumps(plain(report), indent=1))


if __name__ == "__main__":
    typer.run(main)
