"""A checkpoint carries everything, and a strange one is refused in one sentence."""

import json
import resource
import shutil
import struct

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.hearing import Hearing
from seld_overlap_ros.models import checkpoint
from seld_overlap_ros.models.checkpoint import (
    CheckpointError,
    find_model,
    read_training_record,
    shipped_models,
)
from seld_overlap_ros.models.engine import ENGINES, load_engine
from seld_overlap_ros.models.system import System, load_model, save_model
from seld_overlap_ros.simulation.rooms import scene_rng

RECORD = {"recipe": {"name": "none"}}


@pytest.fixture()
def saved(tmp_path):
    torch.manual_seed(0)
    system = System(SystemConfig(labels=("a", "b"), width=0.03, system="cascade"))
    path = tmp_path / "model.safetensors"
    save_model(path, system, RECORD)
    return path, system


def test_comes_back_whole_to_16_bits(saved):
    path, system = saved
    loaded = load_model(path)
    assert loaded.config == system.config and not loaded.training
    for name, tensor in system.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=2**-11, atol=2**-24)
    assert read_training_record(path) == RECORD


def test_the_same_system_gives_the_same_file(saved):
    path, system = saved
    whole = path.read_bytes()
    for _ in range(5):  # of safetensors' own order of three names, one in six is that of the first file
        save_model(path, system, RECORD)
        assert path.read_bytes() == whole


def test_filters_that_are_not_stored_are_made_again(tmp_path):
    system = System(SystemConfig(labels=("a", "b"), width=0.03, mel_bands=64)).eval()
    save_model(tmp_path / "mel.safetensors", system, {})
    loaded = load_model(tmp_path / "mel.safetensors")
    assert torch.equal(loaded.ssc.filters, system.ssc.filters)
    torch.testing.assert_close(loaded.ssc(torch.ones(1, 256, 256)), system.ssc(torch.ones(1, 256, 256)), rtol=0.01,
                               atol=0.01)


def test_a_steered_system_comes_back_and_an_older_file_is_none(saved, tmp_path):
    config = SystemConfig(labels=("a", "b"), width=0.03, system="cascade", steered=True)
    save_model(tmp_path / "steered.safetensors", System(config), {})
    assert load_model(tmp_path / "steered.safetensors").config == config
    older, system = saved
    values = system.config.to_dict()
    del values["steered"]
    with_metadata(older, config=json.dumps(values))
    assert load_model(older).config == system.config


def test_an_array_that_no_beam_can_be_made_for_is_refused(tmp_path):
    config = SystemConfig(labels=("a", "b"), width=0.03, system="cascade", steered=True)
    save_model(tmp_path / "steered.safetensors", System(config), {})
    far = [[1e307 * k, 0, 0] for k in range(8)]
    with_metadata(tmp_path / "steered.safetensors",
                  config=json.dumps(config.to_dict() | {"array": {"positions": far}}))
    with pytest.raises(CheckpointError, match="beams that are no finite numbers"):
        load_model(tmp_path / "steered.safetensors")


def test_truncated_file_is_refused(saved):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="no whole safetensors file"):
        load_model(path)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("network", ["ssl", "ssc"])
def test_no_engine_takes_a_truncated_or_a_tampered_file(saved, engine, network):
    path, _ = saved
    whole = path.read_bytes()
    path.write_bytes(whole[:-1000])
    with pytest.raises(CheckpointError, match="no whole safetensors file"):
        load_engine(path, engine, [network])
    path.write_bytes(whole.replace(b"ssc.layers.0.weight", b"ssc.layers.0.height"))
    with pytest.raises(CheckpointError, match="is missing|is too much"):
        load_engine(path, engine, [network])


def test_pickle_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"a": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="no whole safetensors file"):
        load_model(path)


def test_other_safetensors_are_refused(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="no seld_overlap/1 checkpoint"):
        load_model(tmp_path / "other.safetensors")


NOT_JSON = ["[]", "null", "not json", "[" * 100_000]
BAD_VALUES = [
    ("width", float("nan")), ("width", 10**400), ("width", "wide"), ("width", 1e-300), ("system", []), ("labels", 3),
    ("labels", []), ("labels", "ab"), ("labels", ["a", 3]), ("labels", ["a", " "]), ("labels", ["a", ["b"]]),
    ("steered", "false"), ("azimuths", [-3.1415926536, 3.1415926536]), ("azimuths", [0.5] * 8),
    ("azimuths", [0.0, float("nan")]), ("azimuths", [0.0, float("inf")]), ("azimuths", []),
    ("array", {"positions": []}), ("array", {"positions": [[0, 0, 10**400]] * 8}),
    ("mel_bands", 32 * 10**6), ("mel_bands", -32), ("mel_bands", 33),
    ("front_end", {"n_frames": float("inf")}), ("front_end", {"sample_rate": 10**7}),
    ("front_end", {"sample_rate": 16000, "n_mels": 64}),
]  # fmt: skip


def with_metadata(path, **changes: str) -> None:
    """Write a file's metadata anew; None leaves an entry out."""
    with safe_open(path, framework="pt") as file:
        metadata = {**file.metadata(), **changes}
    save_file(load_file(path), path, {name: value for name, value in metadata.items() if value is not None})


@pytest.mark.parametrize("config", NOT_JSON, ids=lambda text: text[:10])
def test_a_configuration_that_is_no_json_object_is_refused(saved, config):
    path, _ = saved
    with_metadata(path, config=config)
    with pytest.raises(CheckpointError, match="its config is no JSON"):
        load_model(path)


@pytest.mark.parametrize(("name", "value"), BAD_VALUES, ids=lambda value: str(value)[:20])
def test_a_configuration_with_a_bad_value_is_refused(saved, name, value):
    path, system = saved
    config = system.config.to_dict()
    with_metadata(path, config=json.dumps(config | {name: value}))
    with pytest.raises(CheckpointError, match="do not fit") as refusal:
        load_model(path)
    assert len(str(refusal.value)) < 400 and "\n" not in str(refusal.value)


@pytest.mark.parametrize("missing", ["config", "format"])
def test_a_file_without_its_configuration_is_refused(saved, missing):
    path, _ = saved
    with_metadata(path, **{missing: None})
    with pytest.raises(CheckpointError):
        load_model(path)


@pytest.mark.parametrize("front_end", [{"n_frames": 255}, {"n_frames": 512}, {"n_fft": 1024, "hop": 512}])
def test_another_size_of_spectrogram_is_refused_at_load_and_not_at_the_first_window(saved, front_end):
    path, system = saved
    config = system.config.to_dict()
    with_metadata(path, config=json.dumps(config | {"front_end": config["front_end"] | front_end}))
    with pytest.raises(CheckpointError, match=r"built for \(256, 256\) bins and frames"):
        load_model(path)


@pytest.mark.parametrize("record", NOT_JSON, ids=lambda text: text[:10])
def test_a_training_record_that_is_no_json_object_is_refused(saved, record):
    path, _ = saved
    with_metadata(path, training=record)
    with pytest.raises(CheckpointError, match="its training is no JSON"):
        read_training_record(path)


STRANGE_RECORDS = [
    {"recipe": None}, {"recipe": {"name": 3}}, {"seed": "1"}, {"mixtures": []}, {"stages": []}, {"stages": {"ssl": 5}},
    {"stages": {"ssl": {"minutes": "12", "processes": 1}}}, {"stages": {"ssl": {"minutes": 10**400}}},
    {"stages": {"ssl": {"minutes": 1.0, "cores": float("nan")}}}, {"start": {}}, {"start": {"training": None}},
    {"start": {"training": {"stages": {"ssl": None}}}},
]  # fmt: skip


@pytest.mark.parametrize("record", STRANGE_RECORDS, ids=lambda record: str(record)[:50])
def test_a_training_record_that_no_training_writes_is_refused_in_one_sentence(saved, record):
    path, _ = saved
    with_metadata(path, training=json.dumps(record))
    with pytest.raises(CheckpointError, match="its training is no record of one") as refusal:
        read_training_record(path)
    assert len(str(refusal.value)) < 300 and "\n" not in str(refusal.value)


def test_a_training_record_may_go_on_from_others_but_not_for_ever(saved):
    path, _ = saved
    record = {}
    for _ in range(5):
        record = {"start": {"training": record}}
    with_metadata(path, training=json.dumps(record))
    assert read_training_record(path) == record
    for _ in range(100):
        record = {"start": {"training": record}}
    with_metadata(path, training=json.dumps(record))
    with pytest.raises(CheckpointError, match="goes on from more than 100 others"):
        read_training_record(path)


def test_the_records_of_shipped_weights_can_be_read():
    for name in shipped_models():
        assert {"recipe", "seed", "stages"} <= set(read_training_record(name))


TENSOR = "ssc.layers.0.weight"
SPOILT = {
    "missing": (lambda tensors: tensors.pop(TENSOR), "is missing"),
    "too much": (lambda tensors: tensors.update(more=torch.ones(1)), "'more' is too much"),
    "shape": (lambda tensors: tensors.update({TENSOR: tensors[TENSOR][:1].contiguous()}), "of shape"),
    "type": (lambda tensors: tensors.update({TENSOR: tensors[TENSOR].double()}), "is F64 of shape"),
    "integers": (lambda tensors: tensors.update({TENSOR: tensors[TENSOR].to(torch.int64)}), "is I64 of shape"),
    "8 bits": (lambda tensors: tensors.update({TENSOR: tensors[TENSOR].to(torch.float8_e5m2)}), "is F8_E5M2 of shape"),
    "NaN": (lambda tensors: tensors[TENSOR].fill_(torch.nan), "no finite number"),
    "infinite": (lambda tensors: tensors[TENSOR].view(-1)[:1].fill_(torch.inf), "no finite number"),
    "variance": (lambda tensors: tensors["ssc.layers.1.running_var"].fill_(-1), "a variance below 0"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_weights_that_the_networks_cannot_use_are_refused(saved, how):
    path, _ = saved
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    spoil, said = SPOILT[how]
    spoil(tensors)
    save_file(tensors, path, metadata)
    with pytest.raises(CheckpointError, match=said):
        load_model(path)


def test_a_configuration_that_asks_for_much_memory_gets_none_of_it(saved):
    path, system = saved
    many = [float(k) for k in range(20_000)]  # 20,000 directions at full width: 4 GB of weights in SSL and SSS
    with_metadata(path, config=json.dumps(system.config.to_dict() | {"width": 4, "azimuths": many}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match="do not fit"):
        load_model(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # [kB]


def test_a_header_that_claims_to_be_huge_is_refused(tmp_path):
    path = tmp_path / "huge.safetensors"
    path.write_bytes(struct.pack("<Q", 90 * 2**20) + b"{" + b" " * 2**20)
    with pytest.raises(CheckpointError, match="header claims more than"):
        load_model(path)


def works(path) -> bool:
    """Whether a model loads and hears with finite numbers; False if it is refused. Anything else is an error."""
    try:
        engine = load_engine(path)
        read_training_record(path)
    except CheckpointError:
        return False
    window = scene_rng("window").uniform(-1, 1, (8, engine.config.front_end.window_samples)).astype(np.float32)
    for source in Hearing(engine, always_strongest=True)(window):
        assert np.isfinite(source.class_scores).all() and np.isfinite(source.samples).all()
    return True


def test_a_file_cut_off_anywhere_is_refused(saved):
    path, _ = saved
    whole = path.read_bytes()
    for size in [0, 1, 7, 8, 9, *scene_rng("cuts").integers(0, len(whole), 60).tolist(), len(whole) - 1]:
        path.write_bytes(whole[:size])
        assert not works(path)


@pytest.mark.parametrize("where", ["header", "weights"])
def test_flipped_bits_give_a_refusal_or_a_model_that_works(saved, where):
    path, _ = saved
    whole = path.read_bytes()
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    first, end = (0, header) if where == "header" else (header, len(whole))
    outcomes = []
    for trial in range(60 if where == "weights" else 200):
        rng, flipped = scene_rng("flips", where, trial), bytearray(whole)
        for at in rng.integers(first, end, rng.choice([1, 1, 3, 300])):
            flipped[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        outcomes.append(works(path))
    assert not all(outcomes) and (where == "header" or any(outcomes))


def test_shipped_weights_are_those_that_the_list_names():
    assert shipped_models()
    for name in shipped_models():
        assert find_model(name).is_file()


def test_shipped_weights_that_were_changed_are_refused(tmp_path, monkeypatch):
    for name in ("plus.safetensors", "SHA256SUMS"):
        shutil.copy(find_model("plus").with_name(name), tmp_path)
    monkeypatch.setattr(checkpoint, "_weights", lambda: tmp_path)
    load_model("plus")
    changed = bytearray((tmp_path / "plus.safetensors").read_bytes())
    changed[-1] ^= 1
    (tmp_path / "plus.safetensors").write_bytes(changed)
    with pytest.raises(CheckpointError, match="not the file that SHA256SUMS beside it names: install it again"):
        load_model("plus")
    (tmp_path / "SHA256SUMS").unlink()
    with pytest.raises(CheckpointError, match="SHA256SUMS"):
        load_model("plus")


@pytest.mark.parametrize("name", ["no_such_model", "", ".", "\0", "x" * 5000, "weights/plus"])
def test_unknown_name_says_what_there_is(name):
    with pytest.raises(CheckpointError, match="shipped name"):
        load_model(name)
