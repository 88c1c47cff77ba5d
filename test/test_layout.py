"""The library imports no ROS: only the nodes and the launch files do."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "seld_overlap_ros"
FREE = sorted(p for p in PACKAGE.rglob("*.py") if "nodes" not in p.relative_to(PACKAGE).parts)
ROS = {"rclpy", "launch", "launch_ros", "seld_overlap", "audio_common_msgs", "std_msgs", "builtin_interfaces",
       "geometry_msgs", "sensor_msgs", "visualization_msgs", "hark_msgs", "diagnostic_msgs", "lifecycle_msgs",
       "rosgraph_msgs", "std_srvs", "rosidl_runtime_py", "ament_index_python"}


def imported(path: Path) -> set[str]:
    """Top-level names of every package that a file imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
            if node.module.startswith("seld_overlap_ros.nodes"):
                names.add("seld_overlap_ros.nodes")
    return names


def test_there_is_something_to_check():
    assert len(FREE) > 15


@pytest.mark.parametrize("path", FREE, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_library_imports_no_ros(path: Path):
    assert not imported(path) & (ROS | {"seld_overlap_ros.nodes"})


def test_no_module_hides_one_of_the_standard_library():
    assert not {p.stem for p in PACKAGE.rglob("*.py")} & (set(sys.stdlib_module_names) - {"__init__"})
