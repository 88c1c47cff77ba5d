"""Training: every stage runs and hands its weights on, and a run that was cut off ends as an unbroken one does."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from seld_overlap_ros.config import FrontEnd, MicrophoneArray, SystemConfig, uniform_azimuths
from seld_overlap_ros.models.checkpoint import load_model, read_training_record
from seld_overlap_ros.simulation.fresh import FreshMixtures
from seld_overlap_ros.simulation.noise import NoiseBank
from seld_overlap_ros.simulation.rooms import make_bank, scene_rng
from seld_overlap_ros.simulation.store import make_store
from seld_overlap_ros.training.dataset import NO_CLASS, QueryDataset
from seld_overlap_ros.training.recipe import STAGES, Recipe, StageRecipe, load_recipe
from seld_overlap_ros.training.stages import Stage, stage_file
from seld_overlap_ros.training.train import Mixtures, train, train_stage

LABELS = ("high", "low")
CONFIG = SystemConfig(labels=LABELS, width=1 / 32)
SIZES = (("train", 6), ("val", 2))
RECIPE = Recipe("tiny", CONFIG.width, 10.0, 0.3, 0.2, {s: StageRecipe(2, 1e-3, 2) for s in STAGES})


@dataclass(frozen=True)
class Tone:
    label: str
    source: str
    samples: np.ndarray


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Mixtures:
    """Stores of six training and two validation mixtures of decaying tones in an anechoic room."""
    folder = tmp_path_factory.mktemp("data")
    time = np.arange(16000, dtype=np.float32) / 16000
    clips = {
        label: [Tone(label, f"{pitch} Hz", np.exp(-2 * time) * np.sin(2 * np.pi * pitch * time))]
        for label, pitch in zip(LABELS, (2000, 300), strict=True)
    }
    bank = make_bank("train", 1, MicrophoneArray.circular(), uniform_azimuths(), 16000, 1, anechoic=True)
    noise = NoiseBank(scene_rng("noise").standard_normal((1, 8, 70000)).astype(np.float16))
    fresh = [FreshMixtures(split, n, clips, bank, noise, FrontEnd().window_samples) for split, n in SIZES]
    return Mixtures(*(make_store(folder / mixtures.key, mixtures) for mixtures in fresh))


def test_all_stages_lead_to_a_checkpoint_that_says_how_it_was_trained(data, tmp_path):
    short = replace(RECIPE, stages={stage: StageRecipe(1, 1e-3, 2) for stage in STAGES})
    train(short, CONFIG, data, tmp_path, systems=("cascade", "overlap"))
    assert load_model(tmp_path / "cascade.model.safetensors").config.system == "cascade"
    system = load_model(tmp_path / "overlap.model.safetensors")
    last = load_file(stage_file(tmp_path, "overlap"))
    assert all(torch.equal(value, last[name].half().float()) for name, value in system.state_dict().items())
    record = read_training_record(tmp_path / "overlap.model.safetensors")
    assert list(record["stages"]) == list(STAGES)
    assert (record["mixtures"], record["fresh"], record["recipe"]["name"]) == (6, False, "tiny")
    assert all(np.isfinite(stage["val/loss"]) for stage in record["stages"].values())


def test_a_run_that_was_cut_off_ends_as_an_unbroken_one(data, tmp_path, monkeypatch):
    train_stage("ssl", CONFIG, RECIPE, data, tmp_path / "whole", seed=3)

    step = Stage.training_step

    def cut_off(self, batch, index):
        if self.current_epoch == 1:
            raise RuntimeError("power cut")
        return step(self, batch, index)

    monkeypatch.setattr(Stage, "training_step", cut_off)
    with pytest.raises(RuntimeError, match="power cut"):
        train_stage("ssl", CONFIG, RECIPE, data, tmp_path / "cut", seed=3)
    monkeypatch.undo()
    train_stage("ssl", CONFIG, RECIPE, data, tmp_path / "cut", seed=3)

    whole, cut = (load_file(stage_file(tmp_path / name, "ssl")) for name in ("whole", "cut"))
    assert all(torch.equal(cut[name], value) for name, value in whole.items())


def test_a_folder_that_holds_another_training_is_refused(data, tmp_path):
    short = replace(RECIPE, stages={stage: StageRecipe(1, 1e-3, 2) for stage in STAGES})
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match="set --out to another folder"):
        train(short, CONFIG, data, tmp_path)


def test_a_stage_trains_only_its_own_networks(data, tmp_path):
    train_stage("sss", CONFIG, RECIPE, data, tmp_path, seed=0)
    assert all(name.startswith("sss.0.") for name in load_file(stage_file(tmp_path, "sss")))


def test_queries_change_with_the_epoch_and_depend_on_nothing_else(data):
    first, again, later = (QueryDataset(data.train, CONFIG, 0.5, seed=1, epoch=epoch) for epoch in (0, 0, 1))
    directions = [[int(item["direction"]) for item in dataset] for dataset in (first, again, later)]
    assert directions[0] == directions[1] != directions[2]


def test_an_empty_query_asks_for_silence_where_no_sound_is(data):
    for item in QueryDataset(data.train, CONFIG, empty_query=1.0):
        assert item["active"][item["direction"]] == 0
        assert item["label"] == NO_CLASS
        assert not item["target"].any()


@pytest.mark.parametrize(
    ("text", "said"),
    [("- a", "YAML mapping"), ("width: 1", "'stages'"), ("labels: [a]\nstages: {}", "'ssl'"), ("a: [", "YAML file")],
)
def test_a_malformed_recipe_is_refused_in_one_sentence(tmp_path, text, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"mine.yaml.*{said}"):
        load_recipe(path)
