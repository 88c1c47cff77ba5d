"""How fast it is: beside eager PyTorch, a floor that is measured in the same run, and what one would pick instead.

python tools/bench.py [--quick] [--minutes 1] [--out build/bench]: bench.json, and speed.md with pictures about it.
--minutes: how long each graph hears; 0 leaves the graphs out. --from-json FILE measures nothing and writes the page of
an earlier bench.json, such as docs/speed.md with --out docs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Optional

import typer
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from seld_overlap_ros.models.engine import DEFAULT_MODEL  # noqa: E402
from seld_overlap_ros.speed import making, measure  # noqa: E402
from seld_overlap_ros.speed.measure import HOP_S, SOURCES  # noqa: E402
from seld_overlap_ros.speed.page import write_page  # noqa: E402
from seld_overlap_ros.speed.steady import save_steady, threshold_for  # noqa: E402
from seld_overlap_ros.speed.timing import load_warnings, machine  # noqa: E402

SECTIONS = (measure.busy_core, measure.queries, measure.widths, measure.microphones, measure.hops, measure.running_time,
            measure.opponents)
GRAPHS = ("full", "stages")


def measure_all(effort: measure.Effort, folder: Path, say=print) -> dict:
    """Everything but the graphs, as it goes into bench.json; `say` is told what comes next."""
    about = machine()
    results = {"machine": about, "warnings": load_warnings(about)}
    if effort is measure.QUICK:
        results["warnings"].append("A quick run with tiny networks: it shows that the command works, and no number.")
    with measure.open_bench(effort, folder) as bench:
        say("window: as shipped, eager PyTorch, stages, floor")
        results |= measure.window(bench)
        for section in SECTIONS:
            say(f"{section.__name__}: {section.__doc__.splitlines()[0]}")
            found = section(bench)
            if section is measure.busy_core:
                results["window"] = measure.merged(results["window"], found)
            else:
                results[section.__name__] = found
    say("training and generation")
    results |= making.measure(effort, folder)
    return results


def graphs(minutes: float, folder: Path, say=print) -> dict:
    """Each graph over DDS with the shipped model, made to ask SOURCES directions."""
    model = save_steady(folder / "steady.safetensors", DEFAULT_MODEL)
    found = {}
    for name in GRAPHS:
        say(f"the graph {name}, {minutes:g} minutes")
        line = [sys.executable, str(ROOT / "tools" / "endure.py"), name, f"model:={model}",
                f"direction_threshold:={threshold_for(SOURCES)}", "--minutes", str(minutes), "--hop", str(HOP_S)]
        report = subprocess.run(line, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout
        found[name] = of_graph(json.loads(report))
    return joined(minutes, found)


def joined(minutes: float, found: dict[str, dict]) -> dict:
    """The graphs as bench.json has them, the figures of `full` on top."""
    first = found[GRAPHS[0]]
    return {"hop_s": HOP_S, "sources": SOURCES, "minutes": minutes, "rtf": first["rtf"],
            "latency_p95_ms": first["latency_from_the_sample_ms"]["p95"], "drops": first["drops"], **found}


def of_graph(report: dict) -> dict:
    """What tools/endure.py reports, in short. The real-time factor is that of the node that is most at its limit."""
    factors = [float(factor) for factor in report["real_time_factor"].values() if factor != "unknown"]
    return {
        "rtf": max(factors),
        "latency_ms": in_ms(report["latency_after_publication_s"]),
        "latency_from_the_sample_ms": in_ms(report["latency_s"]),
        "latency_ms_a_minute": round(1e3 * report["latency_s_a_minute"], 3),
        "drops": report["windows"]["dropped"], "windows": report["windows"]["received"] + report["windows"]["dropped"],
        "cpu_s_a_second": {name: node["cpu_s_a_second"] for name, node in report["nodes"].items()},
        "peak_mb": report["peak_mb"], "load": report["load"][0], "node_warnings": report["warnings"],
    }


def in_ms(late: dict[str, float]) -> dict[str, int]:
    """A spread of tools/endure.py."""
    return {name: round(1e3 * late[key]) for name, key in (("median", "median"), ("p95", "95 %"), ("most", "most"))}


def save(results: dict, out: Path) -> None:
    """Write bench.json."""
    (out / "bench.json").write_text(json.dumps(results, indent=1) + "\n")


def main(quick: bool = False, minutes: float = 1.0, out: Path = Path("build/bench"),
         from_json: Optional[Path] = None) -> None:
    """Measure, and leave bench.json and a page about it in a folder."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    out.mkdir(parents=True, exist_ok=True)
    if from_json:
        results = json.loads(from_json.read_text())
    else:
        if minutes and not find_spec("rclpy"):
            sys.exit("no rclpy for this Python: run `make setup` and `source env.sh`, or add --minutes 0 for no graphs")
        with tempfile.TemporaryDirectory() as folder:
            results = measure_all(measure.QUICK if quick else measure.Effort(), Path(folder), console.print)
            save(results, out)  # what is measured stays, should a graph fail
            if minutes:
                results["graph"] = graphs(minutes, Path(folder), console.print)
                save(results, out)
    write_page(results, out)
    for sentence in results["warnings"]:
        console.print(sentence, style="yellow")
    print(out / "speed.md")


if __name__ == "__main__":
    typer.run(main)
