"""A network of its own for every test over DDS, and a small untrained model."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seld_overlap_ros.config import SYSTEMS, SystemConfig
from seld_overlap_ros.demo import private_network
from seld_overlap_ros.models.system import System, save_model
from seld_overlap_ros.up import fast_dds

LAUNCH = """
import sys
from launch import LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = LaunchService(noninteractive=True)
arguments = [argument.split(":=", 1) for argument in sys.argv[2:]]
source = PythonLaunchDescriptionSource(sys.argv[1])
service.include_launch_description(IncludeLaunchDescription(source, launch_arguments=arguments))
sys.exit(service.run())
"""
UP = "from seld_overlap_ros.cli import app; app()"
LAUNCH_FILES = Path(__file__).parents[2] / "launch"
HAS_LAUNCH = all(importlib.util.find_spec(name) for name in ("launch", "launch_ros"))
STARTERS = {
    "up": lambda graph: [sys.executable, "-c", UP, "up", graph],
    "launch": lambda graph: [sys.executable, "-c", LAUNCH, str(LAUNCH_FILES / f"{graph}.launch.py")],
}


@pytest.fixture(autouse=True)
def network(tmp_path, monkeypatch) -> None:
    """Nodes of a test, and of the processes that it starts, meet each other and nobody else.

    They have the settings of a graph's processes. With Fast DDS's own, which share 0.5 MB, a test's player twice lost a
    third of its audio, and then all, after its listener had been killed; that this is why was not shown.
    """
    for name, value in (private_network(tmp_path) | fast_dds()).items():
        monkeypatch.setenv(name, value)


def untrained(path: Path, name: str = "overlap") -> Path:
    """A checkpoint of a system that hears something from two of its directions, whatever is played."""
    torch.manual_seed(0)
    system = System(SystemConfig(labels=("bell", "dog", "door"), system=name, width=1 / 32))
    with torch.no_grad():
        system.ssl.layers[-1].bias.copy_(torch.tensor([5.0, -5, -5, 5, -5, -5, -5, -5]))
    save_model(path, system, {})
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """Path of an untrained checkpoint of the overlapped system."""
    return untrained(tmp_path_factory.mktemp("model") / "untrained.safetensors")


@pytest.fixture(scope="session")
def cascade_model(tmp_path_factory) -> Path:
    """Path of an untrained checkpoint of a system with one SSS."""
    return untrained(tmp_path_factory.mktemp("model") / "cascade.safetensors", "cascade")


@pytest.fixture(scope="session", params=SYSTEMS)
def model_of_each_system(request, tmp_path_factory) -> Path:
    """One system after the other."""
    return untrained(tmp_path_factory.mktemp("model") / f"{request.param}.safetensors", request.param)


@pytest.fixture
def open_stand(capfd):
    """Starts one of the lifecycle nodes in this process."""
    from node_stand import Stand  # wants ROS

    stands = []

    def opened(name, **parameters):
        stands.append(Stand(name, capfd, **parameters))
        return stands[-1]

    yield opened
    for stand in stands:
        stand.close()


@pytest.fixture(
    params=[
        "up",
        pytest.param(
            "launch", marks=pytest.mark.skipif(not HAS_LAUNCH, reason="ROS's launch and launch_ros are not here")
        ),
    ]
)
def starter(request) -> Callable[[str], list[str]]:
    """What makes the command line that starts a graph, to which its arguments are added."""
    return STARTERS[request.param]
