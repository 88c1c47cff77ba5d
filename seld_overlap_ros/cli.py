"""The `seld-overlap` command. Every command is a few lines: read, call the library, say what came out."""

from __future__ import annotations

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
