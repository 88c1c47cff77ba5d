"""What fresh mixtures gain in the stage `sss_ssc` of the recipe `plus`: python tools/try_fresh.py OUT SSC

SSS and SSC are trained together for five passes on the stored mixtures, the same ones in every pass, for five on as
many fresh ones, others in each, and for the ten of the recipe; then asked for all sources of the test mixtures, true
directions given, for docs/plus.md. All start from the same networks: the shipped `plus`'s SSS of SSL+SSS, and the SSC
in the folder SSC, which has learnt from clean stored sources only (`tools/try_classification.py` leaves it in
`data/runs/ssc/0/plus`). A training that was cut off goes on; one that has ended is only scored. Two cores are used
best by two commands side by side, each with an --only of its own, and OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import torch
import typer
from safetensors.torch import save_file
from try_classification import check_names, report, splits

from seld_overlap_ros.cli_data import bar, shipped
from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.dsp.features import analyse
from seld_overlap_ros.memory import keep_freed_memory
from seld_overlap_ros.models.checkpoint import find_model, sha256
from seld_overlap_ros.models.system import System, load_model
from seld_overlap_ros.simulation.fresh import load_fresh
from seld_overlap_ros.simulation.store import MixtureStore
from seld_overlap_ros.training.recipe import Recipe, load_recipe
from seld_overlap_ros.training.stages import SOURCES, load_networks, stage_file
from seld_overlap_ros.training.train import Mixtures, claim, train_stage

STAGE = "sss_ssc"
VARIANTS = {  # what the stage is otherwise
    "five": {"epochs": 5},
    "stored": {"epochs": 5, "fresh": False},
    "plus": {},
}


def try_fresh(
    out: Path,
    ssc: Path,
    data: Path = Path("data"),
    only: Annotated[Optional[list[str]], typer.Option(help=f"One of {', '.join(VARIANTS)}; may be repeated.")] = None,
    epochs: Annotated[Optional[int], typer.Option(help="Passes, in place of those of the recipe.")] = None,
    limit: Annotated[Optional[int], typer.Option(help="Only the first so many mixtures.")] = None,
) -> None:
    """Train the stage `sss_ssc` of `plus`, as it is and otherwise, and print how many sources each names."""
    keep_freed_memory()
    check_names(only, VARIANTS)
    train, val, test = splits(data / "mixtures", limit)
    mixtures = Mixtures(train, val, replace(load_fresh(data, "train", len(train), val.labels), varied=True))
    plus = load_model("plus")
    config = replace(plus.config, system="cascade")
    hits = {}
    for name in only or VARIANTS:
        recipe, folder = variant(name, epochs), out / name
        claim(folder, {"recipe": recipe.to_dict(), "mixtures": len(train), "content": train.content,
                       "fresh": mixtures.fresh.content, "asked": len(test), "test": test.content,
                       "start": [sha256(find_model("plus")), sha256(stage_file(ssc, "ssc"))]})
        if not stage_file(folder, STAGE).is_file():
            start(plus, ssc, folder)
            print(name, train_stage(STAGE, config, recipe, mixtures, folder, seed=0))
        if not (folder / "hits.npy").is_file():
            np.save(folder / "hits.npy", named_right(config, folder, test))
        hits[name] = np.load(folder / "hits.npy")
    report("trained on", hits, np.array(test.recordings), base="five")


def variant(name: str, epochs: int | None) -> Recipe:
    """The recipe `plus` with nothing but its stage `sss_ssc`, as it is or otherwise in one thing."""
    recipe = load_recipe(shipped("training/recipes", "plus"))
    stage = recipe.stages[STAGE]
    stage = replace(stage, **VARIANTS[name])
    return replace(recipe, stages={STAGE: replace(stage, epochs=epochs or stage.epochs)})


def start(plus: System, ssc: Path, folder: Path) -> None:
    """Put the networks that the stage starts from where the stages before it would have left them."""
    shutil.copy(stage_file(ssc, "ssc"), stage_file(folder, "ssc"))
    weights = {f"sss.0.{name}": value.contiguous() for name, value in plus.sss[0].state_dict().items()}
    save_file(weights, stage_file(folder, "sss"))


@torch.inference_mode()
def named_right(config: SystemConfig, folder: Path, mixtures: MixtureStore) -> np.ndarray:
    """Whether SSS and SSC trained in `folder` name each source of the mixtures, true directions given, (S,) bool."""
    system = System(config).eval()
    sources = SOURCES[STAGE]
    load_networks(system, {name: sources[name] for name in ("sss.0", "ssc")}, folder)
    found = []
    for index in bar("sources")(range(len(mixtures))):
        scene = mixtures[index]
        features, _ = analyse(scene.mixture, config.front_end)
        asked = torch.eye(len(config.azimuths))[[event.direction for event in scene.events]]
        x = torch.from_numpy(np.ascontiguousarray(features)).expand(len(asked), -1, -1, -1)
        said = system.ssc(system.separate(x, asked)).argmax(dim=1).tolist()
        found += [config.labels[label] == event.label for label, event in zip(said, scene.events, strict=True)]
    return np.array(found)


if __name__ == "__main__":
    typer.run(try_fresh)
