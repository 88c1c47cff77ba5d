"""`seld-overlap bag` and `seld-overlap evaluate`: scenes to rosbags, and rosbags to scores."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Optional

import typer

from seld_overlap_ros.evaluation.events import printable, printable_lines
from seld_overlap_ros.models.engine import AUTO, ENGINES

bag_app = typer.Typer(no_args_is_help=True, help="Rosbags with ground truth, from scenes, mixtures and recordings.")

Out = Annotated[Path, typer.Argument(help="Folder of the bag, which must not be there yet.")]
Storage = Annotated[str, typer.Option(help="mcap or sqlite3.")]
Labels = Annotated[Path, typer.Argument(metavar="CSV", help="frame,class,track,azimuth,elevation as DCASE writes them; "
                                                            "class names in classes.txt beside it.")]


@bag_app.command()
def make(
    scene: Annotated[str, typer.Argument(help="Sound file with its truth beside it as JSON, `demo`, or a folder of "
                                              "stored mixtures.")],
    out: Out,
    index: Annotated[int, typer.Option(min=0, help="Which one of the stored mixtures.")] = 0,
    storage: Storage = "mcap",
) -> None:
    """Make a bag of a scene: its audio as from a capture node, its truth, and the clock."""
    from seld_overlap_ros.bags.scenes import from_mixture, from_scene
    from seld_overlap_ros.streaming.sources import find_scene

    if Path(scene).is_dir():
        from seld_overlap_ros.simulation.store import MixtureStore

        _write(out, from_mixture(MixtureStore.load(Path(scene)), index), storage)
    elif index:
        raise ValueError(f"--index says which of stored mixtures, and {scene} is no folder of them: leave it out")
    else:
        _write(out, from_scene(find_scene(scene)), storage)


@bag_app.command()
def from_wav(
    recording: Annotated[Path, typer.Argument(help="WAV or FLAC file.")],
    labels: Labels,
    out: Out,
    storage: Storage = "mcap",
) -> None:
    """Make a bag of a recording with a CSV of labels."""
    from seld_overlap_ros.bags.scenes import from_labels

    _write(out, from_labels(recording, labels), storage)


@bag_app.command()
def label(
    bag: Annotated[Path, typer.Argument(help="Bag that a robot has recorded.")],
    labels: Labels,
    out: Out,
    channels: Annotated[Optional[int], typer.Option(
        min=1, max=256, help="Of audio that comes without audio_info: how many it has.")] = None,
    storage: Storage = "mcap",
) -> None:
    """Make a bag of the audio of a recorded one, as it was recorded, with a CSV of labels as its truth."""
    from seld_overlap_ros.bags.reading import read_bag
    from seld_overlap_ros.bags.scenes import labelled
    from seld_overlap_ros.bags.writing import label_bag

    recorded = read_bag(bag, channels or 1)
    if not (channels or recorded.tells_its_format):
        raise ValueError(f"{bag} does not say how many channels its audio has, which its length follows from: say it "
                         "with --channels")
    label_bag(out, recorded, labelled(labels, bag), storage)
    made = read_bag(out, channels or 1)
    said = f"{out}: the audio of {bag}, {made.duration_s:.1f} s; {len(made.events)} true sounds"
    typer.echo(printable_lines("\n".join([*made.notes, said])))


def _write(out: Path, scene: object, storage: str) -> None:
    from seld_overlap_ros.bags.writing import write_bag

    write_bag(out, scene, storage)
    typer.echo(f"{out}: {printable(scene.title)}; {len(scene.events)} true sounds")


def evaluate(
    bags: Annotated[list[Path], typer.Argument(help="Bags with audio and ground truth, as `bag make` leaves them.")],
    systems: Annotated[Optional[list[str]], typer.Option(
        "--system", help="Name of a shipped model, or a file; `classical` or `classical:MODEL` is MUSIC and beams with "
                         "a model's classifier. May be repeated; plus without it.")] = None,
    hop: Annotated[Optional[float], typer.Option(
        min=0.05, max=4.0, help="From window to window [s]; without it, and without the next two, as full_node's "
                                "parameters have them.")] = None,
    direction_threshold: Annotated[Optional[float], typer.Option(
        min=0, max=1, help="Least probability of a sound for a direction to be listened to.")] = None,
    class_threshold: Annotated[Optional[float], typer.Option(
        min=0, max=1, help="Least score of a class for a sound to be named.")] = None,
    channel_map: Annotated[str, typer.Option(help="Input channel of each microphone, counted from 0, such as 1,2,3,4; "
                                                  "without it, as they come.")] = "",
    classes: Annotated[str, typer.Option(help="Classes that can occur, such as door,dog_bark, which all systems must "
                                              "know; without it, all.")] = "",
    fail_under: Annotated[Optional[list[str]], typer.Option(
        help="Exit code 1 where a system scores less, such as f20=0.6, found, named, lr, per_1000, or si_sdri=5 in dB; "
             "may be repeated.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Also play the bags to real nodes over DDS: how late are they, "
                                                      "what do they leave out, do they say the same?")] = False,
    graph: Annotated[Optional[str], typer.Option(help="With --live: graph to play to, of those of `seld-overlap up`; "
                                                      "full without it.")] = None,
    rate: Annotated[Optional[float], typer.Option(
        min=0.0, max=100.0, help="With --live: how many times faster than real time to play; 0: a window when the one "
                                 "before has been heard; 1 without it.")] = None,
    run: Annotated[Optional[Path], typer.Option(help="In place of --live: what run_recorder has recorded while the "
                                                     "bag was played.")] = None,
    engine: Annotated[str, typer.Option(help=f"What computes the networks: one of {', '.join(ENGINES)}.")] = AUTO,
    out: Annotated[Path, typer.Option(help="JSON file for scores and all that was heard; a page to see and hear it "
                                           "goes beside it.")] = Path("evaluation.json"),
) -> None:
    """Score systems on bags, offline: as full_node would hear them, faster than real time. Exit code 2 for bad bags.

    With --live the same systems are heard once more, as nodes to which the bags are played.
    """
    from rich.console import Console

    from seld_overlap_ros.bags.reading import read_bag
    from seld_overlap_ros.evaluation.live import Stage
    from seld_overlap_ros.evaluation.replay import Settings, hear_all
    from seld_overlap_ros.evaluation.replay_page import render, waves
    from seld_overlap_ros.evaluation.replay_scores import read_limits, score, shortfalls
    from seld_overlap_ros.evaluation.replay_tables import tables
    from seld_overlap_ros.evaluation.scores import plain
    from seld_overlap_ros.graphs import find_graph, replay_processes
    from seld_overlap_ros.models.engine import DEFAULT_MODEL, choose

    if live and run:
        raise ValueError("--live plays the bags, and --run is of a bag that was played: give one of them")
    if not live and (graph is not None or rate is not None):
        raise ValueError("--graph and --rate say how --live plays the bags: add --live, or leave them out with --run")
    if out.suffix == ".html":
        raise ValueError(f"the page goes beside the JSON file and would take the place of {out}: name it .json")
    if out.is_dir():
        raise ValueError(f"{out} is a folder: name a file in it, such as {out / 'evaluation.json'}")
    stage = Stage(graph or "full", 1.0 if rate is None else rate, engine)
    replay_processes(find_graph(stage.graph), {}, "")  # refuses a graph to which no bag can be played
    limits, names = read_limits(fail_under or []), _titles(systems or [DEFAULT_MODEL])
    given = {"hop_s": hop, "direction_threshold": direction_threshold, "class_threshold": class_threshold}
    settings = Settings(**{name: value for name, value in given.items() if value is not None}, channel_map=channel_map,
                        classes=classes)
    loaded = {title: _load(name, engine, classes) for name, title in names.items()}
    # the systems share the cores; torch has one compute on all of them
    threads = 1 if choose(engine) == "torch" else min(os.cpu_count() or 1, len(loaded))
    n_channels = next(iter(loaded.values())).config.array.n_microphones
    opened, refused = _each(lambda path: read_bag(path, n_channels), bags)
    recorded = _recorded(run, len(opened), names) if run else None
    out.parent.mkdir(parents=True, exist_ok=True)  # what cannot be is said before minutes of listening
    with _progress(sum(bag.n_chunks for bag in opened) * len(loaded)) as tick:
        heard = hear_all(opened, loaded, settings, tick, threads)
    ran = _live(opened, names, stage, settings, heard, recorded) if live or run else {}
    engines = {title: getattr(system, "ssc", system) for title, system in loaded.items()}
    result = score(opened, heard, settings, engines)
    result["engines"] = {title: one.title for title, one in engines.items()}
    result["problems"] = refused + result["problems"]
    result["live"] = plain({title: [one and asdict(one) for one in of_system] for title, of_system in ran.items()})
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    page = out.with_suffix(".html")
    page.write_text(render(result, waves(opened, heard)), encoding="utf-8")
    console = Console(highlight=False)
    console.width = console.width if console.is_terminal else 120  # a log is wide
    console.print(tables(result), markup=False)
    for title, of_system in ran.items():
        for bag, one in zip(opened, of_system, strict=True):
            typer.echo(printable(f"{title}, {bag.path.name}: {one.in_words() if one else 'not heard'}"))
    notes = [note for about in result["bags"] for note in about["notes"]]
    notes += [f"{name}: {note}" for name, one in result["systems"].items() for bag in one["heard"]
              for note in bag["notes"]]
    short = shortfalls(result, limits)
    for sentence in dict.fromkeys([*notes, *result["problems"], *short]):
        typer.echo(printable(sentence), err=True)  # it may name a topic or a type of the bag
    typer.echo(f"all that was heard: {out}; to see and hear: {page.resolve().as_uri()}")
    raise typer.Exit(2 if result["problems"] else 1 if short else 0)


def _load(name: str, engine: str, classes: str) -> object:
    """An engine, or the classical system."""
    from seld_overlap_ros.evaluation.classical import Classical, model_of
    from seld_overlap_ros.models.engine import load_engine
    from seld_overlap_ros.models.possible import Possible

    model = model_of(name)
    loaded = Possible(load_engine(model or name, engine), classes)
    return Classical(loaded) if model else loaded


def _recorded(run: Path, n_bags: int, names: Iterable[str]) -> object:
    """What was recorded of a bag that was played. Raises ValueError where it could be of several, or is of another."""
    from seld_overlap_ros.bags.runs import read_run
    from seld_overlap_ros.evaluation.classical import model_of
    from seld_overlap_ros.models.checkpoint import SUFFIX

    models = [name for name in names if not model_of(name)]
    if (n_bags, len(models)) != (1, 1):
        raise ValueError(f"--run is of one bag and one system, and {n_bags} and {len(models)} are named")
    recorded = read_run(run)
    of_run, named = (Path(name).name.removesuffix(SUFFIX) for name in (recorded.model, *models))
    if of_run and of_run != named:
        raise ValueError(f"{run} is of the model {printable(recorded.model)} and not of {models[0]}: name it with "
                         "--system")
    return recorded


def _live(bags: Sequence[object], names: dict[str, str], stage: object, settings: object, heard: dict[str, list],
          recorded: object | None) -> dict[str, list]:
    """Title -> how the nodes did on each bag; what they heard is put into `heard`. The classical system has no nodes.

    `recorded`: what they did of one bag, which then is not played.
    """
    from seld_overlap_ros.evaluation.classical import model_of
    from seld_overlap_ros.evaluation.live import hear_live, judge

    told = {}
    for name, title in names.items():
        if model_of(name):
            continue
        pairs = []
        for bag, offline in zip(bags, heard[title], strict=True):
            if not recorded:
                typer.echo(printable(f"playing {bag.duration_s:.0f} s of {bag.path.name} to the graph {stage.graph}"))
            pairs.append(judge(bag, recorded, offline) if recorded else hear_live(bag, name, stage, settings, offline))
        heard[f"{title}, live"], told[f"{title}, live"] = ([pair[n] for pair in pairs] for n in (0, 1))
    return told


def _titles(names: Sequence[str]) -> dict[str, str]:
    """What each system is called: files by name alone, the classical without its model, unless two are alike."""
    short = {name: _short(name.partition(":")[0]) for name in names}
    return {name: title if list(short.values()).count(title) == 1 else name for name, title in short.items()}


def _short(name: str) -> str:
    """Of a model, or a file of one."""
    return Path(name).name.partition(".")[0]


def _each(read: Callable[[Path], object], paths: list[Path]) -> tuple[list, list[str]]:
    """What can be read, and a sentence for each of the others. Raises ValueError if there is nothing."""
    read_ones, sentences = [], []
    for path in paths:
        try:
            read_ones.append(read(path))
        except (ValueError, OSError) as error:
            sentences.append(str(error))
    if not read_ones:
        raise ValueError(" ".join(sentences))
    return read_ones, sentences


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Shows how far it is; what it gives is to be called for each step."""
    from rich.progress import Progress, TimeElapsedColumn

    with Progress(*Progress.get_default_columns(), TimeElapsedColumn()) as shown:
        task = shown.add_task("listening", total=total)
        yield lambda: shown.advance(task)
