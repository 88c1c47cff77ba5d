"""The `seld-overlap` command. Every command is a few lines: read, call the library, say what came out."""

from __future__ import annotations

import sys
from collections import defaultdict
from importlib import resources
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich import print
from rich.progress import Progress, TimeElapsedColumn, track

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__.split(".")[0] + ".")
data_app = typer.Typer(no_args_is_help=True, help="Sounds, rooms and mixtures to train and test on.")
app.add_typer(data_app, name="data")

DataFolder = Annotated[Path, typer.Option(help="Folder that holds everything made for training.")]
RecipeName = Annotated[str, typer.Option(help="Name of a shipped recipe, or a YAML file.")]


def recipe_path(name: str) -> Path:
    """Path of a shipped recipe's name, or of a file."""
    shipped = Path(str(resources.files("seld_overlap_ros") / "training" / "recipes" / f"{name}.yaml"))
    return shipped if shipped.is_file() else Path(name)


@data_app.command()
def sounds(folder: DataFolder = Path("data"), classes: Annotated[Optional[list[str]], typer.Option(
               "--class", help="Only these classes (may be repeated); all 75 without it.")] = None,
           packages: Annotated[Optional[Path], typer.Option(
               help="Folder to look for Debian packages in and to keep them; else they are deleted after use.")] = None) -> None:
    """Fetch the Debian packages that hold the sounds, and cut the labelled clips; started again, it goes on."""
    from seld_overlap_ros.data.sounds import fetch_sounds

    with Progress(*Progress.get_default_columns(), TimeElapsedColumn()) as bar:
        task = bar.add_task("sounds", total=None)
        report = fetch_sounds(folder / "sounds", classes=classes, packages_folder=packages,
                              progress=lambda package, ready, total: bar.update(
                                  task, completed=ready, total=total, description=package))
        bar.update(task, completed=report.ready, total=report.total, description="sounds")
    for name, reason in report.missing.items():
        print(f"[yellow]{name}[/]: {reason}")
    for name in report.changed:
        print(f"[yellow]{name}[/]: other samples than the manifest's: the package has changed since")
    print(f"{report.ready} of {report.total} clips in {folder / 'sounds'}")


@data_app.command()
def rooms(folder: DataFolder = Path("data"), train: int = 60, val: int = 10, test: int = 10) -> None:
    """Simulate the rooms of each split for the paper's array."""
    from seld_overlap_ros.config import FrontEnd, MicrophoneArray, uniform_azimuths
    from seld_overlap_ros.simulation.rooms import make_bank

    for split, n_rooms in (("train", train), ("val", val), ("test", test)):
        bank = make_bank(split, n_rooms, MicrophoneArray.circular(), uniform_azimuths(), FrontEnd().sample_rate,
                         track=lambda it, split=split: track(list(it), f"rooms/{split}"))
        bank.save(folder / "rooms" / split)


@data_app.command()
def mix(folder: DataFolder = Path("data"), recipe: RecipeName = "first", name: str = "mixtures",
        train: int = 4000, val: int = 400, test: int = 400) -> None:
    """Store labelled mixtures of the recipe's classes for each split."""
    from seld_overlap_ros.config import FrontEnd
    from seld_overlap_ros.data.sounds import load_clips, load_noise
    from seld_overlap_ros.simulation.rooms import RoomBank
    from seld_overlap_ros.simulation.store import make_store
    from seld_overlap_ros.training.recipe import load_recipe

    labels = load_recipe(recipe_path(recipe)).labels
    for split, n_mixtures in (("train", train), ("val", val), ("test", test)):
        clips = defaultdict(list)
        for clip in load_clips(folder / "sounds", split, classes=labels):
            clips[clip.label].append(clip)
        noises = [noise.samples for noise in load_noise(folder / "sounds", "test" if split == "test" else "train")]
        make_store(folder / name / split, split, n_mixtures, clips, RoomBank.load(folder / "rooms" / split), noises,
                   FrontEnd().window_samples, track=lambda it, split=split: track(list(it), f"{name}/{split}"))


@data_app.command()
def scene(script: Annotated[Path, typer.Argument(help="YAML file that says what sounds where and when.")],
          out: Annotated[Path, typer.Argument(help="FLAC file to write; the truth goes beside it.")],
          folder: DataFolder = Path("data")) -> None:
    """Make a long labelled scene from a script, with clips that no training has heard (the test split)."""
    from seld_overlap_ros.config import FrontEnd, MicrophoneArray
    from seld_overlap_ros.data.sounds import load_clips, load_noise
    from seld_overlap_ros.simulation.scene import load_script, play_script, write_scene

    clips, noises = load_clips(folder / "sounds", "test"), load_noise(folder / "sounds", "test")
    samples, truth = play_script(load_script(script), clips, noises, MicrophoneArray.circular(), FrontEnd().sample_rate)
    write_scene(samples, truth, out)


@app.command()
def train(folder: DataFolder = Path("data"), recipe: RecipeName = "first", name: str = "mixtures",
          out: Path = Path("data/runs/first"), seed: int = 0) -> None:
    """Train the overlapped system through its stages; started again, it goes on where it was."""
    from seld_overlap_ros.config import SystemConfig
    from seld_overlap_ros.training.recipe import load_recipe
    from seld_overlap_ros.training.train import train as train_all

    loaded = load_recipe(recipe_path(recipe))
    train_all(loaded, SystemConfig(labels=loaded.labels, width=loaded.width), folder / name, out, seed=seed)


@app.command(epilog="For example: seld-overlap up full file:=recording.wav hop:=1.0")
def up(
    graph: Annotated[str, typer.Argument(help="Name of the graph, such as full.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="What is set about it, each as name:=value.")] = None,
    show_args: Annotated[bool, typer.Option(help="Say what may be set, and start nothing.")] = False,
) -> None:
    """Start the nodes of a graph, as its launch file does, and end them together."""
    from seld_overlap_ros.graphs import GraphError, find_graph, read_arguments
    from seld_overlap_ros.up import command, up

    try:
        found = find_graph(graph)
        if show_args:
            for name, description in found.arguments().items():
                print(f"{name}:\n    {description}")
            return
        processes = found.processes(read_arguments(arguments or []))
    except GraphError as error:
        print(f"seld-overlap up: {error}", file=sys.stderr)
        raise typer.Exit(2) from error
    raise typer.Exit(up({process.node.name: command(process) for process in processes}))


@app.command()
def demo(out: Annotated[Path, typer.Option(help="Folder for what was heard, and for the page about it.")] = Path(
        "build/demo")) -> None:
    """Play the shipped scene to the nodes, show live what they hear, and leave a page to see and hear it all."""
    from rich.console import Console

    from seld_overlap_ros.demo import DemoError, play, warnings
    from seld_overlap_ros.evaluation.terminal import in_words, summary

    console = Console(highlight=False, soft_wrap=True)
    console.print("Starting the nodes; then the scene plays in real time, and what they hear shows here.")
    try:
        matching = play(Path(str(resources.files("seld_overlap_ros") / "scenes" / "demo.flac")), out)
    except DemoError as error:
        console.print(f"seld-overlap demo: {error}", style="red", markup=False)
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
def score(model: Annotated[str, typer.Option(help="Name of a shipped model, or a file.")] = "overlap",
          mixtures: Annotated[Path, typer.Option(help="Stored mixtures.")] = Path("data/mixtures/test"),
          limit: Annotated[Optional[int], typer.Option(help="Only the first so many.")] = None) -> None:
    """Score a model on stored mixtures: the paper's count, and what lies behind it, as JSON."""
    import json

    from seld_overlap_ros.evaluation.scores import score as score_all
    from seld_overlap_ros.hearing import Hearing
    from seld_overlap_ros.models.checkpoint import load_model
    from seld_overlap_ros.simulation.store import MixtureStore

    store = MixtureStore.load(mixtures)
    store = MixtureStore(store.mixtures, store.stems, store.truth[:limit])
    hearing = Hearing(load_model(model), always_strongest=True)  # every mixture holds a sound
    scores = score_all(hearing, store, lambda it: track(list(it), "mixtures"))
    print(json.dumps(scores.to_dict(), indent=2))
