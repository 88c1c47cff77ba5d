"""Variants of a system: each separates as its name says, and nothing else of it changes."""

import numpy as np
import pytest
import torch

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.evaluation.variants import VARIANTS, Variant
from seld_overlap_ros.models.system import System, save_model
from seld_overlap_ros.models.torch_engine import TorchEngine

FEATURES = np.random.default_rng(0).uniform(0, 1, (15, 256, 256)).astype(np.float32)
GAINS = np.eye(8, dtype=np.float32)[[2, 5]] * np.float32(0.6)


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> TorchEngine:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("variants") / "model.safetensors"
    save_model(path, System(SystemConfig(("a", "b"), width=0.03)), {})
    return TorchEngine.load(path, None)


def expected(engine: TorchEngine) -> dict[str, np.ndarray]:
    first, second = (engine.separate(FEATURES, GAINS, number) for number in (0, 1))
    hard = engine.separate(FEATURES, GAINS / np.float32(0.6))
    return dict(zip(VARIANTS, ((first + second) / 2, first, second, hard), strict=True))


@pytest.mark.parametrize("name", VARIANTS)
def test_it_separates_as_its_name_says(engine, name):
    variant = Variant(engine, name)
    separated = variant.separate(FEATURES, GAINS)
    np.testing.assert_allclose(separated, expected(engine)[name], atol=1e-6)
    assert not np.allclose(separated, engine.separate(FEATURES, GAINS), atol=1e-6)


def test_only_its_separation_and_its_title_are_others(engine):
    variants = [Variant(engine, name) for name in VARIANTS]
    assert len({variant.title for variant in variants} | {engine.title}) == len(VARIANTS) + 1
    for variant in variants:
        assert variant.config == engine.config
        np.testing.assert_array_equal(variant.localize(FEATURES), engine.localize(FEATURES))
        with pytest.raises(ValueError, match="whole separation"):
            variant.separate(FEATURES, GAINS, 0)
