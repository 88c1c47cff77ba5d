"""What each change of SSC in the recipe `plus` gains by itself: python tools/try_classification.py OUT

SSC is trained on clean sources, with all changes and without each of them, twice as wide, twice as long, and in f32
where the processor would take bf16, and asked for all clean sources of the test mixtures, for docs/plus.md; so is the
mean of what they say. A training that was cut off goes on; one that has ended is only scored. Two cores are used best
by two commands side by side, each with an --only of its own, and OMP_NUM_THREADS=1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Optional
from unittest.mock import patch

import numpy as np
import torch
import typer

from seld_overlap_ros.cli_data import bar, shipped
from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.dsp.features import log_magnitude
from seld_overlap_ros.dsp.stft import stft
from seld_overlap_ros.evaluation.results_page import percent
from seld_overlap_ros.evaluation.scores import interval95_over, p_over
from seld_overlap_ros.markdown import table
from seld_overlap_ros.memory import keep_freed_memory
from seld_overlap_ros.models.system import System
from seld_overlap_ros.simulation.store import MixtureStore
from seld_overlap_ros.training import train as train_module
from seld_overlap_ros.training.recipe import Recipe, load_recipe
from seld_overlap_ros.training.stages import SOURCES, load_networks, stage_file
from seld_overlap_ros.training.train import Mixtures, claim, train_stage

IN_F32 = "in f32"
VARIANTS = {  # what the recipe, and what its stage `ssc`, is otherwise
    "plus": ({}, {}),
    "no mel_bands": ({"mel_bands": 0}, {}),
    "no smoothing": ({"smoothing": 0.0}, {}),
    "no coloured": ({}, {"coloured": 0.0}),
    "no masked": ({}, {"masked": 0.0}),
    "wide": ({"width": 0.5}, {}),
    "longer": ({}, {"epochs": 24}),
    IN_F32: ({}, {}),
}


def try_classification(
    out: Path,
    mixtures: Path = Path("data/mixtures"),
    only: Annotated[Optional[list[str]], typer.Option(help=f"One of {', '.join(VARIANTS)}; may be repeated.")] = None,
    seed: int = 0,
    epochs: Annotated[Optional[int], typer.Option(help="Passes, in place of those of the recipe.")] = None,
    limit: Annotated[Optional[int], typer.Option(help="Only the first so many mixtures.")] = None,
) -> None:
    """Train the stage `ssc` of `plus`, all of it and otherwise, and print how many sources each names."""
    keep_freed_memory()
    check_names(only, VARIANTS)
    train, val, test = splits(mixtures, limit)
    true = np.array([test.labels.index(event["label"]) for truth in test.truth for event in truth["events"]])
    scores = {}
    for name in only or VARIANTS:
        recipe, folder = variant(name, epochs), out / str(seed) / name.replace(" ", "_")
        config = SystemConfig(val.labels, "cascade", recipe.width, recipe.mel_bands, array=val.array,
                              azimuths=val.azimuths)
        claim(folder, {"recipe": recipe.to_dict(), "seed": seed, "mixtures": len(train), "content": train.content,
                       "asked": len(test), "test": test.content})
        if not stage_file(folder, "ssc").is_file():
            with patch.object(train_module, "precision", lambda: "32-true") if name == IN_F32 else nullcontext():
                print(name, train_stage("ssc", config, recipe, Mixtures(train, val), folder, seed))
        if not (folder / "scores.npy").is_file():
            np.save(folder / "scores.npy", scores_of(config, folder, test))
        scores[name] = np.load(folder / "scores.npy")
    if len(scores) > 1:
        scores["mean of all"] = np.mean(list(scores.values()), axis=0)
    report("SSC", {name: own.argmax(axis=1) == true for name, own in scores.items()}, np.array(test.recordings))


def check_names(only: Sequence[str] | None, variants: Iterable[str]) -> None:
    """Raises BadParameter for a name that no variant has."""
    if unknown := sorted(set(only or ()) - set(variants)):
        raise typer.BadParameter(f"no {', '.join(unknown)}; there are {', '.join(variants)}")


def splits(mixtures: Path, limit: int | None) -> tuple[MixtureStore, MixtureStore, MixtureStore]:
    """The stores train, val and test; of the first and the last no more than `limit` mixtures."""
    train, val, test = (MixtureStore.load(mixtures / split) for split in ("train", "val", "test"))
    return replace(train, truth=train.truth[:limit]), val, replace(test, truth=test.truth[:limit])


def variant(name: str, epochs: int | None) -> Recipe:
    """The recipe `plus` with nothing but its stage `ssc`, all of it or otherwise in one thing."""
    recipe, (of_recipe, of_stage) = load_recipe(shipped("training/recipes", "plus")), VARIANTS[name]
    stage = replace(recipe.stages["ssc"], **of_stage)
    return replace(recipe, **of_recipe, stages={"ssc": replace(stage, epochs=epochs or stage.epochs)})


@torch.inference_mode()
def scores_of(config: SystemConfig, folder: Path, mixtures: MixtureStore) -> np.ndarray:
    """The probability of each class for each clean source of the mixtures, by the SSC trained in `folder`, (S, C)."""
    system = System(config).eval()
    load_networks(system, {"ssc": SOURCES["cascade"]["ssc"]}, folder)
    found = []
    for index in bar("clean sources")(range(len(mixtures))):
        clean = torch.from_numpy(log_magnitude(stft(mixtures[index].stems, config.front_end)))
        found.append(torch.softmax(system.ssc(clean), dim=1).numpy())
    return np.concatenate(found)


def report(title: str, hits: dict[str, np.ndarray], recordings: np.ndarray, base: str = "plus") -> None:
    """Print what each variant of `hits` names (S,) bool, and how that compares with `base`, if it is among them."""
    heads = (title, "names", "95 %, over recordings", f"against `{base}`", "p, over recordings")
    print("\n".join(table(heads, (
        (name, percent(own.mean()), " to ".join(f"{100 * limit:.1f}" for limit in interval95_over(own, recordings)),
         *against(own, hits.get(base, own), recordings)) for name, own in hits.items()))))


def against(own: np.ndarray, base: np.ndarray, recordings: np.ndarray) -> tuple[str, str]:
    """Points and p of hits (S,) bool against others; empty against themselves."""
    if own is base:
        return "", ""
    p = p_over(own, base, recordings)
    return f"{100 * (own.mean() - base.mean()):+.1f} points", "< .001" if p < 0.001 else f"{p:.3f}"


if __name__ == "__main__":
    typer.run(try_classification)
