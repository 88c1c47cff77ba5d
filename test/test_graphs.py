"""What a graph's description says is what the launch files, `seld-overlap up` and the parameter file go by."""

import importlib.util
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from typer.testing import CliRunner

from seld_overlap_ros.cli import app
from seld_overlap_ros.graphs import GRAPHS, LISTENING, GraphError, find_graph, read_arguments, replay_processes
from seld_overlap_ros.up import command

FULL = GRAPHS["full"]
ROOT = Path(__file__).parents[1]


def names(**given: str) -> list[str]:
    return [process.node.name for process in FULL.processes(given)]


def test_the_player_comes_with_something_to_play():
    assert names() == ["full_node"]
    assert names(file="", device="") == ["full_node"]
    assert names(file="a.wav") == names(device="default") == ["full_node", "scene_player"]


def test_the_display_comes_where_it_is_switched_on():
    assert "display" in FULL.arguments()
    assert names(display="true") == ["full_node", "display_node"]
    assert names(display="false") == names(display="") == ["full_node"]
    with pytest.raises(GraphError, match="display must be true or false, got 'yes': write for example display:=false"):
        names(display="yes")


def test_all_nodes_go_by_the_clock_that_is_asked_for():
    assert [p.parameters["use_sim_time"] for p in GRAPHS["stages"].processes({"use_sim_time": "true"})] == [True] * 5
    assert FULL.processes({"use_sim_time": "False"})[0].parameters == {"use_sim_time": False}
    with pytest.raises(GraphError, match="use_sim_time must be true or false, got '1'"):
        FULL.processes({"use_sim_time": "1"})
    with pytest.raises(GraphError, match="is for a bag, which `ros2 bag play --clock` plays"):
        FULL.processes({"use_sim_time": "true", "file": "demo"})


def test_only_what_is_given_is_set_and_in_every_node_that_has_it():
    full_node, player = FULL.processes({"file": "a.wav", "hop": "1", "frame_id": "head", "namespace": "audio"})
    assert full_node.parameters == {"hop": 1.0, "frame_id": "head"}
    assert player.parameters == {"file": "a.wav", "frame_id": "head", "nodes": "full_node"}
    assert isinstance(full_node.parameters["hop"], float)
    assert full_node.namespace == player.namespace == "audio"


def test_the_hop_may_be_left_to_the_node():
    assert FULL.processes({"hop": "auto"})[0].parameters == {"hop": "auto"}


def test_a_number_that_may_be_a_word_is_nothing_else():
    [hop] = [parameter for parameter in LISTENING if parameter.name == "hop"]
    assert not any(map(hop.refusal, ("auto", 0.5, 1)))
    assert hop.refusal(True) == "hop must be auto, or lie in [0.05, 4], got True"
    assert all(map(hop.refusal, (False, "soon", "", 0.0, 4.1, float("nan"), [1.0])))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"hoop": "1"}, "no argument hoop here; there are namespace, params_file, system, use_sim_time, model, "),
        ({"hop": "soon"}, "hop must be a number or auto, got 'soon': write for example hop:=0.5"),
        ({"hop": "nan"}, r"hop must lie in \[0.05, 4\], got nan"),
        ({"channels": "2.5"}, "channels must be a whole number"),
        ({"direction_threshold": "2"}, r"direction_threshold must lie in \[0, 1\], got 2"),
    ],
)
def test_what_cannot_be_set_is_refused_in_a_sentence(given, sentence):
    with pytest.raises(GraphError, match=sentence):
        FULL.processes(given)


@pytest.mark.parametrize(("name", "given", "sentence"), [
    ("demo", {}, "this graph plays by itself: name one of full, stages, cascade"),
    ("full", {"hop": "auto"}, "cannot be held against offline: give a number, such as hop:=0.5"),
])
def test_what_no_bag_can_be_played_to_is_refused_in_a_sentence(name, given, sentence):
    with pytest.raises(GraphError, match=sentence):
        replay_processes(find_graph(name), given, "run")


def test_arguments_are_read_as_typed():
    assert read_arguments(["file:=a:=b.wav", "hop:="]) == {"file": "a:=b.wav", "hop": ""}
    with pytest.raises(GraphError, match="'file=a.wav' sets nothing: write name:=value"):
        read_arguments(["file=a.wav"])
    with pytest.raises(GraphError, match="no graph 'fool'; there is full, stages, cascade, demo"):
        find_graph("fool")


def test_a_preset_gives_way_to_what_is_given():
    def played(**given: str) -> dict:
        player = GRAPHS["demo"].processes(given)[-1].parameters
        return {name: player[name] for name in ("file", "device") if name in player}

    assert played() == played(file="") == {"file": "demo"}
    assert played(file="mine.wav") == {"file": "mine.wav"}
    assert played(device="default") == {"device": "default"}


@pytest.mark.parametrize(("text", "gives_way"), [
    ("/**/ssl_node: {ros__parameters: {model: mine}}", True),
    ("ssl_node: {ros__parameters: {model: mine}}", True),
    ("/**: {ros__parameters: {model: mine}}", True),
    ("audio: {ssl_node: {ros__parameters: {model: mine}}}", True),
    ("/**/ssl_node: {ros__parameters: {hop: 1.0}}", False),
    ("/**/ssc_node: {ros__parameters: {model: mine}}", False),
    ("", False),
    ("[1, {2: 3}]", False),
    ("ssl_node: {ros__parameters: 3}", False),
])
def test_a_preset_gives_way_to_what_the_parameter_file_says(tmp_path, text, gives_way):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    ssl_node = GRAPHS["cascade"].processes({"params_file": str(file)})[0]
    assert ssl_node.parameters == ({} if gives_way else {"model": "cascade"})


def test_a_parameter_file_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / "ears.yaml").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FULL.processes({"params_file": "~/ears.yaml"})[0].params_file == str(tmp_path / "ears.yaml")
    with pytest.raises(GraphError, match="params_file ~/eras.yaml cannot be read .*: give one like config/full.yaml"):
        FULL.processes({"params_file": "~/eras.yaml"})
    for text in ("a: b: c", "- [", "\x00", "[" * 3000, "full_node: &a {b: *a}"):
        (tmp_path / "ears.yaml").write_text(text)
        with pytest.raises(GraphError, match=r"params_file ~/ears.yaml cannot be read .*: give one"):
            FULL.processes({"params_file": "~/ears.yaml"})


def test_a_command_sets_what_the_process_says(tmp_path):
    mine = tmp_path / "my.yaml"
    mine.touch()
    _, player = FULL.processes({"file": "12", "rate": "2", "params_file": str(mine), "namespace": "/audio"})
    line = command(player)
    assert line[1:3] == ["-m", "seld_overlap_ros.nodes.scene_player"]
    assert line[3:] == ["--ros-args", "-r", "__node:=scene_player", "-r", "__ns:=/audio", "--params-file", str(mine),
                        "-p", 'file:="12"', "-p", "rate:=2.0", "-p", 'nodes:="full_node"']
    assert yaml.safe_load(line[-5].partition(":=")[2]) == "12"  # a text, although it looks like a number


def test_each_node_has_an_enclave_of_its_own_where_security_is_on(monkeypatch):
    [process] = FULL.processes({})
    monkeypatch.delenv("ROS_SECURITY_ENABLE", raising=False)
    assert "--enclave" not in command(process)
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    line = command(process)
    assert line[line.index("--enclave") + 1] == "/seld_overlap/full_node"
    enclaves = {each.get("path") for each in ElementTree.parse(ROOT / "config" / "policy.xml").iter("enclave")}
    assert enclaves == {f"/seld_overlap/{node.name}" for graph in GRAPHS.values() for node in graph.nodes}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_shipped_parameter_files_say_the_defaults(name):
    shipped = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    assert {node.removeprefix("/**/"): said["ros__parameters"] for node, said in shipped.items()} == (
        GRAPHS[name].defaults())


@pytest.mark.parametrize("name", GRAPHS)
def test_the_shipped_parameter_files_mark_what_the_graph_sets_itself(name):
    lines = (ROOT / "config" / f"{name}.yaml").read_text().splitlines()
    marked = [line.split(":")[0].strip() for line in lines if line.endswith("the graph sets it, whatever stands here")]
    assert marked == [parameter for node in GRAPHS[name].nodes for parameter in node.fixed]


def test_the_document_and_the_parameter_files_are_as_the_tool_writes_them():
    spec = importlib.util.spec_from_file_location("describe_graphs", ROOT / "tools" / "describe_graphs.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    stale = [str(path) for path, text in tool.texts().items() if path.read_text() != text]
    assert not stale, "run: python tools/describe_graphs.py"


def test_every_graph_has_a_launch_file():
    for name in GRAPHS:
        assert f'describe("{name}")' in (ROOT / "launch" / f"{name}.launch.py").read_text()


def test_the_stages_are_the_nodes_of_their_systems():
    def started(graph: str, **given: str) -> dict:
        return {process.node.name: process.parameters for process in GRAPHS[graph].processes(given)}

    assert started("stages") == {
        "ssl_node": {}, "sss_node_0": {"number": 0}, "sss_node_1": {"number": 1}, "gate_node": {}, "ssc_node": {}}
    cascade = {"model": "cascade"}
    assert started("cascade") == {"ssl_node": cascade, "sss_node": {**cascade, "number": 0}, "ssc_node": cascade}
    assert started("cascade", system="sss_ssc")["ssc_node"] == {"model": "sss_ssc"}
    assert started("full", system="plus") == {"full_node": {"model": "plus"}}
    assert started("stages", autostart="false")["gate_node"] == {"autostart": False}
    assert list(started("demo")) == ["full_node", "event_recorder", "scene_player"]
    for graph in ("stages", "cascade"):  # the player waits for all of them
        player = started(graph, file="demo").pop("scene_player")
        assert player["nodes"] == ",".join(started(graph))


@pytest.mark.parametrize(
    ("graph", "given", "sentence"),
    [
        ("cascade", {"system": "overlap"}, "no system 'overlap' here; there is cascade, ssl_sss, sss_ssc"),
        ("full", {"system": "cascade", "model": "a.safetensors"}, "both say what to load: give one of them"),
        ("stages", {"number": "1"}, "no argument number here"),
    ],
)
def test_systems_that_a_graph_cannot_be_are_refused(graph, given, sentence):
    with pytest.raises(GraphError, match=sentence):
        GRAPHS[graph].processes(given)


def test_every_node_is_an_entry_point():
    listed = (ROOT / "setup.cfg").read_text()
    assert all(f"{node.program} = {node.module}:main" in listed for graph in GRAPHS.values() for node in graph.nodes)


def test_every_default_lies_within_its_bounds():
    for graph in GRAPHS.values():
        for parameter in (parameter for node in graph.nodes for parameter in node.parameters):
            assert parameter.parse(str(parameter.default)) == parameter.default


def test_up_lists_the_arguments_and_refuses_others():
    listed = CliRunner().invoke(app, ["up", "full", "--show-args"])
    assert listed.exit_code == 0
    assert all(f"{name}:\n" in listed.output for name in FULL.arguments())
    refused = CliRunner().invoke(app, ["up", "full", "hoop:=1"])
    assert refused.exit_code == 2
    assert "no argument hoop here" in refused.output
