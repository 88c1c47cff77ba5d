"""Set-up: it names what a machine lacks, does nothing twice, and makes the wheels' files right for this place."""

import importlib.util
import os
import re
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "tools" / "bootstrap.py")
bootstrap = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bootstrap)

PYTHON = bootstrap.Python("/usr/bin/python3.11", [3, 11, 2], "x86_64", ros=False, headers=True, venv=True)
TOOLS = {"make", "git", "cc", "c++"}


def offers(*names: str):
    """A stand-in for shutil.which on a machine that has these programs."""
    return lambda name: f"/usr/bin/{name}" if name in names else None


def test_a_machine_with_everything_lacks_nothing():
    assert bootstrap.missing_packages(PYTHON, offers(*TOOLS), {}) == {}


@pytest.mark.parametrize("tool, package", [("make", "make"), ("git", "git"), ("cc", "gcc"), ("c++", "g++")])
def test_a_missing_tool_is_named_with_its_package(tool: str, package: str):
    assert list(bootstrap.missing_packages(PYTHON, offers(*TOOLS - {tool}), {}).values()) == [package]


def test_another_compiler_will_do():
    assert bootstrap.missing_packages(PYTHON, offers("make", "git", "clang", "clang++"), {}) == {}
    assert bootstrap.missing_packages(PYTHON, offers("make", "git", "icx", "icpx"), {"CC": "icx", "CXX": "icpx"}) == {}


def test_all_that_is_missing_is_said_in_one_sentence(monkeypatch):
    monkeypatch.setattr(bootstrap, "missing_packages", lambda python: {"a C compiler": "gcc", "git": "git"})
    with pytest.raises(bootstrap.SetupError) as error:
        bootstrap.check_machine(PYTHON)
    assert str(error.value) == "missing here: a C compiler, git; install with: sudo apt-get install gcc git"


def test_headers_and_venv_are_those_of_the_python_in_use():
    bare = PYTHON._replace(version=[3, 12, 1], headers=False, venv=False)
    assert list(bootstrap.missing_packages(bare, offers(*TOOLS), {}).values()) == ["python3.12-dev", "python3.12-venv"]


@pytest.mark.parametrize("version, fits", [([3, 9, 18], False), ([3, 10, 0], True), ([3, 13, 1], True),
                                           ([3, 14, 0], False)])
def test_pythons_that_fit(version: list, fits: bool):
    assert PYTHON._replace(version=version).fits is fits


def test_the_first_python_that_fits_is_taken(monkeypatch):
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    found = {"python3": PYTHON._replace(version=[3, 9, 2]), "python3.12": PYTHON._replace(version=[3, 12, 1]),
             "python3.10": PYTHON._replace(version=[3, 10, 4])}
    monkeypatch.setattr(bootstrap, "ask", found.get)
    assert bootstrap.choose_python() == (found["python3.12"], False)


@pytest.mark.parametrize("found, hint", [
    ({}, "no Python 3.10 to 3.13"),
    ({"python3": PYTHON._replace(machine="aarch64")}, "x86-64 and this is aarch64"),
])
def test_no_python_that_will_do_is_refused_with_a_way_out(monkeypatch, found: dict, hint: str):
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    monkeypatch.setattr(bootstrap, "ask", found.get)
    with pytest.raises(bootstrap.SetupError, match=f"{hint}.*install"):
        bootstrap.choose_python()


def test_a_sourced_ros_is_used_and_one_of_another_python_refused(monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    of_ros = PYTHON._replace(ros=True)
    monkeypatch.setattr(bootstrap, "ask", {"python3": of_ros}.get)
    assert bootstrap.choose_python() == (of_ros, True)
    monkeypatch.setattr(bootstrap, "ask", {"python3": of_ros._replace(version=[3, 14, 0])}.get)
    with pytest.raises(bootstrap.SetupError, match=r"runs on Python 3\.14.*workspace"):
        bootstrap.choose_python()


def test_a_sourced_ros_that_is_too_old_is_refused_with_a_way_out(monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "humble")
    monkeypatch.setattr(bootstrap, "ask", {"python3": PYTHON._replace(ros=True, recent=False)}.get)
    with pytest.raises(bootstrap.SetupError, match=r"\(humble\) is older than Jazzy.*sources no ROS 2"):
        bootstrap.choose_python()


def test_a_sourced_ros_of_another_python_is_refused_with_a_way_out(monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setattr(bootstrap, "ask", {"python3": PYTHON._replace(ros=True, compiled=False)}.get)
    with pytest.raises(bootstrap.SetupError, match=r"built for another Python than python3 here, .*deactivate"):
        bootstrap.choose_python()


@pytest.mark.parametrize("suffix", [EXTENSION_SUFFIXES[0], ".cpython-27-x86_64-linux-gnu.so"])
def test_whether_a_ros_is_built_for_this_python_is_seen(tmp_path: Path, monkeypatch, suffix: str):
    (tmp_path / "rclpy").mkdir()
    for name in ("__init__.py", f"_rclpy_pybind11{suffix}"):
        (tmp_path / "rclpy" / name).touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = bootstrap.ask(sys.executable)
    assert (found.ros, found.compiled) == (True, suffix in EXTENSION_SUFFIXES)


@pytest.mark.parametrize("recent", [False, True])
def test_whether_a_ros_is_recent_is_seen(tmp_path: Path, monkeypatch, recent: bool):
    (tmp_path / "rclpy").mkdir()
    for name in ["__init__.py", "event_handler.py"][: 1 + recent]:
        (tmp_path / "rclpy" / name).touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = bootstrap.ask(sys.executable)
    assert (found.ros, found.recent) == (True, recent)


def test_beside_a_sourced_ros_its_own_packages_are_left_alone():
    pins = "numpy==2.2.6\nlark==1.3.1\npytest==9 ; python_full_version >= '3.11'\n"
    assert bootstrap.less_of_ros(pins) == "pytest==9 ; python_full_version >= '3.11'\n"


def test_a_robot_gets_a_part_of_what_a_checkout_gets_and_no_torch():
    whole, robot = ((ROOT / "requirements" / name).read_text().splitlines() for name in ("python.txt", "robot.txt"))
    assert set(robot) < set(whole)
    names = {line.split("==")[0] for line in robot}
    assert {"openvino", "safetensors", "typer", "colcon-core"} <= names and not {"torch", "lightning"} & names


def test_wheels_that_were_built_elsewhere_point_here():
    built = ('INTERFACE_INCLUDE_DIRECTORIES "/opt/python/cp312-cp312/include/python3.12;'
             '/opt/python/cp312-cp312/lib/python3.12/site-packages/numpy/_core/include"')
    right = bootstrap.rewritten(built, "/usr/include/python3.12", r"/home/a b\1/.venv/lib/python3.12/site-packages")
    assert right == ('INTERFACE_INCLUDE_DIRECTORIES "/usr/include/python3.12;'
                     r'/home/a b\1/.venv/lib/python3.12/site-packages/numpy/_core/include"')
    assert bootstrap.rewritten(right, "elsewhere", "elsewhere") == right


def test_commands_start_in_a_folder_with_a_space(tmp_path: Path):
    (tmp_path / "spaced").write_text('#!"/home/a b/.venv/bin/python"\nprint(1)\n')
    (tmp_path / "plain").write_text("#!/home/ab/.venv/bin/python\nprint(1)\n")
    bootstrap.repair_commands(tmp_path)
    assert (tmp_path / "spaced").read_text() == "#!/usr/bin/env python3\nprint(1)\n"
    assert (tmp_path / "plain").read_text() == "#!/home/ab/.venv/bin/python\nprint(1)\n"


def test_the_stamp_follows_every_input(tmp_path: Path):
    (tmp_path / "msg" / "deep").mkdir(parents=True)
    (tmp_path / "msg" / "A.msg").write_text("int32 a\n")
    (tmp_path / "setup.cfg").write_text("")

    def stamp(*words: str) -> str:
        return bootstrap.digest(tmp_path, ["msg", "setup.cfg"], *words)

    seen = [stamp(), stamp("3.12")]
    (tmp_path / "msg" / "deep" / "B.msg").write_text("int32 b\n")
    seen.append(stamp())
    (tmp_path / "setup.cfg").write_text("[options]\n")
    seen.append(stamp())
    (tmp_path / "msg" / "A.msg").rename(tmp_path / "msg" / "C.msg")
    seen.append(stamp())
    assert len(set(seen)) == len(seen)
    (tmp_path / "README.md").write_text("not an input")
    assert stamp() == seen[-1]


def test_only_what_was_finished_counts_as_made(tmp_path: Path):
    assert not bootstrap.is_made(tmp_path / "nowhere", "1")
    assert not bootstrap.is_made(tmp_path, "1")
    (tmp_path / bootstrap.STAMP).write_text("1")
    assert bootstrap.is_made(tmp_path, "1") and not bootstrap.is_made(tmp_path, "2")


def test_a_command_that_fails_shows_its_end_and_where_the_rest_is(monkeypatch, tmp_path: Path, capfd):
    monkeypatch.setattr(bootstrap, "LOG", tmp_path / "setup.log")
    failing = [sys.executable, "-u", "-c", "for i in range(100): print('line', i)\nraise SystemExit('no such package')"]
    with pytest.raises(bootstrap.SetupError, match=r"a step failed as shown above \(all of it in .*setup\.log"):
        bootstrap.run("a step", failing)
    shown = capfd.readouterr().err
    assert "no such package" in shown and "line 99" in shown and "line 9\n" not in shown
    assert "line 0\n" in (tmp_path / "setup.log").read_text()


def test_colcon_gets_all_that_cmake_reads():
    cmake = (ROOT / "CMakeLists.txt").read_text()
    installed = " ".join(re.findall(r"install\(DIRECTORY (.+?)\s+DESTINATION", cmake))
    read = {"msg", "seld_overlap_ros", *(folder.split("/")[0] for folder in installed.split())}
    assert set(bootstrap.SOURCES) == read | {"CMakeLists.txt", "package.xml", "setup.cfg"}


def test_sourcing_before_set_up_says_what_to_do(tmp_path: Path):
    (tmp_path / "env.sh").write_text((ROOT / "env.sh").read_text())
    said = subprocess.run(["bash", "-c", "source ./env.sh"], cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 1 and "make setup" in said.stderr and "colcon build" in said.stderr


def test_sourcing_twice_adds_nothing(tmp_path: Path):
    (tmp_path / "env.sh").write_text((ROOT / "env.sh").read_text())
    for folder in (".venv/bin", ".venv/share/ament_index", "install/share/ament_index"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "install" / bootstrap.STAMP).touch()
    once = 'source ./env.sh; echo "$PATH|$AMENT_PREFIX_PATH|$LD_LIBRARY_PATH"; '
    said = subprocess.run(["bash", "-euc", once * 2], cwd=tmp_path, env={"PATH": os.environ["PATH"]},
                          capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0] == said[1]
    assert said[0].endswith(f"|{tmp_path}/install:{tmp_path}/.venv|{tmp_path}/install/lib:{tmp_path}/.venv/lib")


def test_beside_a_sourced_ros_its_python_finds_the_packages(tmp_path: Path):
    """Its commands, `ros2` among them, run on the system's Python, which does not look into .venv."""
    (tmp_path / "env.sh").write_text((ROOT / "env.sh").read_text())
    packages = tmp_path / "install" / "lib" / "python3.12" / "site-packages"
    for folder in (tmp_path / ".venv" / "bin", tmp_path / "install" / "share" / "ament_index", packages):
        folder.mkdir(parents=True)
    (tmp_path / "install" / bootstrap.STAMP).touch()
    said = subprocess.run(["bash", "-euc", 'source ./env.sh; echo "$PYTHONPATH"'], cwd=tmp_path, capture_output=True,
                          env={"PATH": os.environ["PATH"], "PYTHONPATH": "/opt/ros"}, text=True, check=True).stdout
    assert said == f"{packages}:/opt/ros\n"


def test_sourcing_in_a_ros_workspace_sources_the_workspace(tmp_path: Path):
    checkout = tmp_path / "src" / "seld_overlap"
    checkout.mkdir(parents=True)
    (checkout / "env.sh").write_text((ROOT / "env.sh").read_text())
    (tmp_path / "install" / "seld_overlap" / "share" / "seld_overlap").mkdir(parents=True)
    (tmp_path / "install" / "setup.bash").write_text("echo workspace\n")
    said = subprocess.run(["bash", "-euc", "source src/seld_overlap/env.sh; python -c 'print(1)'"], cwd=tmp_path,
                          capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["workspace", "1"]
