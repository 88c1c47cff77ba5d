"""Which nodes make up a graph, and what may be set about them: one description for launch files and `seld-overlap up`.

A parameter stands here once, with its type, default, bounds and meaning: the node declares it from here, and the
graph's argument of the same name sets it in every node that has it. No ROS in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seld_overlap_ros.streaming.pcm import RATES, SAMPLE_FORMATS

Value = str | int | float | bool
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

    def parse(self, text: str) -> Value:
        """What was typed as a value of the parameter's type. Raises GraphError."""
        kind = type(self.default)
        try:
            value = YAML_BOOLS[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError) as error:
            kind = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
            raise GraphError(f"{self.name} must be {kind}, got {text!r}: write for example "
                             f"{self.name}:={str(self.default).lower()}") from error
        if self.minimum is not None and not self.minimum <= value <= self.maximum:
            raise GraphError(f"{self.name} must lie in [{self.minimum:g}, {self.maximum:g}], got {text}")
        return value


@dataclass(frozen=True)
class NodeKind:
    """A node of this package: its name, which its module and its executable bear too, and its parameters."""

    name: str
    parameters: tuple[Parameter, ...]

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return f"seld_overlap_ros.nodes.{self.name}"


@dataclass(frozen=True)
class Graph:
    """Nodes that belong together."""

    description: str
    nodes: tuple[NodeKind, ...]
    # node name -> arguments of which one must be given for the node to be started
    only_with: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # node name -> argument of the graph alone that starts the node
    switches: Mapping[str, Parameter] = field(default_factory=dict)

    def arguments(self) -> dict[str, str]:
        """Name -> description of everything that may be given. Nothing must be; empty is not given."""
        described = {
            "namespace": "Namespace of all nodes and topics, such as that of the audio_capture node (audio).",
            "params_file": "ROS parameter file with what the arguments leave open, like the shipped config/full.yaml.",
        }
        for parameter in self._parameters().values():
            default = repr(parameter.default) if parameter.default != "" else "empty"
            described[parameter.name] = f"{parameter.description} If not given: as in params_file, else {default}."
        for switch in self.switches.values():
            described[switch.name] = f"{switch.description} If not given: {str(switch.default).lower()}."
        return described

    def processes(self, given: Mapping[str, str]) -> list[Process]:
        """The processes to start for arguments as they were typed. Raises GraphError."""
        if unknown := sorted(given.keys() - self.arguments().keys()):
            raise GraphError(f"no argument {', '.join(unknown)} here; there are {', '.join(self.arguments())}")
        given = {name: text for name, text in given.items() if text != ""}
        known = self._parameters()
        values = {name: known[name].parse(text) for name, text in given.items() if name in known}
        return [
            Process(
                node,
                given.get("namespace", ""),
                given.get("params_file", ""),
                {p.name: values[p.name] for p in node.parameters if p.name in values},
            )
            for node in self.nodes
            if node.name not in self.only_with or set(self.only_with[node.name]) & given.keys()
            if self._is_on(node, given)
        ]

    def _is_on(self, node: NodeKind, given: Mapping[str, str]) -> bool:
        """Whether a node's switch, if it has one, is on."""
        switch = self.switches.get(node.name)
        return switch is None or bool(switch.parse(given.get(switch.name, str(switch.default))))

    def _parameters(self) -> dict[str, Parameter]:
        return {parameter.name: parameter for node in self.nodes for parameter in node.parameters}


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
AUTO = "auto"
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

FULL_NODE = NodeKind(
    "full_node",
    (
        Parameter("model", "overlap", "Name of a shipped model, or path of a .safetensors file."),
        Parameter("hop", 0.5, "Time from one analysis window to the next. [s]", 0.05, 4.0, run_time=True),
        Parameter(
            "direction_threshold",
            0.5,
            "Least probability of a sound for a direction to be listened to; more hears less. A direction that was "
            "heard in the window before needs only half the odds p / (1 - p), such as 0.33 for 0.5.",
            0.0,
            1.0,
            run_time=True,
        ),
        Parameter(
            "class_threshold",
            0.4,
            "Least score of a class for a sound to be named; the class of others is said to be unknown.",
            0.0,
            1.0,
            run_time=True,
        ),
        *AUDIO_INPUT,
    ),
)

SCENE_PLAYER = NodeKind(
    "scene_player",
    (
        Parameter("file", "", "WAV or FLAC file to play."),
        Parameter(
            "device", "", "Microphone to capture from, by sounddevice's number or name, or `default`; not with a file."
        ),
        Parameter("rate", 1.0, "How many times faster than real time a file is played.", 0.01, 100.0),
        Parameter("channels", 8, "Channels to capture from the microphone.", 1, 255),
        SAMPLE_RATE,
        SAMPLE_FORMAT,
        Parameter("chunk", 0.1, "Length of one message. [s]", 0.001, 1.0),
        Parameter("listeners", 1, "Subscribers of audio_stamped to wait for before the start.", 0, 100),
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

GRAPHS = {
    "full": Graph(
        "One node that localizes, separates and classifies; with `file` or `device`, also the node that plays to it.",
        (FULL_NODE, SCENE_PLAYER, DISPLAY_NODE),
        only_with={"scene_player": ("file", "device")},
        switches={"display_node": DISPLAY},
    ),
}


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
