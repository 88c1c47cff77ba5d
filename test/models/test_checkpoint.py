"""A checkpoint carries everything, and a strange one is refused in one sentence."""

import pytest
import torch
from safetensors.torch import save_file

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.models.checkpoint import CheckpointError, load_model, read_training_record, save_model
from seld_overlap_ros.models.system import System


@pytest.fixture()
def saved(tmp_path):
    torch.manual_seed(0)
    system = System(SystemConfig(labels=("a", "b"), width=0.03, system="cascade"))
    path = tmp_path / "model.safetensors"
    save_model(path, system, {"recipe": "none"})
    return path, system


def test_comes_back_whole_to_16_bits(saved):
    path, system = saved
    loaded = load_model(path)
    assert loaded.config == system.config and not loaded.training
    for name, tensor in system.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=2**-11, atol=2**-24)
    assert read_training_record(path) == {"recipe": "none"}


def test_truncated_file_is_refused(saved):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="no whole safetensors file"):
        load_model(path)


def test_pickle_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"a": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="no whole safetensors file"):
        load_model(path)


def test_other_safetensors_are_refused(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="no seld_overlap/1 checkpoint"):
        load_model(tmp_path / "other.safetensors")


@pytest.mark.parametrize("config", ["{}", "[]", "not json", '{"labels": []}'])
def test_bad_configuration_is_refused(tmp_path, config):
    path = tmp_path / "bad.safetensors"
    save_file({"a": torch.ones(1)}, path, {"format": "seld_overlap/1", "config": config})
    with pytest.raises(CheckpointError, match="do not fit"):
        load_model(path)


def test_unknown_name_says_what_there_is(tmp_path):
    with pytest.raises(CheckpointError, match="shipped name"):
        load_model("no_such_model")
