"""Why nothing comes out of a graph: what was seen of it in, the likeliest cause and the way out. No ROS in here.

`nodes/doctor.py` looks, and `seld-overlap doctor` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from rich.table import Table
from rich.text import Text

from seld_overlap_ros.graphs import AUTOSTART, GRAPHS
from seld_overlap_ros.streaming.health import ERROR, OK, WARN, Status

QUIET_DB = -75.0  # of the loudest microphone; below, a room with anything in it is not heard
FIRST_WINDOW_S = 6.0  # of audio, until the first window has surely been heard
STYLES = {OK: "green", WARN: "yellow", ERROR: "red"}
MANAGED = frozenset(node.name for graph in GRAPHS.values() for node in graph.nodes if AUTOSTART in node.parameters)
# topic, its namespace left out -> the node of a graph that gives it
GIVERS = {"window": "ssl_node", "activity": "ssl_node", "spectra_0": "sss_node_0", "spectra_1": "sss_node_1",
          "spectra": "gate_node (of the graph stages) or sss_node (cascade)", "events": "ssc_node"}


@dataclass(frozen=True)
class Endpoint:
    """A publisher or a subscriber."""

    node: str  # its full name, as all here
    topic: str
    type_name: str


@dataclass(frozen=True)
class Mismatch:
    """A publisher and a subscriber of a topic that do not come together."""

    topic: str
    publisher: str
    subscriber: str
    reason: str


@dataclass(frozen=True)
class Snapshot:
    """What can be seen of a graph from outside in a few seconds."""

    domain: str  # ROS_DOMAIN_ID
    discovery: str  # ROS_AUTOMATIC_DISCOVERY_RANGE
    nodes: frozenset[str] = frozenset()  # all that are there
    states: Mapping[str, str] = field(default_factory=dict)  # of each that hears: lifecycle state; empty: no answer
    publishers: tuple[Endpoint, ...] = ()
    subscribers: tuple[Endpoint, ...] = ()
    mismatches: tuple[Mismatch, ...] = ()
    statuses: Mapping[str, Mapping[str, Status]] = field(default_factory=dict)  # node -> subject -> latest
    audio_types: Mapping[str, bool] = field(default_factory=dict)  # that can be read -> whether it is installed here
    n_windows: int = 0  # messages on `events` meanwhile
    n_sounds: int = 0  # in them
    seconds: float = 0.0  # for how long it looked


@dataclass(frozen=True)
class Verdict:
    """The answer: one sentence, and whether nothing is to be mended."""

    sentence: str
    well: bool = False


def is_managed(name: str) -> bool:
    """Whether a node, by its full name, is one of those that hear."""
    return name.rpartition("/")[2] in MANAGED


def diagnose(seen: Snapshot) -> Verdict:
    """The likeliest cause for that nothing comes out; or that all is well."""
    return next(verdict for check in CHECKS if (verdict := check(seen)))


def _nobody(seen: Snapshot) -> Verdict | None:
    if seen.states:
        return None
    where = f"in ROS domain {seen.domain} (discovery range {seen.discovery})"
    if not seen.nodes:
        return Verdict(f"no ROS node at all is seen {where}: start a graph, such as `seld-overlap up full`, or set "
                       "ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE here as they are where it runs")
    return Verdict(f"none of the {len(seen.nodes)} nodes {where} is one that hears: start a graph, such as "
                   "`seld-overlap up full`, or set ROS_DOMAIN_ID here as it is where it runs")


def _not_started(seen: Snapshot) -> Verdict | None:
    """Its own word goes first: a model that cannot be loaded, say."""
    for node, state in sorted(seen.states.items()):
        told = _told(seen, node, "state")
        if told and told.level == ERROR:
            return Verdict(f"{node} is {told.sentence}")
        if not state and not told:
            return Verdict(f"{node} is there and does not answer: it is loading its model, or hangs, or SROS2 keeps "
                           "its answers back; ask again in half a minute, then look into its log")
        if state != "active" and (state or told.values.get("state") != "active"):
            return Verdict(_bring_up(node, state or told.values.get("state", "not active")))
    return None


def _bring_up(node: str, state: str) -> str:
    namespace, _, name = node.rpartition("/")
    if name in ("full_node", "ssl_node"):
        how = f'`ros2 service call {namespace}/enable std_srvs/srv/SetBool "{{data: true}}"`'
    else:
        steps = ("configure", "activate") if state == "unconfigured" else ("activate",)
        how = " and ".join(f"`ros2 lifecycle set {node} {step}`" for step in steps)
    return f"{node} is {state}: bring it up with {how}"


def _stage_missing(seen: Snapshot) -> Verdict | None:
    given = {end.topic for end in seen.publishers}
    for end in seen.subscribers:
        name = end.topic.rpartition("/")[2]
        if end.node in seen.states and end.topic not in given and name in GIVERS and end.type_name.startswith(
                "seld_overlap/"):
            return Verdict(f"{end.node} waits for {end.topic}, which nobody publishes: start {GIVERS[name]}, in the "
                           "same namespace")
    return None


def _mismatch(seen: Snapshot) -> Verdict | None:
    for each in seen.mismatches:
        return Verdict(f"{each.publisher} and {each.subscriber} do not come together on {each.topic}, as their QoS "
                       f"does not match ({each.reason}): set it as in docs/graph.md")
    return None


def _no_audio(seen: Snapshot) -> Verdict | None:
    for node, told in _all_told(seen, "audio"):
        if told.level == ERROR and told.values.get("messages") == told.values.get("messages refused") == "0":
            return Verdict(_where_audio_is(seen, node, told.values.get("topic", "its topic")))
    return None


def _where_audio_is(seen: Snapshot, node: str, topic: str) -> str:
    listens = f"{node} listens to {topic}"
    sources = [end for end in seen.publishers if end.node not in seen.states]
    here = [end for end in sources if end.topic == topic]
    for end in here:
        if seen.audio_types.get(end.type_name) and Endpoint(node, topic, end.type_name) in seen.subscribers:
            return f"{end.node} is there to publish the audio on {topic}, and sends none: is its microphone working?"
    for end in sources:
        if end.type_name in seen.audio_types and not seen.audio_types[end.type_name]:
            package = end.type_name.partition("/")[0]
            return (f"{listens}, and {end.node} publishes {end.type_name} on {end.topic}, whose messages are not "
                    f"installed here: install {package} (another package may have that name) and start again")
    for end in sources:
        if end.type_name in seen.audio_types:
            return (f"{listens}, and the audio is on {end.topic} ({end.type_name}): give the graph its namespace "
                    "(namespace:=NAME), leave audio_type at auto, or remap the topic")
    for end in here:
        return (f"{end.node} publishes {end.type_name} on {topic}, which cannot be read as audio: publish one of "
                f"{', '.join(seen.audio_types)}")
    return (f"{listens}, and nobody publishes audio: start its source, such as audio_capture with format:=wave, or "
            "the graph with device:=default or file:=demo")


def _broken(seen: Snapshot) -> Verdict | None:
    return _worst(seen, ERROR)


def _overloaded(seen: Snapshot) -> Verdict | None:
    return _worst(seen, WARN, "windows")


def _doubtful(seen: Snapshot) -> Verdict | None:
    return _worst(seen, WARN)


def _worst(seen: Snapshot, level: int, *subjects: str) -> Verdict | None:
    for subject in subjects or ("state", "audio", "channel order", "windows", "hop"):
        for node, told in _all_told(seen, subject):
            if told.level >= level:
                return Verdict(f"{node}: {told.sentence}")
    return None


def _nothing_said(seen: Snapshot) -> Verdict | None:
    if seen.n_windows:
        return None
    heard_s = [value for _, told in _all_told(seen, "audio") for value in _floats(told, "audio [s]")]
    if heard_s and min(heard_s) < FIRST_WINDOW_S:
        return Verdict(f"all is well so far: after {min(heard_s):.1f} s of audio the first window is not full yet",
                       True)
    return Verdict(f"no message came on `events` within {seen.seconds:g} s, and no node says why: look longer than two "
                   "hops with --seconds, then into the log of the nodes")


def _quiet(seen: Snapshot) -> Verdict | None:
    if seen.n_sounds:
        return None
    levels = [value for _, told in _all_told(seen, "audio") for value in _floats(told, "levels [dB]")]
    if levels and max(levels) < QUIET_DB:
        return Verdict(f"all works, and it is silent: the loudest microphone is at {max(levels):.0f} dB of full "
                       "scale; make a sound, or turn up the gain", True)
    node = next(iter(dict(_all_told(seen, "audio"))), "/full_node")
    return Verdict(f"all works, and in {seen.n_windows} windows no sound was found: if there was one, lower "
                   f"direction_threshold, such as `ros2 param set {node} direction_threshold 0.3`", True)


def _well(seen: Snapshot) -> Verdict:
    return Verdict(f"all is well: {seen.n_windows} windows with {seen.n_sounds} sounds came within {seen.seconds:g} s",
                   True)


# the likeliest and most basic cause first: what follows it would follow from it
CHECKS: tuple[Callable[[Snapshot], Verdict | None], ...] = (
    _nobody, _not_started, _stage_missing, _mismatch, _no_audio, _broken, _overloaded, _doubtful, _nothing_said, _quiet,
    _well)


def _told(seen: Snapshot, node: str, subject: str) -> Status | None:
    return seen.statuses.get(node, {}).get(subject)


def _floats(told: Status, name: str) -> list[float]:
    """The numbers of a value; what is none, in a message of others, is left out."""
    numbers = []
    for word in told.values.get(name, "").split():
        with suppress(ValueError):
            numbers.append(float(word))
    return numbers


def _all_told(seen: Snapshot, subject: str) -> Iterator[tuple[str, Status]]:
    for node in sorted(seen.statuses):
        if told := _told(seen, node, subject):
            yield node, told


def table(seen: Snapshot) -> Table:
    """What each node says of itself, for people."""
    rows = Table(box=None, header_style="dim", pad_edge=False)
    for head in ("node", "", "", "figures"):
        rows.add_column(head)
    for node in sorted(seen.states):
        told = seen.statuses.get(node, {})
        rows.add_row(node, "lifecycle", Text(seen.states[node] or "no answer"), Text(_of_model(told)))
        for subject in ("audio", "windows"):
            if subject in told:
                rows.add_row("", subject, Text(told[subject].sentence, STYLES.get(told[subject].level, "red")),
                             Text(_figures(told[subject].values)))
    rows.caption_justify = "left"
    rows.caption = (f"ROS_DOMAIN_ID {seen.domain}, discovery range {seen.discovery}: {len(seen.nodes)} nodes, "
                    f"looked at for {seen.seconds:g} s")
    return rows


def _of_model(told: Mapping[str, Status]) -> str:
    return f"model: {told['state'].values.get('model loaded', '?')}" if "state" in told else ""


def _figures(values: Mapping[str, str]) -> str:
    wanted = ("rate measured [Hz]", "levels [dB]", "real-time factor", "latency, median [s]",
              "latency, 95th percentile [s]", "windows dropped")
    return ", ".join(f"{name} {values[name]}" for name in wanted if name in values)
