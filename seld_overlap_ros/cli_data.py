"""`seld-overlap data`: sounds, rooms and mixtures to train and test on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn, track

data_app = typer.Typer(no_args_is_help=True, help="Sounds, rooms and mixtures to train and test on.")

DataFolder = Annotated[Path, typer.Option(help="Folder that holds everything made for training.")]
ArrayName = Annotated[str, typer.Option(help="Name of a shipped array, or a YAML file.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes that draw mixtures beside the one that writes them.")]
Count = Annotated[int, typer.Option(min=1, help="How many in this split.")]
Stored = Annotated[str, typer.Option(help="Name of the stored mixtures: their folder in FOLDER.")]
Page = Annotated[Path, typer.Option(help="Page to write.")]
RecipeName = Annotated[str, typer.Option(help="Name of a shipped recipe, or a YAML file.")]


def shipped(kind: str, name: str) -> Path:
    """Path of what is shipped in a folder of the package under a name, or of the user's own file."""
    path = Path(str(resources.files("seld_overlap_ros"))) / kind / f"{name}.yaml"
    return path if path.is_file() else Path(name)


def bar(title: str) -> Callable[[Iterable], Iterable]:
    """Shows how far a loop is, on the stream of errors: what a command answers may be read by a program."""
    return lambda items: track(items if hasattr(items, "__len__") else list(items), title, console=Console(stderr=True))


@data_app.command()
def sounds(
    folder: DataFolder = Path("data"),
    classes: Annotated[Optional[list[str]], typer.Option("--class", help="Only this class; may be repeated.")] = None,
    packages: Annotated[Optional[Path], typer.Option(help="Where Debian packages are, and are kept.")] = None,
) -> None:
    """Fetch the Debian packages that hold the sounds, and cut the labelled clips; started again, it goes on."""
    from seld_overlap_ros.data.fetch import fetch_sounds

    with Progress(*Progress.get_default_columns(), TimeElapsedColumn()) as bar:
        task = bar.add_task("sounds", total=None)
        report = fetch_sounds(folder / "sounds", classes=classes, packages_folder=packages,
                              progress=lambda package, ready, total: bar.update(
                                  task, completed=ready, total=total, description=package))
        bar.update(task, completed=report.ready, total=report.total, description="sounds")
    for name, reason in report.missing.items():
        typer.echo(f"{name}: {reason}")
    for name in report.changed:
        typer.echo(f"{name}: other samples than the manifest's: the package has changed since")
    typer.echo(f"{report.ready} of {report.total} clips in {folder / 'sounds'}")


@data_app.command()
def check(folder: DataFolder = Path("data")) -> None:
    """Look, by content, for recordings that lie in two splits, and say which; by split and by group."""
    from seld_overlap_ros.data.duplicates import SAME_RECORDING, check_splits

    found = 0
    for column, by_group in (("split", False), ("split_by_group", True)):
        with Progress(*Progress.get_default_columns(), TimeElapsedColumn()) as shown:
            task = shown.add_task(column, total=None)
            pairs = check_splits(folder / "sounds", by_group, progress=lambda done, total: shown.update(
                task, completed=done, total=total))  # noqa: B023
        for pair in pairs:
            one, other = (f"{clip.source} ({clip.split})" for clip in (pair.first, pair.second))
            typer.echo(f"{column}: {one} and {other} are one recording (correlation {pair.correlation:.2f})")
        found += len(pairs)
        if not pairs:
            typer.echo(f"{column}: no recording lies in two splits (no two clips correlate above {SAME_RECORDING}).")
    raise typer.Exit(1 if found else 0)


@data_app.command(name="import")
def import_(
    layout: Annotated[str, typer.Argument(help="folder (one per class), esc50, fsd50k, urbansound8k or dcase.")],
    folder: Annotated[Path, typer.Argument(help="Folder of the recordings.")],
    into: Annotated[Optional[Path], typer.Option(
        help="Folder to add them to; data/sounds without it, data/recordings for the scenes of dcase.")] = None,
    licence: Annotated[str, typer.Option(help="Their licence, where the layout does not say.")] = "",
) -> None:
    """Take over recordings of your own, or a known data set; what cannot be used is named."""
    from seld_overlap_ros.data.corpora import import_corpus
    from seld_overlap_ros.evaluation.events import printable_lines

    into = into or Path("data") / ("recordings" if layout == "dcase" else "sounds")
    report = import_corpus(layout, folder, into, licence, bar("import"))
    typer.echo(printable_lines("\n".join([*report.skipped, report.summary()])))
    raise typer.Exit(0 if report.taken or report.noises else 1)


@data_app.command()
def rooms(folder: DataFolder = Path("data"), array: ArrayName = "circle_8", train: Count = 60, val: Count = 10,
          test: Count = 10) -> None:
    """Simulate, for an array, the rooms and the background noise of each split, and one bank without any echo."""
    from seld_overlap_ros.config import FrontEnd
    from seld_overlap_ros.data.sounds import load_noise
    from seld_overlap_ros.simulation.arrays import load_array
    from seld_overlap_ros.simulation.noise import make_noise
    from seld_overlap_ros.simulation.rooms import make_bank

    microphones, azimuths = load_array(shipped("arrays", array))
    rate = FrontEnd().sample_rate
    recordings = {split: load_noise(folder / "sounds", split) for split in ("train", "test")}
    if not all(recordings.values()):
        raise ValueError("there is no background noise to train or to test with: run `seld-overlap data sounds`, or "
                         "import three recordings or more in a folder `noise`")
    for split, n_rooms in (("train", train), ("val", val), ("test", test), ("anechoic", 1)):
        anechoic = split == "anechoic"
        bank = make_bank(split, n_rooms, microphones, azimuths, rate, anechoic=anechoic, track=bar(f"rooms of {split}"))
        # validation shares the recordings, not the tracks: too few are free to be used in three ways
        heard = recordings["test" if split in ("test", "anechoic") else "train"]
        n_tracks = min(n_rooms, 32)  # 8 MB each
        noise = make_noise(split, n_tracks, [noise.samples for noise in heard], microphones, rate,
                           bar(f"noise of {split}"))
        (folder / "rooms" / split / "rooms.json").unlink(missing_ok=True)  # says that both are whole, and is last
        for made in (noise, bank):
            made.save(folder / "rooms" / split)


@data_app.command()
def mix(folder: DataFolder = Path("data"), name: Stored = "mixtures", train: Count = 10000, val: Count = 1000,
        test: Count = 5000, anechoic: Count = 1000, workers: Workers = 2, recipe: Annotated[Optional[str], typer.Option(
            help="Only the classes that this recipe names; all that there are without it.")] = None) -> None:
    """Store labelled mixtures for each split, and some of the sounds of the test without any echo."""
    from seld_overlap_ros.simulation.fresh import load_fresh
    from seld_overlap_ros.simulation.store import check_space, make_store
    from seld_overlap_ros.training.recipe import load_recipe

    labels = load_recipe(shipped("training/recipes", recipe)).labels if recipe else ()
    drawn = {}  # of all splits before any is stored: what one of them lacks is said in time
    for split, n_mixtures in (("train", train), ("val", val), ("test", test), ("anechoic", anechoic)):
        drawn[split] = load_fresh(folder, split, n_mixtures, labels)
        labels = labels or sorted(drawn[split].clips)
    if len({(fresh.bank.array, fresh.bank.azimuths) for fresh in drawn.values()}) > 1:
        raise ValueError(f"the rooms in {folder / 'rooms'} are of several arrays: run `seld-overlap data rooms` again, "
                         "to its end")
    check_space(folder / name, drawn)
    for split, fresh in drawn.items():
        make_store(folder / name / split, fresh, workers, bar(f"{name}/{split}"))


@data_app.command()
def card(folder: DataFolder = Path("data"), mixtures: Annotated[Optional[Path], typer.Option(
             help="Stored mixtures; FOLDER/mixtures without it.")] = None, page: Page = Path("docs/data.md")) -> None:
    """Write the data card: classes, licences, and what the stored mixtures are like, with pictures."""
    from seld_overlap_ros.data_card import write_card

    write_card(folder, mixtures or folder / "mixtures", page)


@data_app.command()
def classify(folder: DataFolder = Path("data"), by_group: Annotated[bool, typer.Option(
                 help="Split by group: recording sessions never heard before.")] = False,
             epochs: Annotated[int, typer.Option(min=1, help="Passes over the clips.")] = 36,
             out: Annotated[Optional[Path], typer.Option(
                 help="Folder of the run; FOLDER/runs/clips, where the data card looks, without it.")] = None) -> None:
    """Train SSC on the clean clips and name those of the test split: what the labels are worth."""
    from seld_overlap_ros.data.sounds import load_clips
    from seld_overlap_ros.training.clean_clips import check_clips

    out = (out or folder / "runs" / "clips") / ("by_group" if by_group else "by_source")
    clips = {split: load_clips(folder / "sounds", split, by_group) for split in ("train", "val", "test")}
    outcome = check_clips(clips, epochs, out)
    found = {"accuracy": outcome.accuracy, "epochs": epochs, "recall": outcome.recall,
             "confusions": outcome.confusions(40)}
    (out / "outcome.json").write_text(json.dumps(found, indent=1))
    typer.echo(json.dumps(found, indent=1))


@data_app.command()
def feed(folder: DataFolder = Path("data"), name: Stored = "mixtures",
         width: Annotated[float, typer.Option(
             min=0.001, max=16, help="Of the network, 1 for the paper's, as in a recipe.")] = 0.25) -> None:
    """Measure what a training step costs, and what it costs to feed it from stored and from fresh mixtures."""
    from dataclasses import replace

    from seld_overlap_ros.simulation.fresh import load_fresh
    from seld_overlap_ros.simulation.store import MixtureStore
    from seld_overlap_ros.training.feeding import feeding_cost

    store = MixtureStore.load(folder / name / "train")
    fresh = replace(load_fresh(folder, "train", len(store), store.labels), varied=True)  # as in training
    cost = feeding_cost(store, fresh, width)
    typer.echo(f"a step: {cost.step:.1f} ms a sample; feeding it: from the store {cost.stored:.1f} ms "
               f"({cost.stored_share:.0%}), drawn fresh {cost.fresh:.1f} ms ({cost.fresh_share:.0%})")


@data_app.command()
def listen(mixtures: Annotated[Path, typer.Option(help="One split of stored mixtures.")] = Path("data/mixtures/train"),
           n: Annotated[int, typer.Option(min=1, help="How many mixtures.")] = 10,
           page: Page = Path("build/mixtures.html")) -> None:
    """Make a page to listen to: the first stored mixtures, each with its sources alone."""
    from seld_overlap_ros.listening import write_listening_page
    from seld_overlap_ros.simulation.store import MixtureStore

    store = MixtureStore.load(mixtures)
    write_listening_page(store, range(min(n, len(store))), page)
    typer.echo(page.resolve().as_uri())


@data_app.command()
def scene(script: Annotated[Path, typer.Argument(help="YAML file that says what sounds where and when.")],
          out: Annotated[Path, typer.Argument(help="FLAC file to write; the truth goes beside it.")],
          folder: DataFolder = Path("data"), array: ArrayName = "circle_8") -> None:
    """Make a long labelled scene from a script, with clips that no training has heard (the test split).

    Each of its sounds alone goes into a folder beside it, OUT.stems in place of OUT.flac.
    """
    from seld_overlap_ros.config import FrontEnd
    from seld_overlap_ros.data.sounds import load_clips, load_noise
    from seld_overlap_ros.simulation.arrays import load_array
    from seld_overlap_ros.simulation.scene import load_script, play_script, write_scene

    if out.suffix != ".flac":
        raise ValueError(f"{out}: name it .flac, as that is what is written")
    microphones, _ = load_array(shipped("arrays", array))
    if microphones.n_microphones > 8:
        raise ValueError(f"{array} has {microphones.n_microphones} microphones, and .flac holds 8 channels at most")
    asked = load_script(script)
    clips, noises = load_clips(folder / "sounds", "test"), load_noise(folder / "sounds", "test")
    write_scene(*play_script(asked, clips, noises, microphones, FrontEnd().sample_rate), out)
