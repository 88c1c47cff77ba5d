"""What SSS learns in a short training of its stage alone: python tools/try_separation.py RECIPE OUT

SI-SDR improvement where the true directions are given, for docs/plus.md, on stored mixtures that neither the training
nor the choice of its best pass has seen. A run that was cut off goes on; one that has ended is only scored.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import typer
from try_classical import si_sdr

from seld_overlap_ros.cli_data import shipped
from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.dsp.features import analyse, log_magnitude, resynthesise
from seld_overlap_ros.dsp.stft import stft
from seld_overlap_ros.memory import keep_freed_memory
from seld_overlap_ros.models.system import System
from seld_overlap_ros.simulation.mixture import Scene
from seld_overlap_ros.simulation.store import MixtureStore
from seld_overlap_ros.training.recipe import load_recipe
from seld_overlap_ros.training.stages import SOURCES, load_networks, stage_file
from seld_overlap_ros.training.train import Mixtures, claim, train_stage

CHOOSING = 96  # validation mixtures that choose the best pass; those after them are for the scores


def try_separation(recipe: str, out: Path, mixtures: Path = Path("data/mixtures"), limit: int = 1248, epochs: int = 2,
                   n: int = 100) -> None:
    """Train the stage `sss` of a recipe on the first `limit` mixtures, and score it on `n` others."""
    keep_freed_memory()
    loaded = load_recipe(shipped("training/recipes", recipe))
    loaded = replace(loaded, stages={"sss": replace(loaded.stages["sss"], epochs=epochs)})
    train, val = (MixtureStore.load(mixtures / split) for split in ("train", "val"))
    config = SystemConfig(val.labels, "cascade", loaded.width, steered=loaded.steered, array=val.array,
                          azimuths=val.azimuths)
    if not (out / "sss.json").is_file():  # what `seld-overlap train` leaves, of its own recipe
        claim(out, {"recipe": loaded.to_dict(), "mixtures": limit, "content": [train.content, val.content]})
    if not stage_file(out, "sss").is_file():
        chosen = Mixtures(replace(train, truth=train.truth[:limit]), replace(val, truth=val.truth[:CHOOSING]))
        print(train_stage("sss", config, loaded, chosen, out, seed=0))
    system = System(config).eval()
    load_networks(system, {"sss.0": SOURCES["cascade"]["sss.0"]}, out)
    gains = defaultdict(list)
    for index in range(CHOOSING, CHOOSING + n):
        for name, found in scores(system, val[index]).items():
            gains[name] += found
    print("| SI-SDRi [dB] | all | median | 1 sound | 2 | 3 |\n|---|---|---|---|---|---|")
    for name, found in gains.items():
        n_sounds, gain = np.array(found).T
        by_number = [gain[n_sounds == k].mean() for k in (1, 2, 3)]
        print("|", " | ".join([name, *(f"{value:.1f}" for value in (gain.mean(), np.median(gain), *by_number))]), "|")


@torch.inference_mode()
def scores(system: System, scene: Scene) -> dict[str, list[tuple[int, float]]]:
    """Number of sounds and improvement of each one, of what SSS separates, and of what it is to learn."""
    front_end = system.config.front_end
    features, phase = analyse(scene.mixture, front_end)
    asked = torch.eye(len(system.config.azimuths))[[event.direction for event in scene.events]]
    x = torch.from_numpy(np.ascontiguousarray(features)).expand(len(asked), -1, -1, -1)
    made = {"SSS": system.separate(x, asked).numpy(), "its target": log_magnitude(stft(scene.stems, front_end))}
    before = [si_sdr(scene.mixture[0], stem) for stem in scene.stems]
    return {name: [(len(asked), si_sdr(resynthesise(one, phase, front_end), stem) - was)
                   for one, stem, was in zip(planes, scene.stems, before, strict=True)]
            for name, planes in made.items()}


if __name__ == "__main__":
    typer.run(try_separation)
