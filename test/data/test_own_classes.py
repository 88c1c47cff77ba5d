"""A folder of five classes of the user's own: imported, mixed in a room, and trained on, with the commands."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from seld_overlap_ros.cli import app
from seld_overlap_ros.config import MicrophoneArray, uniform_azimuths
from seld_overlap_ros.models.system import load_model
from seld_overlap_ros.simulation import noise as noise_module
from seld_overlap_ros.simulation import rooms as rooms_module
from seld_overlap_ros.simulation.arrays import load_array
from seld_overlap_ros.simulation.fresh import load_fresh
from seld_overlap_ros.simulation.noise import NoiseBank
from seld_overlap_ros.simulation.rooms import RoomBank, make_bank, scene_rng
from seld_overlap_ros.simulation.store import MixtureStore
from seld_overlap_ros.training.stages import needed_stages

CLASSES = ("cup", "drill", "gate", "kettle", "parrot")
CIRCLE = (MicrophoneArray.circular(), uniform_azimuths())
RESPEAKER = load_array(Path(str(resources.files("seld_overlap_ros"))) / "arrays" / "respeaker_4.yaml")


def run(*arguments) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture()
def own(tmp_path, tone, write_sound):
    """Five classes of four tones each, and a recipe that names them."""
    for number, label in enumerate(CLASSES):
        for take in range(4):
            write_sound(tmp_path / "mine" / label / f"{take}.wav", tone(400 * (number + 1) + 30 * take, 0.6))
    recipe = {
        "name": "mine", "width": 1 / 32, "labels": list(CLASSES), "separation_weight": 1.0, "localization_weight": 0.3,
        "empty_query": 0.2,
        "stages": {key: {"epochs": 1, "learning_rate": 0.001, "batch": 2} for key in needed_stages(["cascade"])},
    }  # fmt: skip
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path


@pytest.fixture(params=[CIRCLE], ids=["circle_8"])
def rooms(own, request):
    """What `data rooms` leaves, of one room without echo and a little noise: the real ones take minutes.

    Gives the array and its directions.
    """
    array, azimuths = request.param
    for split in ("train", "val", "test", "anechoic"):
        make_bank(split, 1, array, azimuths, 16000, 1, anechoic=True).save(own / "rooms" / split)
        noise = scene_rng("noise", split).standard_normal((1, array.n_microphones, 70000)).astype(np.float16)
        NoiseBank(noise).save(own / "rooms" / split)
    return array, azimuths


@pytest.mark.parametrize("rooms", [CIRCLE, (RESPEAKER[0], uniform_azimuths(5))], indirect=True,
                         ids=["circle_8", "respeaker_4 and five directions"])  # fmt: skip
def test_from_a_folder_to_a_model(own, rooms):
    said = run("data", "import", "folder", own / "mine", "--into", own / "sounds")
    assert "20 clips of 5 classes" in said
    recipe = ("--folder", own, "--recipe", own / "mine.yaml")
    run("data", "mix", *recipe, "--train", 2, "--val", 2, "--test", 1, "--anechoic", 1, "--workers", 0)
    truth = MixtureStore.load(own / "mixtures" / "train").truth
    assert {event["label"] for scene in truth for event in scene["events"]} <= set(CLASSES)
    test, anechoic = (load_fresh(own, split, 1, CLASSES) for split in ("test", "anechoic"))
    assert MixtureStore.load(own / "mixtures" / "anechoic").sources <= test.sources == anechoic.sources
    run("train", *recipe, "--mixtures", own / "mixtures", "--system", "cascade", "--out", own / "runs")
    config = load_model(own / "runs" / "cascade.model.safetensors").config
    assert (config.labels, config.array, config.azimuths) == (CLASSES, *rooms)


def test_rooms_are_of_the_array_that_is_asked_for(own, tone, write_sound, monkeypatch):
    for take in range(3):
        write_sound(own / "mine" / "noise" / f"{take}.wav", tone(300 + take, 2.0))
    run("data", "import", "folder", own / "mine", "--into", own / "sounds")
    monkeypatch.setattr(rooms_module, "MAX_ORDER", 1)  # fewer echoes and less noise: the real ones take longer
    monkeypatch.setattr(noise_module, "TRACK_S", 2.0)
    run("data", "rooms", "--folder", own, "--array", "respeaker_4", "--train", 1, "--val", 1, "--test", 1)
    for split in ("train", "val", "test", "anechoic"):
        bank = RoomBank.load(own / "rooms" / split)
        assert (bank.array, bank.azimuths) == RESPEAKER
        assert bank.rirs.shape[1] == NoiseBank.load(own / "rooms" / split).tracks.shape[1] == 4


def test_rooms_that_were_cut_off_leave_rooms_and_noise_of_one_array(own, rooms, tone, write_sound, monkeypatch):
    for take in range(3):
        write_sound(own / "mine" / "noise" / f"{take}.wav", tone(300 + take, 2.0))
    run("data", "import", "folder", own / "mine", "--into", own / "sounds")
    monkeypatch.setattr(rooms_module, "MAX_ORDER", 1)
    monkeypatch.setattr(noise_module, "make_noise", lambda *_: 1 / 0)
    words = ["data", "rooms", "--folder", str(own), "--array", "respeaker_4", "--train", "1"]
    assert isinstance(CliRunner().invoke(app, words).exception, ZeroDivisionError)
    assert RoomBank.load(own / "rooms" / "train").array == rooms[0]


@pytest.mark.parametrize(("what", "said"), [("rooms", "are of several arrays"), ("noise", "is of another array than")])
def test_rooms_of_several_arrays_are_refused(own, rooms, what, said):
    run("data", "import", "folder", own / "mine", "--into", own / "sounds")
    noise = NoiseBank(np.zeros((1, 4, 70000), np.float16))
    noise.save(own / "rooms" / "val")
    if what == "rooms":
        make_bank("val", 1, *RESPEAKER, 16000, 1, anechoic=True).save(own / "rooms" / "val")
    few = ("--train", "1", "--val", "1", "--test", "1", "--anechoic", "1", "--workers", "0")
    result = CliRunner().invoke(app, ["data", "mix", "--folder", str(own), *few])
    said_it = " ".join(result.output.split())
    assert result.exit_code == 2 and said in said_it and "run `seld-overlap data rooms` again" in said_it
    assert not (own / "mixtures").exists()


def test_rooms_whose_noise_is_being_replaced_are_not_whole(own, rooms, tone, write_sound, monkeypatch):
    for take in range(3):
        write_sound(own / "mine" / "noise" / f"{take}.wav", tone(300 + take, 2.0))
    run("data", "import", "folder", own / "mine", "--into", own / "sounds")
    monkeypatch.setattr(rooms_module, "MAX_ORDER", 1)
    monkeypatch.setattr(noise_module, "TRACK_S", 2.0)
    monkeypatch.setattr(NoiseBank, "save", lambda *_: 1 / 0)  # it ends while it writes
    done = CliRunner().invoke(app, ["data", "rooms", "--folder", str(own), "--train", "1"])
    assert isinstance(done.exception, ZeroDivisionError)
    with pytest.raises(FileNotFoundError, match="make them with `seld-overlap data rooms`"):
        RoomBank.load(own / "rooms" / "train")


def test_more_mixtures_than_the_disk_holds_are_refused(own, rooms):
    run("data", "import", "folder", own / "mine", "--into", own / "sounds")
    result = CliRunner().invoke(app, ["data", "mix", "--folder", str(own), "--workers", "0", "--test", str(10**12)])
    assert result.exit_code == 2 and "the mixtures take 1.45e+09 GB, and" in result.output
    assert not (own / "mixtures").exists()


def test_what_one_split_lacks_is_said_before_anything_is_stored(own, rooms, write_sound, tone):
    write_sound(own / "mine" / "siren" / "0.wav", tone(700, 0.6))  # of a single file, to train with
    run("data", "import", "folder", own / "mine", "--into", own / "sounds")
    result = CliRunner().invoke(app, ["data", "mix", "--folder", str(own), "--train", "1", "--workers", "0"])
    assert result.exit_code == 2 and "no val clips of siren: add recordings of them" in " ".join(result.output.split())
    assert not (own / "mixtures").exists()


def test_rooms_without_noise_are_refused_before_they_are_simulated(own, write_sound, tone):
    write_sound(own / "mine" / "noise" / "0.wav", tone(700, 0.6))
    run("data", "import", "folder", own / "mine", "--into", own / "sounds")
    result = CliRunner().invoke(app, ["data", "rooms", "--folder", str(own)])
    assert result.exit_code == 2 and "there is no background noise to train or to test with" in result.output
    assert not (own / "rooms").exists()


def test_scenes_are_flac(own):
    result = CliRunner().invoke(app, ["data", "scene", str(own / "mine.yaml"), str(own / "scene.wav")])
    assert result.exit_code == 2 and "name it .flac" in result.output
