"""Training: every stage runs and hands its weights on, and a run that was cut off ends as an unbroken one does."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch.utils.data import default_collate
from typer.testing import CliRunner

from seld_overlap_ros.cli import app
from seld_overlap_ros.config import FrontEnd, MicrophoneArray, SystemConfig, uniform_azimuths
from seld_overlap_ros.dsp.features import analyse
from seld_overlap_ros.evaluation.table1 import core_hours
from seld_overlap_ros.models.checkpoint import read_training_record
from seld_overlap_ros.models.system import System, load_model, save_model
from seld_overlap_ros.simulation import fresh as fresh_module
from seld_overlap_ros.simulation.fresh import FreshMixtures
from seld_overlap_ros.simulation.noise import NoiseBank
from seld_overlap_ros.simulation.rooms import make_bank, scene_rng
from seld_overlap_ros.simulation.store import MixtureStore, make_store
from seld_overlap_ros.training import feeding
from seld_overlap_ros.training import precision as precision_module
from seld_overlap_ros.training.dataset import NO_CLASS, QueryDataset, collate
from seld_overlap_ros.training.feeding import FeedingCost
from seld_overlap_ros.training.precision import precision
from seld_overlap_ros.training.progress import Feeding, Progress
from seld_overlap_ros.training.recipe import SHIPPED, Recipe, StageRecipe, load_recipe
from seld_overlap_ros.training.saving import MovableCheckpoint
from seld_overlap_ros.training.stages import INITIAL, TABLE_1, Stage, compressed_error, needed_stages, stage_file
from seld_overlap_ros.training.train import Mixtures, StageData, train, train_stage

LABELS = ("high", "low")
CONFIG = SystemConfig(labels=LABELS, width=1 / 32)
SIZES = (("train", 6), ("val", 2))
RECIPE = Recipe("tiny", CONFIG.width, 10.0, 0.3, 0.2, {s: StageRecipe(2, 1e-3, 2) for s in INITIAL})
SHORT = replace(RECIPE, stages={stage: StageRecipe(1, 1e-3, 2) for stage in INITIAL})
COMMAND = """
from seld_overlap_ros.cli import app
from seld_overlap_ros.training import train
train.ROUND = 3  # mixtures from checkpoint to checkpoint: two rounds a pass of the six
if __name__ == '__main__':
    app()
"""


@dataclass(frozen=True)
class Tone:
    label: str
    source: str
    samples: np.ndarray


@pytest.fixture(scope="module")
def drawn() -> list[FreshMixtures]:
    """Six training and two validation mixtures of decaying tones in an anechoic room."""
    time = np.arange(16000, dtype=np.float32) / 16000
    clips = {
        label: [Tone(label, f"{pitch} Hz", np.exp(-2 * time) * np.sin(2 * np.pi * pitch * time))]
        for label, pitch in zip(LABELS, (2000, 300), strict=True)
    }
    bank = make_bank("train", 1, MicrophoneArray.circular(), uniform_azimuths(), 16000, 1, anechoic=True)
    noise = NoiseBank(scene_rng("noise").standard_normal((1, 8, 70000)).astype(np.float16))
    return [FreshMixtures(split, n, clips, bank, noise, FrontEnd().window_samples) for split, n in SIZES]


@pytest.fixture(scope="module")
def stores(drawn, tmp_path_factory) -> Path:
    """Folder of the stores of them."""
    folder = tmp_path_factory.mktemp("data")
    for mixtures in drawn:
        make_store(folder / mixtures.key, mixtures)
    return folder


@pytest.fixture(scope="module")
def data(stores) -> Mixtures:
    return Mixtures(MixtureStore.load(stores / "train"), MixtureStore.load(stores / "val"))


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Path:
    """Folder of all stages, the last ones of them at a rate of zero: what they were handed is what they leave."""
    still = {stage: StageRecipe(1, 0.0, 2) for stage in ("overlap", "one_sss")}
    folder = tmp_path_factory.mktemp("trained")
    train(replace(SHORT, stages=SHORT.stages | still), CONFIG, data, folder, systems=[*TABLE_1, "one_sss"])
    return folder


def test_all_stages_lead_to_checkpoints_that_say_how_they_were_trained(trained):
    assert load_model(trained / "cascade.model.safetensors").config.system == "cascade"
    assert len(load_model(trained / "one_sss.model.safetensors").sss) == 1
    system = load_model(trained / "overlap.model.safetensors")
    last = load_file(stage_file(trained, "overlap"))
    assert all(torch.equal(value, last[name].half().float()) for name, value in system.state_dict().items())
    record = read_training_record(trained / "overlap.model.safetensors")
    assert list(record["stages"]) == ["ssl", "sss", "ssc", "ssl_sss", "sss_ssc", "overlap"]
    assert (record["mixtures"], record["recipe"]["width"], record["recipe"]["name"]) == (6, RECIPE.width, "tiny")
    assert all(np.isfinite(stage["val/loss"]) for stage in record["stages"].values())
    assert all(0 < stage["fed_share"] <= 1 for stage in record["stages"].values())
    assert any((trained / "tensorboard" / "overlap").glob("events.out.tfevents.*"))


@pytest.mark.parametrize(("stage", "network", "handed_by", "name_there"), [
    ("overlap", "ssl", "ssl_sss", "ssl"), ("overlap", "sss.0", "ssl_sss", "sss.0"),
    ("overlap", "sss.1", "sss_ssc", "sss.0"), ("overlap", "ssc", "sss_ssc", "ssc"),
    ("one_sss", "ssl", "ssl_sss", "ssl"), ("one_sss", "sss.0", "sss_ssc", "sss.0"),
    ("one_sss", "ssc", "sss_ssc", "ssc"),
])  # fmt: skip
def test_the_last_stages_start_from_what_the_joint_ones_have_learnt(trained, stage, network, handed_by, name_there):
    there, here = (load_file(stage_file(trained, name)) for name in (handed_by, stage))
    names = [name for name, _ in System(replace(CONFIG, system=stage)).get_submodule(network).named_parameters()]
    assert names
    assert all(torch.equal(here[f"{network}.{name}"], there[f"{name_there}.{name}"]) for name in names)


@pytest.mark.parametrize(("stage", "networks"), [
    ("ssl_sss", {"ssl": "ssl", "sss.0": "sss"}), ("sss_ssc", {"sss.0": "sss", "ssc": "ssc"}),
])
def test_the_joint_stages_start_from_what_each_network_has_learnt_alone(trained, stage, networks):
    first = Stage(stage, CONFIG, RECIPE, trained, 0).system.state_dict()
    for network, handed_by in networks.items():
        alone = load_file(stage_file(trained, handed_by))
        assert alone and all(name.startswith(f"{network}.") for name in alone)
        assert all(torch.equal(first[name], value) for name, value in alone.items())


def test_the_bar_tells_the_time_that_is_left_of_a_stage_and_how_well_it_is_fed():
    feeding, trainer = Feeding(1), SimpleNamespace(max_epochs=4, num_training_batches=10, global_step=10, loggers=[],
                                                   progress_bar_metrics={"train/loss": 0.5, "train/accuracy": 0.1})
    # a quarter is done in a minute, half of it on two cores
    feeding.load_state_dict({"step_s": 45.0, "wait_s": 15.0, "core_s": 90.0, "n_samples": 120})
    shown = Progress("ssl", feeding).get_metrics(trainer, None)
    assert shown == {"stage": "ssl", "left": "3 min", "fed": "75%", "loss": 0.5}
    assert feeding.figures() == {"samples_per_s": 2.0, "fed_share": 0.75, "minutes": 1.0, "cores": 1.5}


@pytest.mark.parametrize(("flags", "expected"), [
    ("avx2 avx512f avx512_bf16", "bf16-mixed"), ("fp asimd bf16", "bf16-mixed"), ("avx2 avx512f", "32-true"),
])  # fmt: skip
def test_training_computes_in_16_bits_where_the_processor_does(data, tmp_path, monkeypatch, flags, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(precision_module, "CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\n")
    assert precision() == expected
    if expected == "32-true":
        assert train_stage("ssl", CONFIG, SHORT, data, tmp_path, seed=0)["precision"] == expected


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "32-true"), ((8, 0), "bf16-mixed")])
def test_on_a_gpu_it_is_the_gpu_that_counts(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert precision() == expected


def test_a_step_that_is_timed_on_the_cpu_computes_in_what_the_cpu_does_also_beside_a_gpu(data, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu avx2\n")
    with monkeypatch.context() as machine:
        machine.setattr(torch.cuda, "is_available", lambda: True)
        machine.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
        machine.setattr(precision_module, "CPUINFO", tmp_path / "cpuinfo")
        step, in_16_bits = feeding.TrainingStep(CONFIG), []
    step._system.register_forward_hook(lambda *_: in_16_bits.append(torch.is_autocast_enabled("cpu")))
    step(collate([QueryDataset(data.train, CONFIG, 0.2)[i] for i in (0, 1)]))
    assert in_16_bits == [False]


def test_a_system_trains_no_stage_that_it_does_not_need():
    assert needed_stages(["cascade"]) == ("ssl", "sss", "ssc")
    assert needed_stages(["sss_ssc"]) == ("ssl", "sss", "ssc", "sss_ssc")
    assert needed_stages(["scratch"]) == ("scratch",)
    assert needed_stages(TABLE_1) == ("ssl", "sss", "ssc", "ssl_sss", "sss_ssc", "overlap")


def test_systems_share_the_stages_that_they_have_in_common(data, tmp_path):
    train(SHORT, CONFIG, data, tmp_path, systems=["cascade"])
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.safetensors") if "model" not in file.name}
    train(SHORT, CONFIG, data, tmp_path, systems=["sss_ssc"])
    assert {file: file.stat().st_mtime_ns for file in before} == before
    stage, cascade = load_file(stage_file(tmp_path, "sss_ssc")), load_file(stage_file(tmp_path, "sss"))
    assert any(not torch.equal(stage[name], value) for name, value in cascade.items())


def test_the_squared_loss_of_the_paper_falls_as_well(data, tmp_path):
    squared = replace(RECIPE, loss="squared", one_cycle=False, stages={"ssc": StageRecipe(8, 3e-3, 2, masked=0.1)})
    train_stage("ssc", CONFIG, squared, data, tmp_path, seed=0)
    losses = curve(tmp_path / "ssc" / "log")
    assert losses[-1] < losses[0]


def test_fresh_mixtures_are_others_in_every_pass_and_training_and_the_same_when_resumed(data, drawn):
    asked = StageRecipe(2, 1e-3, 2, fresh=True)
    with pytest.raises(ValueError, match="nothing to draw them from"):
        data.at_pass("ssl", asked, 0, 0)
    data = replace(data, fresh=replace(drawn[0], varied=True))
    first, again, later, other = (data.at_pass("ssl", asked, seed, number)[0].mixture
                                  for seed, number in ((0, 0), (0, 0), (0, 1), (1, 0)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, later) and not np.array_equal(first, other)


def test_what_feeding_costs_is_measured_of_fresh_mixtures_as_training_draws_them(stores, drawn, monkeypatch):
    monkeypatch.setattr(fresh_module, "load_fresh", lambda *_: drawn[0])
    seen = []
    monkeypatch.setattr(feeding, "feeding_cost", lambda _, fresh, width: seen.append(fresh) or FeedingCost(1, 1, 1))
    assert CliRunner().invoke(app, ["data", "feed", "--folder", str(stores), "--name", "."]).exit_code == 0
    assert seen[0].varied and not drawn[0].varied


def test_a_stage_learns_from_fresh_mixtures(data, drawn, tmp_path):
    recipe = replace(RECIPE, stages={"ssc": StageRecipe(8, 3e-3, 2, fresh=True, coloured=3.0, masked=0.1)})
    train_stage("ssc", CONFIG, recipe, replace(data, fresh=replace(drawn[0], varied=True)), tmp_path, seed=0)
    losses = curve(tmp_path / "ssc" / "log")
    assert losses[-1] < losses[0]


def curve(folder: Path) -> list[float]:
    """Training losses by step, as Lightning's CSV files say, those of a resumed run after those of the first."""
    losses = {}
    for file in sorted(folder.glob("version_*/metrics.csv")):
        losses |= losses_by_step(file)
    return [losses[step] for step in sorted(losses)]


def losses_by_step(file: Path) -> dict[int, float]:
    with file.open() as rows:
        return {int(row["step"]): float(row["train/loss"]) for row in csv.DictReader(rows) if row.get("train/loss")}


@pytest.fixture()
def command(stores, tmp_path):
    """Starts `seld-overlap train` in a process of its own, on the stored mixtures, to train from scratch."""
    (tmp_path / "command.py").write_text(COMMAND)
    recipe = {"width": 1 / 32, "separation_weight": 1.0, "localization_weight": 0.3, "empty_query": 0.2,
              "stages": {"scratch": {"epochs": 6, "learning_rate": 0.002, "batch": 2}}}  # fmt: skip
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(recipe))

    def start(out: str, *more: str) -> subprocess.Popen:
        line = [sys.executable, tmp_path / "command.py", "train", "--recipe", tmp_path / "short.yaml", "--mixtures",
                stores, "--out", tmp_path / out, "--system", "scratch", *more]  # fmt: skip
        return subprocess.Popen(list(map(str, line)), env={**os.environ, "PYTHONWARNINGS": "ignore"})

    return start


@pytest.mark.timeout(600)
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_training_goes_on_to_the_same_loss_curve(command, tmp_path, processes):
    shared = ("--processes", str(processes))
    assert command("whole", *shared).wait(timeout=200) == 0
    assert read_training_record(tmp_path / "whole" / "scratch.model.safetensors")["stages"]["scratch"][
        "processes"] == processes
    cut = command("cut", *shared)
    deadline = time.monotonic() + 200
    saved, logged = (tmp_path / "cut" / "scratch" / name for name in ("last.ckpt", "log"))
    while not (saved.is_file() and curve(logged)) and time.monotonic() < deadline:  # the loss is written after it
        time.sleep(0.01)
    assert saved.is_file()
    cut.send_signal(signal.SIGKILL)
    assert cut.wait() == -signal.SIGKILL
    assert command("cut", *shared).wait(timeout=200) == 0
    assert min(losses_by_step(logged / "version_1" / "metrics.csv")) > 0  # it does not begin anew
    whole, cut = (curve(tmp_path / name / "scratch" / "log") for name in ("whole", "cut"))
    assert len(whole) == 12 and cut == pytest.approx(whole, abs=1e-6)
    one, other = (load_file(stage_file(tmp_path / name, "scratch")) for name in ("whole", "cut"))
    assert all(torch.equal(one[name], value) for name, value in other.items())


def test_a_folder_that_was_copied_goes_on_by_itself(data, tmp_path):
    """Its best pass is its own, and what it was copied from stays as it was."""
    recipe = replace(SHORT, stages={"ssc": StageRecipe(3, 0.0, 2)})  # all passes are as good: the first one is kept
    train_stage("ssc", CONFIG, recipe, data, tmp_path / "one", seed=0)
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    stage_file(tmp_path / "other", "ssc").unlink()
    best, before = torch.load(tmp_path / "one" / "ssc" / "best.ckpt", weights_only=True), files(tmp_path / "one")
    [state] = [one for one in best["callbacks"].values() if one.get("monitor")]
    resumed = MovableCheckpoint(tmp_path / "other" / "ssc", "best", monitor=state["monitor"])
    resumed.load_state_dict(state)
    assert resumed.best_model_score == state["best_model_score"]
    assert list(resumed.best_k_models) == [resumed.best_model_path] == [str(tmp_path / "other" / "ssc" / "best.ckpt")]
    train_stage("ssc", CONFIG, recipe, data, tmp_path / "other", seed=0)
    one, other = (stage_file(tmp_path / name, "ssc").read_bytes() for name in ("one", "other"))
    assert one == other
    assert files(tmp_path / "one") == before


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_training_that_is_told_to_end_is_not_done(command, tmp_path):
    running = command("cut")
    deadline = time.monotonic() + 200
    while not (tmp_path / "cut" / "scratch" / "last.ckpt").is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    running.terminate()
    assert running.wait(timeout=100) in (128 + signal.SIGTERM, -signal.SIGTERM)
    assert not list((tmp_path / "cut").glob("*.safetensors"))


def test_a_recipe_says_from_how_many_mixtures_it_learns(stores, tmp_path):
    recipe = {"width": 1 / 32, "separation_weight": 1.0, "localization_weight": 0.3, "empty_query": 0.2,
              "stages": {"scratch": {"epochs": 1, "learning_rate": 0.002, "batch": 2}}}  # fmt: skip
    for n in (4, 7):
        (tmp_path / f"of_{n}.yaml").write_text(yaml.safe_dump({**recipe, "mixtures": n}))
    learnt, refused = (CliRunner().invoke(app, [
        "train", "--recipe", str(tmp_path / f"of_{n}.yaml"), "--mixtures", str(stores), "--system", "scratch",
        "--out", str(tmp_path / str(n))]) for n in (4, 7))  # fmt: skip
    assert learnt.exit_code == 0, learnt.output
    assert read_training_record(tmp_path / "4" / "scratch.model.safetensors")["mixtures"] == 4
    assert refused.exit_code == 2 and "learns from 7 mixtures, and there are 6" in refused.output


def test_stages_that_are_not_asked_for_need_no_sounds(stores, tmp_path):
    stage = {"epochs": 1, "learning_rate": 0.002, "batch": 2}
    recipe = {"width": 1 / 32, "separation_weight": 1.0, "localization_weight": 0.3, "empty_query": 0.2,
              "stages": {**dict.fromkeys(needed_stages(["cascade"]), stage), "sss_ssc": {**stage, "fresh": True}}}
    (tmp_path / "partly.yaml").write_text(yaml.safe_dump(recipe))
    words = ["train", "--recipe", str(tmp_path / "partly.yaml"), "--mixtures", str(stores), "--folder",
             str(tmp_path / "empty"), "--out", str(tmp_path / "out")]
    learnt, refused = (CliRunner().invoke(app, [*words, "--system", system]) for system in ("cascade", "sss_ssc"))
    assert learnt.exit_code == 0, learnt.output
    assert refused.exit_code == 2 and "sounds" in refused.output


@pytest.mark.parametrize(("asked", "processes", "sentence"), [
    ({"ssl": StageRecipe(1, 1e-3, 2)}, 1, "says nothing of the stages sss, ssc: add them to it"),
    ({stage: StageRecipe(1, 1e-3, 3) for stage in INITIAL}, 2, "a batch of 3 cannot be shared by 2 processes"),
    ({stage: StageRecipe(1, 1e-3, 8) for stage in INITIAL}, 1, "6 training mixtures a round do not fill a batch of 8"),
])  # fmt: skip
def test_what_would_stop_a_training_is_said_before_it_takes_its_folder(data, tmp_path, asked, processes, sentence):
    with pytest.raises(ValueError, match=sentence):
        train(replace(RECIPE, stages=asked), CONFIG, data, tmp_path / "run", ["cascade"], processes=processes)
    train(SHORT, CONFIG, data, tmp_path / "run", ["cascade"])


@pytest.mark.parametrize(("mel_bands", "sentence"), [(40, "multiple of 32"), (288, "more than there are bins")])
def test_mel_bands_that_no_checkpoint_can_have_are_refused_too(data, tmp_path, mel_bands, sentence):
    with pytest.raises(ValueError, match=sentence):
        train(SHORT, replace(CONFIG, mel_bands=mel_bands), data, tmp_path / "run", ["cascade"])
    assert not (tmp_path / "run").exists()


def test_more_processes_than_gpus_are_refused(data, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="2 processes need as many GPUs, and there are 1: ask for --processes 1"):
        train(SHORT, CONFIG, data, tmp_path / "run", ["cascade"], processes=2)


def test_another_set_of_fresh_recordings_is_another_training(data, drawn, tmp_path):
    recipe = replace(SHORT, stages=SHORT.stages | {"ssc": StageRecipe(1, 1e-3, 2, fresh=True)})
    train(recipe, CONFIG, replace(data, fresh=drawn[0]), tmp_path / "run", ["cascade"])
    clips = {label: [replace(clip, source=f"new {clip.source}") for clip in own]
             for label, own in drawn[0].clips.items()}
    with pytest.raises(ValueError, match="holds another training"):
        train(recipe, CONFIG, replace(data, fresh=replace(drawn[0], clips=clips)), tmp_path / "run", ["cascade"])


def test_what_is_held_out_is_not_trained_with(stores, drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(fresh_module, "load_fresh", lambda *_: drawn[0])  # which draws from what validation holds
    asked = ["train", "--recipe", str(tmp_path / "mine.yaml"), "--mixtures", str(stores), "--out", str(tmp_path / "o")]
    (tmp_path / "mine.yaml").write_text("base: tiny\nstages: {ssc: {fresh: true}}")
    refused = CliRunner().invoke(app, asked)
    assert refused.exit_code == 2 and "2 recordings to train with are in the validation or test mix" in refused.output
    (tmp_path / "mine.yaml").write_text("base: tiny\nlabels: [low, high, other]")
    refused = CliRunner().invoke(app, asked)
    assert refused.exit_code == 2 and "mine names other classes than the mixtures hold" in refused.output


def test_mixtures_of_another_array_or_other_classes_are_refused(data, drawn):
    with pytest.raises(ValueError, match="the validation mixtures are of another array, .* than the training mixtures"):
        replace(data, val=replace(data.val, azimuths=data.val.azimuths[::-1]))
    clips = {"low": drawn[0].clips["low"]}
    with pytest.raises(ValueError, match="the rooms or the sounds for fresh ones are of another array, .* classes"):
        replace(data, fresh=replace(drawn[0], clips=clips))


def test_two_processes_share_every_step_and_the_validation(data):
    def of_process(rank: int, n_processes: int) -> StageData:
        part = StageData("ssl", CONFIG, RECIPE, data, seed=0)
        part.trainer = SimpleNamespace(current_epoch=0, world_size=n_processes, global_rank=rank)
        return part

    alone, *two = (list(of_process(*which).train_dataloader().batch_sampler) for which in ((0, 1), (0, 2), (1, 2)))
    assert len({index for step in alone for index in step}) == len(data.train)
    assert [sorted(step) for step in alone] == [sorted(one + other) for one, other in zip(*two, strict=True)]
    one, other = (list(of_process(rank, 2).val_dataloader().sampler) for rank in (0, 1))
    assert sorted(one + other) == list(range(len(data.val)))


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
    steps = []

    def counted(self, batch, index):
        steps.append(self.global_step)
        return step(self, batch, index)

    monkeypatch.setattr(Stage, "training_step", counted)
    train_stage("ssl", CONFIG, RECIPE, data, tmp_path / "cut", seed=3)
    assert steps == [3, 4, 5]  # the second pass alone

    whole, cut = (load_file(stage_file(tmp_path / name, "ssl")) for name in ("whole", "cut"))
    assert all(torch.equal(cut[name], value) for name, value in whole.items())


@pytest.mark.parametrize(("system", "stages"), [("overlap", ["overlap"]), ("ssl_sss", ["ssc", "ssl_sss"])])
def test_a_training_goes_on_from_a_model_in_the_systems_own_stages(data, tmp_path, system, stages):
    train(SHORT, CONFIG, data, tmp_path / "first", systems=[system])
    model = tmp_path / "first" / f"{system}.model.safetensors"
    still = replace(SHORT, stages={stage: StageRecipe(1, 0.0, 2) for stage in INITIAL})
    train(still, CONFIG, data, tmp_path / "still", systems=[system], start=model)
    record = read_training_record(tmp_path / "still" / f"{system}.model.safetensors")
    assert sorted(record["stages"]) == stages and "ssl" in record["start"]["training"]["stages"]
    assert core_hours(record) > core_hours(record["start"]["training"])
    before, after = (dict(load_model(path).named_parameters()) for path in (
        model, tmp_path / "still" / f"{system}.model.safetensors"))
    assert all(torch.equal(after[name], value) for name, value in before.items())  # at a rate of zero


@pytest.mark.parametrize(("systems", "config"), [
    (["overlap"], replace(CONFIG, width=1 / 16)), (["cascade"], CONFIG), (["overlap", "cascade"], CONFIG),
])
def test_a_model_that_does_not_fit_is_not_gone_on_from(data, tmp_path, systems, config):
    save_model(tmp_path / "mine.safetensors", System(replace(CONFIG, system="overlap")), {"stages": {}})
    with pytest.raises(ValueError, match="cannot be gone on from: ask for one --system"):
        train(SHORT, config, data, tmp_path / "run", systems, start=tmp_path / "mine.safetensors")


def test_a_folder_that_holds_another_training_is_refused(data, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match="set --out to another folder"):
        train(SHORT, CONFIG, data, tmp_path)


def test_other_mixtures_are_another_training_though_they_are_as_many(data, tmp_path):
    train(SHORT, CONFIG, data, tmp_path, systems=["cascade"])
    others = replace(data, train=replace(data.train, truth=data.train.truth[::-1]))
    with pytest.raises(ValueError, match="holds another training"):
        train(SHORT, CONFIG, others, tmp_path, systems=["cascade"])


def test_accuracy_is_the_share_of_the_queries_that_hold_a_sound(data, tmp_path):
    """However many of a batch do: the mean of the batches' accuracies would be another."""
    stage = Stage("sss_ssc", CONFIG, RECIPE, tmp_path, 0, start={})
    logged = []
    stage.log = lambda name, value, batch_size, **_: logged.append((name, float(value), batch_size))
    batch = collate([QueryDataset(data.val, CONFIG, 0.5)[i] for i in range(len(data.val))])
    batch["label"] = torch.tensor([0] + [NO_CLASS] * (len(batch["label"]) - 1))
    with torch.no_grad():
        stage.step(batch, "val")
    counted = {name: n for name, _, n in logged}
    assert (counted["val/accuracy"], counted["val/class_loss"]) == (1, len(batch["label"]))


def test_a_stage_trains_only_its_own_networks(data, tmp_path):
    train_stage("sss", CONFIG, RECIPE, data, tmp_path, seed=0)
    assert all(name.startswith("sss.0.") for name in load_file(stage_file(tmp_path, "sss")))


@pytest.mark.parametrize(("stage", "loss", "kept_by"), [
    ("ssl_sss", "entropy", ("val/loss", "min")), ("sss_ssc", "entropy", ("val/accuracy", "max")),
    ("sss_ssc", "squared", ("val/loss", "min")),
])
def test_a_stage_that_classifies_by_entropy_keeps_what_names_most(data, tmp_path, stage, loss, kept_by):
    train(replace(SHORT, loss=loss), CONFIG, data, tmp_path, ["cascade"])
    kept = Stage(stage, CONFIG, replace(RECIPE, loss=loss), tmp_path, 0).kept_by
    assert (kept["monitor"], kept["mode"]) == kept_by


def test_the_compressed_error_is_that_of_what_can_be_heard():
    mixture = torch.full((1, 2, 2), 0.3)
    mixture[0, 0, 0] = 0.9  # 72 dB above the others
    loud, faint = mixture.clone(), mixture.clone()
    loud[0, 0, 0] -= 0.1
    faint[0, 1, 1] -= 0.1
    assert compressed_error(mixture, mixture, mixture) == 0
    assert compressed_error(loud, mixture, mixture) > 100 * compressed_error(faint, mixture, mixture) > 0
    nothing = torch.zeros(1, 2, 2)
    assert compressed_error(nothing, mixture, mixture) == pytest.approx(1)  # as much as there is
    assert compressed_error(nothing, nothing, nothing) == 0


def test_queries_change_with_the_epoch_and_depend_on_nothing_else(data):
    first, again, later = (QueryDataset(data.train, CONFIG, 0.5, seed=1, epoch=epoch) for epoch in (0, 0, 1))
    directions = [[int(item["direction"]) for item in dataset] for dataset in (first, again, later)]
    assert directions[0] == directions[1] != directions[2]


def test_an_empty_query_asks_for_silence_where_no_sound_is(data):
    for item in QueryDataset(data.train, CONFIG, empty_query=1.0):
        assert item["active"][item["direction"]] == 0
        assert item["label"] == NO_CLASS
        assert not item["target"].any()


def test_a_turned_item_is_what_the_turned_array_hears(data):
    plain, turned = (QueryDataset(data.train, CONFIG, 0.0, varied=StageRecipe(1, 1, 1, turned=turned))
                     for turned in (False, True))
    steps = set()
    for index, (one, other) in enumerate(zip(plain, turned, strict=True)):
        matches = [step for step in range(8) if torch.equal(other["active"], one["active"].roll(step))]
        heard = [analyse(np.roll(data.train[index].mixture, step, axis=0), CONFIG.front_end)[0] for step in matches]
        assert any(np.array_equal(other["features"], features) for features in heard)
        assert other["active"][other["direction"]] == 1
        steps |= set(matches)
    assert len(steps) > 1


@pytest.mark.parametrize("left_out", ["features", "target"])
def test_leaving_a_part_of_the_items_out_changes_nothing_else(data, left_out):
    varied = StageRecipe(1, 1, 1, turned=True, coloured=3.0, masked=0.1)
    for whole, short in zip(*(QueryDataset(data.train, CONFIG, 0.5, varied=varied, **parts)
                              for parts in ({}, {left_out: False})), strict=True):
        assert set(whole) - set(short) == {left_out}
        assert all(torch.equal(whole[name], short[name]) for name in short)


@pytest.mark.parametrize(("stage", "unused"), [("ssl", "target"), ("ssc", "features"), ("sss", None)])
def test_a_stage_is_given_what_its_losses_look_at_and_nothing_else(data, stage, unused):
    fed = StageData(stage, CONFIG, RECIPE, data, seed=0)
    fed.trainer = SimpleNamespace(current_epoch=0, world_size=1, global_rank=0)
    for loader in (fed.train_dataloader(), fed.val_dataloader()):
        assert {"features", "target"} - set(loader.dataset[0]) == ({unused} if unused else set())


def test_a_batch_holds_what_its_items_hold_with_the_features_channels_last(data):
    items = [QueryDataset(data.train, CONFIG, 0.2)[i] for i in (0, 1)]
    batch, plain = collate(items), default_collate(items)
    assert set(batch) == set(plain) and all(torch.equal(batch[name], value) for name, value in plain.items())
    assert batch["features"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("text", "said"),
    [("- a", "YAML mapping"), ("width: 1", "'stages'"), ("a: [", "YAML file"), ("base: nothing", "no recipe"),
     ("base: mine", "its own base"), ("base: mini\nstages: [ssl]", "mine.yaml: stages must be a mapping"),
     ("base: mini\nstages: {ssl: 5}", "each of them one too"), ("stages: [ssl]", "stages must be a mapping"),
     ("a: " + 3000 * "[", "YAML file"),
     ("loss: cubic\nname: a\nwidth: 1\nseparation_weight: 1\nlocalization_weight: 1\nempty_query: 0\nstages: {}",
      "entropy"),
     ("name: a\nwidth: 1\nseparation_weight: 1\nlocalization_weight: 1\nempty_query: 0\n"
      "stages: {sss: {epochs: 1, learning_rate: 1, batch: 1, turned: true}}", "for the stage ssl")],
)
def test_a_malformed_recipe_is_refused_in_one_sentence(tmp_path, text, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        load_recipe(path)


@pytest.mark.parametrize(("entry", "said"), [
    ("magnitude_weight: 1e-1", r"magnitude_weight must be a number, with a point .*, got '1e-1'"),
    ("steered: 'no'", "steered must be true or false, got 'no'"),
    ("smoothing: 1", "smoothing must be 0 or more, up to 0"),
    ("mixtures: 0.5", "mixtures must be a whole number"), ("labels: dog_bark", "labels must be a list"),
    ("stages: {ssl: {epochs: 0, learning_rate: 0.1, batch: 1}}", "epochs must be 1 or more, got 0"),
    ("stages: {ssl: {epochs: 1, learning_rate: 2e-3, batch: 1}}", "learning_rate must be a number"),
])  # fmt: skip
def test_a_recipe_with_an_entry_that_cannot_be_is_refused_in_one_sentence(tmp_path, entry, said):
    base = "width: 1\nseparation_weight: 1\nlocalization_weight: 1\nempty_query: 0\nstages: {}\n"
    (tmp_path / "one.yaml").write_text(base)
    (tmp_path / "two.yaml").write_text(f"base: one\n{entry}\n")
    with pytest.raises(ValueError, match=said):
        load_recipe(tmp_path / "two.yaml")


def test_recipes_that_are_each_others_base_are_refused(tmp_path):
    for name, base in (("one", "two"), ("two", "one")):
        (tmp_path / f"{name}.yaml").write_text(f"base: {base}\nstages:\n")
    with pytest.raises(ValueError, match="its own base"):
        load_recipe(tmp_path / "one.yaml")


def test_a_stage_that_there_is_not_is_refused(data, tmp_path):
    odd = replace(SHORT, stages=SHORT.stages | {"ssll": StageRecipe(1, 1e-3, 2)})
    with pytest.raises(ValueError, match="no stage is called ssll; there are ssl, "):
        train(odd, CONFIG, data, tmp_path, ["cascade"])


def test_every_shipped_recipe_can_be_read_and_lacks_no_stage_of_table_1():
    shipped = list((resources.files("seld_overlap_ros") / "training" / "recipes").iterdir())
    assert {"paper.yaml", "mini.yaml", "tiny.yaml"} <= {path.name for path in shipped}
    for path in shipped:
        assert set(needed_stages(TABLE_1)) <= set(load_recipe(Path(str(path))).stages)


def test_a_recipe_anywhere_may_go_on_from_a_shipped_one(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: plus\nstages: {sss_ssc: {epochs: 10}}")
    plus, mine = load_recipe(SHIPPED / "plus.yaml"), load_recipe(tmp_path / "mine.yaml")
    assert mine.stages["sss_ssc"] == replace(plus.stages["sss_ssc"], epochs=10)  # all else as there
    assert (mine.mel_bands, mine.stages["overlap"]) == (plus.mel_bands, plus.stages["overlap"])


@pytest.mark.parametrize("labels", ["[no, maybe]", "[007, 008]"])
def test_labels_that_yaml_takes_for_something_else_are_refused(tmp_path, labels):
    (tmp_path / "mine.yaml").write_text(f"base: mini\nlabels: {labels}")
    with pytest.raises(ValueError, match="labels must be texts, got .*: put the names into quotes"):
        load_recipe(tmp_path / "mine.yaml")


def test_a_recipe_takes_from_its_base_what_it_does_not_say(tmp_path):
    (tmp_path / "one.yaml").write_text(
        "width: 0.5\nseparation_weight: 1\nlocalization_weight: 1\nempty_query: 0.2\n"
        "stages: {ssl: {epochs: 1, learning_rate: 0.1, batch: 4}, sss: {epochs: 2, learning_rate: 0.1, batch: 4}}")
    (tmp_path / "two.yaml").write_text("base: one\nwidth: 1.0\nstages: {sss: {epochs: 5, learning_rate: 1, batch: 8}}")
    recipe = load_recipe(tmp_path / "two.yaml")
    assert (recipe.name, recipe.width, recipe.separation_weight) == ("two", 1.0, 1)
    assert (recipe.stages["ssl"].epochs, recipe.stages["sss"].epochs) == (1, 5)
