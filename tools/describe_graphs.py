"""Write what stands in seld_overlap_ros/graphs.py into config/*.yaml and docs/graph.md: python tools/describe_graphs.py

Of the table of topics in docs/graph.md, which a test holds against running graphs, it makes the SROS2 policy,
config/policy.xml. A test checks that all are as this leaves them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from seld_overlap_ros.graphs import AUTOSTART, GRAPHS, NODES, REPLAY_NODES, Graph, NodeKind, Parameter  # noqa: E402

HEAD = """\
# Everything that may be set about the nodes of {name}.launch.py, at its default. Copy what you want to change:
# nobody needs this file, as the nodes know these values. `ros2 launch seld_overlap {name}.launch.py --show-args` says
# what each one means; an argument given there comes before this file.
"""
FIXED = "  # the graph sets it, whatever stands here"
MARKS = ("<!-- From here on written by tools/describe_graphs.py. -->\n", "<!-- To here. -->\n")


def config(name: str, graph: Graph) -> str:
    """Text of config/NAME.yaml."""
    fixed = {node.name: node.fixed for node in graph.nodes}
    nodes = (
        f"{_when(node, graph)}/**/{node}:\n  ros__parameters:\n"
        + "".join(f"    {parameter}: {_yaml(value)}{FIXED if parameter in fixed[node] else ''}\n"
                  for parameter, value in values.items())
        for node, values in graph.defaults().items()
    )
    return HEAD.format(name=name) + "\n".join(nodes)


def _when(node: str, graph: Graph) -> str:
    """A comment on what starts a node that is not always there; what stands in its section does not."""
    if node in graph.only_with:
        return f"# Started where {' or '.join(graph.only_with[node])} is given as an argument.\n"
    return f"# Started with {graph.switches[node].name}:=true.\n" if node in graph.switches else ""


def _yaml(value: object) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def document(text: str) -> str:
    """Text of docs/graph.md, with what lies between MARKS made anew."""
    first, last = map(re.escape, MARKS)
    made = "\n".join([_graphs(), *(_parameters(kind) for kind in _kinds())])
    return re.sub(f"({first}).*({last})", lambda match: match[1] + "\n" + made + "\n" + match[2], text, flags=re.DOTALL)


def _kinds() -> list[NodeKind]:
    in_graphs = [node for graph in GRAPHS.values() for node in graph.nodes]
    return list({node.program: node for node in [*in_graphs, *REPLAY_NODES]}.values())


def _graphs() -> str:
    rows = [
        f"| `{name}` | {', '.join(f'`{node.name}`' for node in graph.nodes)} "
        f"| {', '.join(f'`{system}`' for system in graph.systems)} | {graph.description} |"
        for name, graph in GRAPHS.items()
    ]
    return "\n".join(["| graph | nodes | `system` may be | |", "|---|---|---|---|", *rows]) + "\n"


def _parameters(kind: NodeKind) -> str:
    rows = [f"| `{p.name}` | {_type(p)} | `{_yaml(p.default)}` | {_bounds(p)} "
            f"| {'yes' if p.run_time else ''} | {p.description} |" for p in kind.parameters]
    return "\n".join([f"### `{kind.program}`\n", "| parameter | type | default | within | while it runs | |",
                      "|---|---|---|---|---|---|", *rows]) + "\n"


def _type(parameter: Parameter) -> str:
    return type(parameter.default).__name__ + (f" or `{parameter.word}`" if parameter.word else "")


def _bounds(parameter: Parameter) -> str:
    return "" if parameter.minimum is None else f"{parameter.minimum:g} to {parameter.maximum:g}"


# What the table of topics leaves out: audio of other types, the cascade, what display_node draws, what all nodes have.
OTHER_AUDIO = ("audio", "audio_out", "HarkWave")
MORE = {
    "to": {"full_node": OTHER_AUDIO, "ssl_node": OTHER_AUDIO, "event_recorder": OTHER_AUDIO,
           "display_node": ("separated",)},
    "from": {"scene_player": ("audio",), "sss_node": ("spectra",),
             "display_node": ("sound_markers", "sound_poses", "hark_source", "hark_src_wave")},
}
OF_ALL = {"from": ("/rosout", "/parameter_events"), "to": ("/parameter_events", "/clock")}
SERVICES = ("describe_parameters", "get_parameter_types", "get_parameters", "list_parameters", "set_parameters",
            "set_parameters_atomically", "get_type_description")
LIFECYCLE = ("change_state", "get_available_states", "get_available_transitions", "get_state", "get_transition_graph")
POLICY_HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- SROS2 policy of the graphs, without a namespace. Written by tools/describe_graphs.py from docs/graph.md;
     how to use it: docs/security.md -->
"""


def policy(page: str) -> str:
    """Text of config/policy.xml: for each node an enclave, and in it what the node says, hears, answers and asks."""
    root = ElementTree.Element("policy", version="0.2.0")
    enclaves = ElementTree.SubElement(root, "enclaves")
    table = list(_table(page))
    managed_nodes = {node.name for graph in GRAPHS.values() for node in graph.nodes if AUTOSTART in node.parameters}
    for kind in sorted({node.name: node for graph in GRAPHS.values() for node in graph.nodes}.values(),
                       key=lambda node: node.name):
        enclave = ElementTree.SubElement(enclaves, "enclave", path=f"/seld_overlap/{kind.name}")
        profile = ElementTree.SubElement(ElementTree.SubElement(enclave, "profiles"), "profile", ns="/", node=kind.name)
        managed, listens = AUTOSTART in kind.parameters, kind.program in ("full_node", "ssl_node")
        said = {*OF_ALL["from"], *(("/diagnostics", "~/transition_event") if managed else ())}
        heard = set(OF_ALL["to"])
        for names, way in ((said, "from"), (heard, "to")):
            names |= {topic for topic, node, where in table if (node, where) == (kind.program, way)}
            names |= set(MORE[way].get(kind.program, ()))
        services = {f"~/{name}" for name in (*SERVICES, *(LIFECYCLE if managed else ()))}
        _allow(profile, "topic", "publish", said)
        _allow(profile, "topic", "subscribe", heard)
        _allow(profile, "service", "reply", services | ({"enable"} if listens else set()))
        if NODES in kind.parameters:
            _allow(profile, "service", "request", {f"{node}/get_state" for node in managed_nodes})
    ElementTree.indent(root)
    return POLICY_HEAD + ElementTree.tostring(root, encoding="unicode") + "\n"


def _table(page: str) -> Iterator[tuple[str, str, str]]:
    """(topic, node, "from" or "to") of every row of the table of topics."""
    for line in page.partition("## Topics")[2].partition("\n## ")[0].splitlines():
        if line.startswith("| `"):
            topic, _, givers, takers, *_ = (cell.replace("`", "").strip() for cell in line.split("|")[1:-1])
            for way, nodes in (("from", givers), ("to", takers)):
                yield from ((topic.replace("direction_D", "direction_*"), node, way) for node in nodes.split(", "))


def _allow(profile: ElementTree.Element, what: str, verb: str, names: set[str]) -> None:
    allowed = ElementTree.SubElement(profile, f"{what}s", {verb: "ALLOW"})
    for name in sorted(names):
        ElementTree.SubElement(allowed, what).text = name


def texts() -> dict[Path, str]:
    """Path -> what is to stand there."""
    page = ROOT / "docs" / "graph.md"
    written = document(page.read_text())
    return {page: written, ROOT / "config" / "policy.xml": policy(written)} | {
        ROOT / "config" / f"{name}.yaml": config(name, graph) for name, graph in GRAPHS.items()
    }


if __name__ == "__main__":
    for path, text in texts().items():
        path.write_text(text)
