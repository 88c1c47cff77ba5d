"""Write what stands in seld_overlap_ros/graphs.py into config/*.yaml and docs/graph.md: python tools/describe_graphs.py

A test checks that they are as this leaves them.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from seld_overlap_ros.graphs import GRAPHS, Graph, NodeKind, Parameter  # noqa: E402

HEAD = """\
# Everything that may be set about the nodes of {name}.launch.py, at its default. Copy what you want to change:
# nobody needs this file, as the nodes know these values. `ros2 launch seld_overlap {name}.launch.py --show-args` says
# what each one means; an argument given there comes before this file.
"""
MARKS = ("<!-- From here on written by tools/describe_graphs.py. -->\n", "<!-- To here. -->\n")


def config(name: str, graph: Graph) -> str:
    """Text of config/NAME.yaml."""
    nodes = (
        f"/**/{node}:\n  ros__parameters:\n"
        + "".join(f"    {parameter}: {_yaml(value)}\n" for parameter, value in values.items())
        for node, values in graph.defaults().items()
    )
    return HEAD.format(name=name) + "\n".join(nodes)


def _yaml(value: object) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def document(text: str) -> str:
    """Text of docs/graph.md, with what lies between MARKS made anew."""
    first, last = map(re.escape, MARKS)
    made = "\n".join([_graphs(), *(_parameters(kind) for kind in _kinds())])
    return re.sub(f"({first}).*({last})", lambda match: match[1] + "\n" + made + "\n" + match[2], text, flags=re.DOTALL)


def _kinds() -> list[NodeKind]:
    return list({node.program: node for graph in GRAPHS.values() for node in graph.nodes}.values())


def _graphs() -> str:
    rows = [
        f"| `{name}` | {', '.join(f'`{node.name}`' for node in graph.nodes)} "
        f"| {', '.join(f'`{system}`' for system in graph.systems)} | {graph.description} |"
        for name, graph in GRAPHS.items()
    ]
    return "\n".join(["| graph | nodes | `system` may be | |", "|---|---|---|---|", *rows]) + "\n"


def _parameters(kind: NodeKind) -> str:
    rows = [f"| `{p.name}` | {type(p.default).__name__} | `{_yaml(p.default)}` | {_bounds(p)} "
            f"| {'yes' if p.run_time else ''} | {p.description} |" for p in kind.parameters]
    return "\n".join([f"### `{kind.program}`\n", "| parameter | type | default | within | while it runs | |",
                      "|---|---|---|---|---|---|", *rows]) + "\n"


def _bounds(parameter: Parameter) -> str:
    return "" if parameter.minimum is None else f"{parameter.minimum:g} to {parameter.maximum:g}"


def texts() -> dict[Path, str]:
    """Path -> what is to stand there."""
    page = ROOT / "docs" / "graph.md"
    return {page: document(page.read_text())} | {
        ROOT / "config" / f"{name}.yaml": config(name, graph) for name, graph in GRAPHS.items()
    }


if __name__ == "__main__":
    for path, text in texts().items():
        path.write_text(text)
