"""The `seld-overlap` command. Every command is a few lines: read, call the library, say what came out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Optional

import typer
from soundfile import LibsndfileError

from seld_overlap_ros.cli_bag import bag_app, evaluate
from seld_overlap_ros.cli_data import DataFolder, RecipeName, bar, data_app, shipped
from seld_overlap_ros.evaluation.events import printable_lines
from seld_overlap_ros.models.engine import AUTO, DEFAULT_MODEL, ENGINES

# Read when torch is imported: threads that spin while they wait stand in each other's way on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


# Modules that only training and its data need.
FOR_TRAINING = ("torch", "lightning", "torchmetrics", "tensorboard", "pyroomacoustics", "matplotlib", "PIL")


class Sentences(typer.core.TyperGroup):
    """Commands whose refusals end in one sentence and exit code 2."""

    def invoke(self, ctx: typer.Context) -> object:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (ValueError, OSError, LibsndfileError) as error:  # what the library raises for what it is given
            # it may name what stands in a file of others
            typer.echo(f"seld-overlap {ctx.invoked_subcommand}: {printable_lines(str(error))}", err=True)
            raise typer.Exit(2) from error
        except ModuleNotFoundError as error:
            lacking = (error.name or "").partition(".")[0]
            if lacking not in FOR_TRAINING:
                raise
            typer.echo(f"seld-overlap {ctx.invoked_subcommand}: this needs {lacking}, which a robot is set up without: "
                       "run `make setup` and then `source env.sh`, or `pip install \".[train]\"`", err=True)
            raise typer.Exit(2) from error


Limit = Annotated[Optional[int], typer.Option(min=1, help="Only the first so many mixtures, for a quick trial.")]
EngineName = Annotated[str, typer.Option(help=f"What computes the networks: one of {', '.join(ENGINES)}.")]

app = typer.Typer(cls=Sentences, no_args_is_help=True, add_completion=False,
                  help="Where each of several overlapping sounds is, what it is, and what it sounds like alone.")
app.add_typer(data_app, name="data")
app.add_typer(bag_app, name="bag")
app.command()(evaluate)


@app.command()
def train(
    folder: DataFolder = Path("data"),
    recipe: RecipeName = "mini",
    systems: Annotated[Optional[list[str]], typer.Option(
        "--system", help="System to train, such as overlap; may be repeated. All four of Table 1 without it.")] = None,
    mixtures: Annotated[Optional[Path], typer.Option(
        help="Stored mixtures to train on and to validate with; FOLDER/mixtures without it.")] = None,
    limit: Annotated[Optional[int], typer.Option(min=1, help="Only the first so many training mixtures.")] = None,
    out: Annotated[Optional[Path], typer.Option(help="Folder of the run; FOLDER/runs/RECIPE/SEED without it.")] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn: first weights, order, queries.")] = 0,
    processes: Annotated[int, typer.Option(min=1, help="Processes that share each step (DDP); on a CPU one a core is "
                                                       "fastest.")] = 1,
    start: Annotated[Optional[str], typer.Option(
        help="Name of a shipped model, or a file, whose system is trained on, in its own stages: with --system, and a "
             "--recipe of its width and inputs; another --seed asks it what it was not asked before.")] = None,
) -> None:
    """Train systems through the stages that they need; started again, it goes on where it was."""
    from dataclasses import replace

    from seld_overlap_ros.config import SystemConfig
    from seld_overlap_ros.simulation.fresh import load_fresh
    from seld_overlap_ros.simulation.store import MixtureStore
    from seld_overlap_ros.training.recipe import load_recipe
    from seld_overlap_ros.training.stages import SOURCES, TABLE_1, stages_of
    from seld_overlap_ros.training.train import Mixtures
    from seld_overlap_ros.training.train import train as train_all

    if unknown := sorted(set(systems or ()) - set(SOURCES)):
        raise ValueError(f"no system {', '.join(unknown)}; there are {', '.join(SOURCES)}")
    loaded = load_recipe(shipped("training/recipes", recipe))
    stored, val = (MixtureStore.load((mixtures or folder / "mixtures") / split) for split in ("train", "val"))
    if not limit and loaded.mixtures > len(stored):
        raise ValueError(f"{loaded.name} learns from {loaded.mixtures} mixtures, and there are {len(stored)}: make "
                         "more with `seld-overlap data mix`, or set --limit")
    stored = replace(stored, truth=stored.truth[: limit or loaded.mixtures or None])
    if loaded.labels and set(loaded.labels) != set(stored.labels):
        raise ValueError(f"{loaded.name} names other classes than the mixtures hold: make those with "
                         f"`seld-overlap data mix --recipe {recipe}`, or leave its labels out")
    fresh = None
    if loaded.fresh(stages_of(systems or TABLE_1, bool(start))):
        fresh = replace(load_fresh(folder, "train", len(stored), stored.labels), varied=True)
        test = (mixtures or folder / "mixtures") / "test"
        held = val.sources | (MixtureStore.load(test).sources if test.is_dir() else set())
        if heard := sorted(fresh.sources & held):
            raise ValueError(f"{len(heard)} recordings to train with are in the validation or test mixtures "
                             f"({heard[0]}), as the sounds are others by now: run `seld-overlap data mix` again")
    config = SystemConfig(val.labels, width=loaded.width, mel_bands=loaded.mel_bands, steered=loaded.steered,
                          array=val.array, azimuths=val.azimuths)
    out = out or folder / "runs" / loaded.name / str(seed)
    train_all(loaded, config, Mixtures(stored, val, fresh), out, systems or TABLE_1, seed, processes, start)
    typer.echo(f"trained: {out}")


@app.command(epilog="For example: seld-overlap up full file:=recording.wav hop:=1.0")
def up(
    graph: Annotated[str, typer.Argument(help="Name of the graph, such as full.")],
    arguments: Annotated[Optional[list[str]], typer.Argument(help="What is set about it, each as name:=value.")] = None,
    show_args: Annotated[bool, typer.Option(help="Say what may be set, and start nothing.")] = False,
    network: Annotated[bool, typer.Option("--network", help="Meet nodes on other machines too, where "
                                          "ROS_AUTOMATIC_DISCOVERY_RANGE says nothing else.")] = False,
) -> None:
    """Start the nodes of a graph, as its launch file does, and end them together; they meet this host's nodes alone."""
    from seld_overlap_ros.graphs import find_graph, read_arguments
    from seld_overlap_ros.up import DISCOVERY, command, discovery, up

    found = find_graph(graph)
    if show_args:
        for name, description in found.arguments().items():
            typer.echo(f"{name}:\n    {description}")
        return
    processes = found.processes(read_arguments(arguments or []))
    commands = {process.node.name: command(process) for process in processes}
    if network and discovery():
        os.environ[DISCOVERY] = "SUBNET"
    raise typer.Exit(up(commands, ends_with=found.ends_with))


@app.command()
def doctor(seconds: Annotated[float, typer.Option(min=1.0, help="How long to look and listen.")] = 5.0) -> None:
    """Say in a sentence why nothing comes out of the nodes that run; exit code 1 if something is to be mended."""
    import importlib.util
    import subprocess
    import sys

    if not importlib.util.find_spec("rclpy"):
        raise ValueError("no rclpy for this Python: run `make setup`, and then `source env.sh`")
    program = [sys.executable, "-m", "seld_overlap_ros.nodes.doctor", str(seconds)]
    raise typer.Exit(subprocess.run(program, check=False).returncode)


@app.command()
def demo(out: Annotated[Path, typer.Option(help="Folder for what was heard, and for the page about it.")] = Path(
        "build/demo"), engine: EngineName = AUTO) -> None:
    """Play the shipped scene to the nodes, show live what they hear, and leave a page to see and hear it all.

    They are told which 16 of the model's classes can occur.
    """
    from rich.console import Console

    from seld_overlap_ros.demo import CLASSES, DemoError, play, warnings
    from seld_overlap_ros.evaluation.terminal import in_words, summary
    from seld_overlap_ros.streaming.sources import find_scene

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Starting the nodes, told which {len(CLASSES)} classes can occur; then the scene plays in real "
                  "time, and what they hear shows here.")
    try:
        matching = play(find_scene("demo"), out, engine=engine, classes=",".join(CLASSES))
    except DemoError as error:
        Console(stderr=True, soft_wrap=True).print(f"seld-overlap demo: {error}", style="red", markup=False)
        raise typer.Exit(1) from error
    console.print("\nThe truth, and what was heard of it:", summary(matching), sep="\n")
    console.print(f"In all: {in_words(matching)}.\n", style="bold")
    for sentence in warnings(out):
        console.print(sentence, style="yellow", markup=False)
    console.print(f"Look and listen: open {(out / 'index.html').resolve().as_uri()} in a browser.", markup=False)
    console.print(f"No browser here? `python3 -m http.server --directory {out}` shows it to others, at port 8000.",
                  markup=False)
    console.print(f"Each sound alone: {out / 'separated'}; as lists: {out / 'events.json'} and {out / 'truth.json'}.",
                  markup=False)


@app.command()
def score(model: Annotated[str, typer.Option(help="Name of a shipped model, or a file.")] = DEFAULT_MODEL,
          mixtures: Annotated[Path, typer.Option(help="Stored mixtures.")] = Path("data/mixtures/test"),
          limit: Limit = None, engine: EngineName = AUTO) -> None:
    """Score a model on stored mixtures: the paper's count, and what lies behind it, as JSON."""
    from seld_overlap_ros.evaluation.outcomes import evaluate, piece
    from seld_overlap_ros.evaluation.scores import all_scores
    from seld_overlap_ros.memory import keep_freed_memory
    from seld_overlap_ros.models.engine import load_engine
    from seld_overlap_ros.simulation.store import MixtureStore

    keep_freed_memory()
    loaded = load_engine(model, engine)
    store = piece(MixtureStore.load(mixtures), 0, limit)
    found = all_scores(evaluate(loaded, store, bar("mixtures")), loaded.config.azimuths,
                       loaded.config.front_end.window_s, store.recordings)
    typer.echo(json.dumps(found, indent=2))


@app.command()
def table1(runs: Annotated[Optional[list[Path]], typer.Option(
               help="Folder of one training, with SYSTEM.model.safetensors in it; repeat it for each seed.")] = None,
           model: Annotated[Optional[list[str]], typer.Option(
               help="Name of a shipped model, or a file; may be repeated. Without it, and without --runs, all "
                    "shipped models.")] = None,
           folder: DataFolder = Path("data"),
           mixtures: Annotated[Optional[Path], typer.Option(
               help="Stored mixtures, val and test; FOLDER/mixtures without it.")] = None,
           limit: Limit = None, engine: EngineName = AUTO,
           variants: Annotated[bool, typer.Option("--variants", help="Also `overlap` without its gate, with one SSS, "
                                                  "and with a hard direction map.")] = False,
           earlier: Annotated[Optional[Path], typer.Option(
               help="A results.json whose trainings are kept beside those that are evaluated now.")] = None,
           beside: Annotated[Optional[list[Path]], typer.Option(
               help="Folder of another training, for comparison with the first `overlap` of --runs; may be "
                    "repeated.")] = None,
           out: Annotated[Path, typer.Option(help="Folder for results.json, results.md and its pictures.")] = Path(
               "data/table1")) -> None:
    """Evaluate the paper's four systems, and any beside them; started again, it goes on where it was."""
    from seld_overlap_ros.evaluation.results_page import read_results, write_results
    from seld_overlap_ros.evaluation.table1 import check_earlier, find_runs, load_exam, with_earlier
    from seld_overlap_ros.evaluation.table1 import table1 as evaluate_all
    from seld_overlap_ros.memory import keep_freed_memory

    keep_freed_memory()
    found, others = find_runs(runs or [], model or []), find_runs(beside, []) if beside else []
    exam = load_exam(mixtures or folder / "mixtures", folder / "rooms" / "test", folder / "sounds", limit)
    if earlier:
        before = read_results(earlier)
        check_earlier(before, exam)
    results = evaluate_all(found, exam, folder / "table1" / "outcomes", engine, bar, variants, others)
    write_results(with_earlier(results, before) if earlier else results, out)
    typer.echo((out / "results.md").read_text(encoding="utf-8"))


@app.command()
def report(folder: Annotated[Path, typer.Option(help="Folder of results.json and results.md.")] = Path("docs")) -> None:
    """Write the page of results anew from its results.json, keeping what is by hand.

    Where results.json knows shipped models, their page, models.md, is written beside it.
    """
    from seld_overlap_ros.evaluation.model_card import write_card
    from seld_overlap_ros.evaluation.results_page import write_page

    write_page(folder)
    card = write_card(folder)
    typer.echo(f"{folder / 'results.md'}{f' and {card}' if card else ''}")
