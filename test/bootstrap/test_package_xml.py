"""package.xml says all that a ROS 2 workspace must bring, and versions agree."""

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import seld_overlap_ros

ROOT = Path(__file__).parents[2]
PACKAGE = ElementTree.parse(ROOT / "package.xml").getroot()
OF_ROS = {"rclpy", "launch", "launch_ros", "audio_common_msgs", "rosidl_runtime_py", "ament_index_python", "tf2_ros"}


def declared() -> set[str]:
    """Names of all packages that are needed to build or to run."""
    return {element.text for element in PACKAGE if element.tag in ("depend", "exec_depend", "build_depend")}


def ros_imports(folder: str) -> set[str]:
    """ROS packages that the Python files in a folder import, this package's own left out."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
                [node.module] if isinstance(node, ast.ImportFrom) and node.module else [])
            found |= {name.split(".")[0] for name in names}
    return {name for name in found if name in OF_ROS or name.endswith(("_msgs", "_interfaces"))}


def test_every_ros_package_that_is_imported_is_declared():
    imported = ros_imports("seld_overlap_ros/nodes") | ros_imports("launch")
    assert {"rclpy", "launch"} <= imported <= declared()


def test_every_package_that_messages_use_is_declared():
    used = {match for path in (ROOT / "msg").glob("*.msg")
            for match in re.findall(r"^([a-z]\w+)/\w", path.read_text(), re.MULTILINE)} - {PACKAGE.findtext("name")}
    assert used and used <= declared()
    assert used == set(re.search(r"DEPENDENCIES (.+)\)", (ROOT / "CMakeLists.txt").read_text())[1].split())


def test_versions_agree():
    assert PACKAGE.findtext("version") == seld_overlap_ros.__version__
