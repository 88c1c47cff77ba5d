"""Which nodes make up a graph, and what may be set about them: one description for launch files and `seld-overlap up`.

A parameter stands here once, with its type, default, bounds and meaning: the node declares it from here, and the
graph's argument of the same name sets it in every node that has it. No ROS in here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from seld_overlap_ros.models.engine import AUTO, DEFAULT_MODEL, ENGINES
from seld_overlap_ros.streaming.pcm import RATES, SAMPLE_FORMATS

Value = str | int | float | bool
REFUSED = 1  # exit code of a node that cannot go on and says what its user is to mend
CRASHED = 2  # and of one that has failed by itself, as any other code but 0: it may be started again
YAML_BOOLS = {"true": True, "false": False}


class GraphError(ValueError):
    """Arguments that no graph can be started with; the message says which, and what would do."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a node. Its type is that of its default."""

    name: str
    default: Value
    description: str
    minimum: float | None = None  # both are set, or none
    maximum: float | None = None
    run_time: bool = False  # whether it may be set while the node runs
    word: str = ""  # a text that may stand there in place of a number

    def refusal(self, value: Value) -> str:
        """Why a parameter that may be a number or its word cannot have a value; empty if it can."""
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)  # to Python true is 1
        if value == self.word or (is_number and self.minimum <= value <= self.maximum):
            return ""
        return f"{self.name} must be {self.word}, or lie in [{self.minimum:g}, {self.maximum:g}], got {value!r}"

    def parse(self, text: str) -> Value:
        """What was typed as a value of the parameter's type. Raises GraphError."""
        if self.word and text == self.word:
            return text
        kind = type(self.default)
        try:
            value = YAML_BOOLS[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError) as error:
            kind = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
            kind += f" or {self.word}" if self.word else ""
            raise GraphError(f"{self.name} must be {kind}, got {text!r}: write for example "
                             f"{self.name}:={str(self.default).lower()}") from error
        if self.minimum is not None and not self.minimum <= value <= self.maximum:
            raise GraphError(f"{self.name} must lie in [{self.minimum:g}, {self.maximum:g}], got {text}")
        return value


SIM_TIME = Parameter(  # every node of ROS has it
    "use_sim_time", False, "Whether the nodes' clock is /clock, such as that of `ros2 bag play --clock`."
)


@dataclass(frozen=True)
class NodeKind:
    """A node of this package: its name and its parameters."""

    name: str
    parameters: tuple[Parameter, ...]
    executable: str = ""  # which its module bears too; empty: the node's name
    fixed: Mapping[str, Value] = field(default_factory=dict)  # parameters that the graph sets and nobody else

    def has(self, name: str) -> bool:
        """Whether there is a parameter of that name."""
        return any(parameter.name == name for parameter in self.parameters)

    @property
    def program(self) -> str:
        """What `ros2 run` runs."""
        return self.executable or self.name

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return f"seld_overlap_ros.nodes.{self.program}"


@dataclass(frozen=True)
class Graph:
    """Nodes that belong together."""

    description: str
    nodes: tuple[NodeKind, ...]
    # node name -> arguments of which one must be given for the node to be started
    only_with: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # node name -> argument of the graph alone that starts the node
    switches: Mapping[str, Parameter] = field(default_factory=dict)
    presets: Mapping[str, str] = field(default_factory=dict)  # that count unless an argument or params_file says other
    systems: tuple[str, ...] = ()  # what the argument `system` may be
    ends_with: str = ""  # node after whose good end nothing is left to do

    def arguments(self) -> dict[str, str]:
        """Name -> description of everything that may be given. Nothing must be; empty is not given."""
        described = {
            "namespace": "Namespace of all nodes and topics, such as that of the audio_capture node (audio).",
            "params_file": "ROS parameter file with what the arguments leave open, like the shipped config/full.yaml.",
        }
        if self.systems:
            described["system"] = f"Shipped model to load, in place of model: one of {', '.join(self.systems)}."
        for parameter in [SIM_TIME, *self._parameters().values()]:
            default = parameter.parse(self.presets.get(parameter.name, str(parameter.default)))
            described[parameter.name] = (
                f"{parameter.description} If not given: as in params_file, else {_in_words(default)}.")
        for switch in self.switches.values():
            described[switch.name] = f"{switch.description} If not given: {str(switch.default).lower()}."
        return described

    def processes(self, given: Mapping[str, str]) -> list[Process]:
        """The processes to start for arguments as they were typed. Raises GraphError."""
        if unknown := sorted(given.keys() - self.arguments().keys()):
            raise GraphError(f"no argument {', '.join(unknown)} here; there are {', '.join(self.arguments())}")
        given = {name: text for name, text in given.items() if text != ""}
        if system := given.pop("system", ""):
            given["model"] = self._model_of(system, given.get("model", ""))
        known = self._parameters() | {SIM_TIME.name: SIM_TIME}
        values = {name: known[name].parse(text) for name, text in given.items() if name in known}
        file = ParameterFile(given["params_file"]) if "params_file" in given else None
        processes = [
            Process(
                node,
                given.get("namespace", ""),
                file.path if file else "",
                {name: value for name, value in {**self._presets_for(node, given, file), **values, **node.fixed}.items()
                 if node.has(name) or name == SIM_TIME.name},
            )
            for node in self.nodes
            if node.name not in self.only_with or set(self.only_with[node.name]) & given.keys()
            if self._is_on(node, given)
        ]
        if values.get(SIM_TIME.name) and any(process.node.name == SCENE_PLAYER.name for process in processes):
            raise GraphError("use_sim_time:=true is for a bag, which `ros2 bag play --clock` plays in place of file "
                             "or device; scene_player goes by the machine's clock: leave one of them out")
        return processes

    def _presets_for(self, node: NodeKind, given: Mapping[str, str], file: ParameterFile | None) -> dict[str, Value]:
        """Those that nothing else is in place of: a device is heard in place of a file."""
        known, said = self._parameters(), given.keys() | (file.names(node.name) if file else set())
        taken = said | set(PLAYED) if said & set(PLAYED) else said
        return {name: known[name].parse(text) for name, text in self.presets.items() if name not in taken}

    def _is_on(self, node: NodeKind, given: Mapping[str, str]) -> bool:
        """Whether a node's switch, if it has one, is on."""
        switch = self.switches.get(node.name)
        return switch is None or bool(switch.parse(given.get(switch.name, str(switch.default))))

    def defaults(self) -> dict[str, dict[str, Value]]:
        """Node name -> parameter -> the value that it has where nothing is given."""
        known = self._parameters()
        presets = {name: known[name].parse(text) for name, text in self.presets.items()}
        return {node.name: {p.name: {p.name: p.default, **presets, **node.fixed}[p.name] for p in node.parameters}
                for node in self.nodes}

    def _parameters(self) -> dict[str, Parameter]:
        return {p.name: p for node in self.nodes for p in node.parameters if p.name not in node.fixed}

    def _model_of(self, system: str, model: str) -> str:
        """Name of the shipped model of a system. Raises GraphError."""
        if system not in self.systems:
            raise GraphError(f"no system {system!r} here; there is {', '.join(self.systems)}")
        if model:
            raise GraphError(f"system:={system} and model:={model} both say what to load: give one of them")
        return system


def _in_words(value: Value) -> str:
    """As it would be typed; texts in quotes."""
    if value == "":
        return "empty"
    return str(value).lower() if isinstance(value, bool) else repr(value)


class ParameterFile:
    """A ROS parameter file, of which ROS itself reads the values: here it is only seen what it says something about."""

    def __init__(self, path: str) -> None:
        """Raises GraphError, where launch would warn in passing and start the nodes without it."""
        file = Path(path).expanduser()  # no shell does that in params_file:=~/ears.yaml
        self.path = str(file)
        try:
            self._content = yaml.safe_load(file.read_text(encoding="utf-8"))
            self.names("")  # a section that is a part of itself has no end
        except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
            raise GraphError(f"params_file {path} cannot be read ({' '.join(str(error).split())}): give one like "
                             "config/full.yaml") from error

    def names(self, node: str) -> set[str]:
        """Parameters that it sets for a node of that name, whatever the namespace."""
        return set(_set_for(node, self._content))


def _set_for(node: str, content: object) -> Iterator[str]:
    """Sections lie in namespaces, as deep as these go, and may be for all nodes."""
    for name, section in content.items() if isinstance(content, dict) else ():
        if isinstance(section, dict) and isinstance(own := section.get("ros__parameters"), dict):
            yield from own if str(name).rpartition("/")[2] in (node, "*", "**") else ()
        else:
            yield from _set_for(node, section)


@dataclass(frozen=True)
class Process:
    """One process to start: a node with what is set about it."""

    node: NodeKind
    namespace: str  # empty: none
    params_file: str  # empty: none
    parameters: dict[str, Value]  # only what was given


FRAME_ID = Parameter("frame_id", "microphone_array", "Frame of the microphone array, where the audio names none.")
SAMPLE_RATE = Parameter(
    "sample_rate", 16000, "Sample rate to capture with, and of audio that does not say its own. [Hz]", *RATES
)
SAMPLE_FORMAT = Parameter(
    "sample_format",
    "S16LE",
    f"Format of the samples to send, and of audio that does not say its own: one of {', '.join(SAMPLE_FORMATS)}.",
)
AUDIO_TYPES = (AUTO, "AudioDataStamped", "AudioData", "AudioStamped", "AudioFrame", "HarkWave", "RawAudio")
AUDIO_INPUT = (  # of every node that listens to audio
    FRAME_ID,
    Parameter(
        "audio_type",
        AUTO,
        f"Message type of the audio to listen to, one of {', '.join(AUDIO_TYPES)}; auto: the one that is published.",
    ),
    Parameter(
        "channel_map",
        "",
        "Channel of the audio, counted from 0, for each microphone of the model, such as 1,2,3,4; empty: as they come.",
    ),
    Parameter(
        "input_channels",
        0,
        "Channels of audio that does not say its own; 0: as many as the model has microphones.",
        0,
        255,
    ),
    SAMPLE_RATE,
    SAMPLE_FORMAT,
)

AUTOSTART = Parameter(
    "autostart", True, "Whether the node configures and activates itself, or waits for others to do it (lifecycle)."
)
MODEL = Parameter("model", DEFAULT_MODEL, "Name of a shipped model, or path of a .safetensors file.")
ENGINE = Parameter(
    "engine", AUTO, f"What computes the networks: one of {', '.join(ENGINES)}; auto: the fastest that is installed."
)
LISTENING = (
    Parameter(
        "hop",
        0.5,
        "Time from one analysis window to the next [s], which becomes a whole number of STFT frames of 16 ms; auto: "
        "the shortest of ten at which windows take less than half of the time, as measured at the start and since.",
        0.05,
        4.0,
        run_time=True,
        word=AUTO,
    ),
    Parameter(
        "direction_threshold",
        0.5,
        "Least probability of a sound for a direction to be listened to; more hears less. A direction that was "
        "heard in the window before needs only half the odds p / (1 - p), such as 0.33 for 0.5.",
        0.0,
        1.0,
        run_time=True,
    ),
    *AUDIO_INPUT,
)
CLASS_THRESHOLD = Parameter(
    "class_threshold",
    0.4,
    "Least score of a class for a sound to be named; the class of others is said to be unknown.",
    0.0,
    1.0,
    run_time=True,
)

CLASSES = Parameter(
    "classes",
    "",
    "Classes of the model that can occur where it listens, such as door,dog_bark: the scores of the others go to "
    "these, and so does a sound that is none of them; empty: all.",
)

FULL_NODE = NodeKind("full_node", (MODEL, ENGINE, *LISTENING, CLASSES, CLASS_THRESHOLD, AUTOSTART))
SSL_NODE = NodeKind("ssl_node", (MODEL, ENGINE, *LISTENING, AUTOSTART))
SSS_NODE = NodeKind(
    "sss_node",
    (
        MODEL,
        ENGINE,
        Parameter("number", 0, "Which SSS of the model: 0, or 1 where there are two and a gate.", 0, 1),
        AUTOSTART,
    ),
)
SSS_NODES = tuple(replace(SSS_NODE, name=f"sss_node_{n}", executable="sss_node", fixed={"number": n}) for n in (0, 1))
GATE_NODE = NodeKind("gate_node", (AUTOSTART,))
SSC_NODE = NodeKind("ssc_node", (MODEL, ENGINE, CLASSES, CLASS_THRESHOLD, FRAME_ID, AUTOSTART))

NODES = Parameter("nodes", "", "Lifecycle nodes to wait for before the start, such as ssl_node,ssc_node.")
SCENE_PLAYER = NodeKind(
    "scene_player",
    (
        Parameter(
            "file",
            "",
            "WAV or FLAC file to play, or `demo`, which is shipped; 1 s of silence follows: with a longer hop its end "
            "may not be heard.",
        ),
        Parameter(
            "device", "", "Microphone to capture from, by sounddevice's number or name, or `default`; not with a file."
        ),
        Parameter("rate", 1.0, "How many times faster than real time a file is played.", 0.01, 100.0),
        Parameter("channels", 8, "Channels to capture from the microphone.", 1, 255),
        SAMPLE_RATE,
        SAMPLE_FORMAT,
        Parameter("chunk", 0.1, "Length of one message. [s]", 0.001, 1.0),
        Parameter("listeners", 1, "Subscribers of audio_stamped to wait for before the start.", 0, 100),
        NODES,
        FRAME_ID,
    ),
)

EVENT_RECORDER = NodeKind(
    "event_recorder",
    (
        Parameter("folder", "recording", "Folder to leave events.json and the separated sounds in; made if need be."),
        Parameter("end_after", 0.0, "Silence of the topics after which to end; 0: only if told to. [s]", 0.0, 1e6),
    ),
)

DISPLAY_NODE = NodeKind(
    "display_node",
    (Parameter("radius", 1.0, "Distance from the array at which sounds are drawn. [m]", 0.01, 1000.0, run_time=True),),
)
DISPLAY = Parameter("display", False, "Whether to start display_node too, for RViz, Foxglove and HARK: true or false.")

# For `seld-overlap evaluate --live` and launch/replay.launch.py: they play to one of the graphs below, and are in none.
BAG_PLAYER = NodeKind(
    "bag_player",
    (
        Parameter("bag", "", "Rosbag with the audio to play: its folder, or one of its files."),
        Parameter(
            "rate",
            1.0,
            "How many times faster than real time it is played; 0: a window when the one before has been heard.",
            0.0,
            100.0,
        ),
        Parameter("window", 4.112, "Length of the graph's windows, for rate 0. [s]", 0.1, 100.0),
        Parameter("hop", 0.5, "Time from one analysis window to the next, for rate 0. [s]", 0.05, 4.0),
        Parameter("listeners", 2, "Subscribers of the audio to wait for before the start.", 0, 100),
    ),
)
RUN_RECORDER = NodeKind(
    "run_recorder",
    (
        Parameter("folder", "run", "Rosbag to record into, which must not be there yet."),
        NODES,
        Parameter("end_after", 5.0, "Silence of events, once the player has ended, after which to end. [s]", 0.1, 1e6),
    ),
)
REPLAY_NODES = (BAG_PLAYER, RUN_RECORDER)


def lifecycle_names(nodes: Iterable[NodeKind]) -> str:
    """Names of those that load something first, with commas between them."""
    return ",".join(node.name for node in nodes if AUTOSTART in node.parameters)


def with_player(*nodes: NodeKind) -> tuple[NodeKind, ...]:
    """Nodes of a graph, and the player, which waits until they can hear the first sample."""
    return (*nodes, replace(SCENE_PLAYER, fixed={NODES.name: lifecycle_names(nodes)}))


SYSTEMS = ("overlap", "cascade", "ssl_sss", "sss_ssc", "plus")
PLAYED = ("file", "device")  # one of them, by scene_player
WITH_PLAYER = {SCENE_PLAYER.name: PLAYED}
WITH_DISPLAY = {"display_node": DISPLAY}
GRAPHS = {
    "full": Graph(
        "One node that localizes, separates and classifies; with `file` or `device`, also the node that plays to it.",
        (*with_player(FULL_NODE), DISPLAY_NODE),
        only_with=WITH_PLAYER,
        switches=WITH_DISPLAY,
        systems=SYSTEMS,
    ),
    "stages": Graph(
        "The overlapped system with a node a stage: SSL, two SSS, the gate, SSC; with `file` or `device`, a player.",
        (*with_player(SSL_NODE, *SSS_NODES, GATE_NODE, SSC_NODE), DISPLAY_NODE),
        only_with=WITH_PLAYER,
        switches=WITH_DISPLAY,
        systems=("overlap", "plus"),
    ),
    "cascade": Graph(
        "A system of one SSS with a node a stage: SSL, SSS, SSC; with `file` or `device`, also the node that plays.",
        (*with_player(SSL_NODE, replace(SSS_NODE, fixed={"number": 0}), SSC_NODE), DISPLAY_NODE),
        only_with=WITH_PLAYER,
        switches=WITH_DISPLAY,
        presets={"model": "cascade"},
        systems=("cascade", "ssl_sss", "sss_ssc"),
    ),
    # The recorder is to hear the first sample, and then comes the player, so that all are there when it starts.
    "demo": Graph(
        "The shipped scene, one node that hears it, and one that shows what it hears and leaves it in a folder.",
        with_player(FULL_NODE, EVENT_RECORDER),
        presets={"file": "demo", "listeners": "2", "end_after": "4"},
        systems=SYSTEMS,
        ends_with="event_recorder",
    ),
}


def replay_processes(graph: Graph, given: Mapping[str, str], folder: str) -> list[Process]:
    """A graph on the clock of a bag, for arguments as they were typed, and before it what records it into `folder`.

    Raises GraphError.
    """
    if graph.ends_with:
        raise GraphError(f"this graph plays by itself: name one of {', '.join(replay_graphs())}")
    if given.get("hop") == AUTO:
        raise GraphError("hop:=auto is another one on each machine, and cannot be held against offline: give a number, "
                         "such as hop:=0.5")
    on_clock = graph.processes({**given, SIM_TIME.name: "true"})
    return [Process(RUN_RECORDER, "", "", {"folder": folder, NODES.name: lifecycle_names(graph.nodes)}), *on_clock]


def replay_graphs() -> list[str]:
    """Those to which a bag can be played."""
    return [name for name, graph in GRAPHS.items() if not graph.ends_with]


def find_graph(name: str) -> Graph:
    """A graph by its name. Raises GraphError."""
    if name not in GRAPHS:
        raise GraphError(f"no graph {name!r}; there is {', '.join(GRAPHS)}")
    return GRAPHS[name]


def read_arguments(typed: list[str]) -> dict[str, str]:
    """Each name:=value as it was typed -> values by name. Raises GraphError."""
    for argument in typed:
        if ":=" not in argument:
            raise GraphError(f"{argument!r} sets nothing: write name:=value")
    return dict(argument.split(":=", 1) for argument in typed)
