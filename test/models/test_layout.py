"""The layout, which knows no torch, is that of the networks that torch builds."""

import pytest

from seld_overlap_ros.config import SYSTEMS, MicrophoneArray, SystemConfig, uniform_azimuths
from seld_overlap_ros.models.layout import network_names, shapes
from seld_overlap_ros.models.system import System


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(("mel_bands", "steered"), [(0, False), (64, True)])
def test_names_and_shapes_are_those_of_the_networks(system, mel_bands, steered):
    config = SystemConfig(("a", "b", "c"), system, 0.07, mel_bands, steered, array=MicrophoneArray.circular(4),
                          azimuths=uniform_azimuths(5))
    assert shapes(config) == {name: tuple(tensor.shape) for name, tensor in System(config).state_dict().items()}
    assert {name.split(".")[0] for name in shapes(config)} == {name.split(".")[0] for name in network_names(config)}
