"""Table 1 of the paper: its four systems, and any that stand beside them, on the same mixtures -> `results.json`.

Shares lie in [0, 1]; SI-SDR and SDR improvements are in dB. A run is one training (one seed) of several systems.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from seld_overlap_ros import __version__
from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.data.sounds import series_in_training
from seld_overlap_ros.evaluation.outcomes import Outcomes, Track, evaluate_saved, piece
from seld_overlap_ros.evaluation.scores import (
    all_scores,
    by_series,
    compare,
    confusion,
    drawn,
    interval95,
    largest_confusions,
    mean,
    p_over,
    plain,
    recall,
)
from seld_overlap_ros.evaluation.variants import VARIANTS, Variant
from seld_overlap_ros.models.checkpoint import find_model, read_checkpoint, read_training_record, sha256, shipped_models
from seld_overlap_ros.models.engine import load_engine
from seld_overlap_ros.simulation.rooms import RoomBank
from seld_overlap_ros.simulation.store import MixtureStore

PAPER = {"cascade": 0.697, "ssl_sss": 0.713, "sss_ssc": 0.710, "overlap": 0.730}
N_COUNT = 1000  # validation mixtures of the paper's count
SUFFIX = ".model.safetensors"
GAIN_EDGES = np.arange(-20, 41, 2)  # of the distribution of SI-SDR improvements [dB]
OF_ONE_SEED = ("recall", "confusions", "sha256", "engine")
PAIRS = (("overlap", "ssl_sss"), ("overlap", "sss_ssc"))  # compared beside every system against cascade
ASIDE = ("one_sss", "scratch")  # systems that are there for comparison
COMPARED = ("n_per_1000", "accuracy_test", "ci95", "ci95_recordings", "given_direction", "ceiling", "direction_f1",
            "si_sdri", "si_sdri_two_sources", "parameters", "mixtures", "core_hours", "sha256", "engine")


@dataclass(frozen=True)
class Run:
    """One training: its systems by name."""

    name: str
    models: dict[str, Path]


@dataclass(frozen=True)
class Exam:
    """What every system is asked."""

    val: MixtureStore
    test: MixtureStore
    t60: Mapping[str, float]  # of the test rooms [s]; empty where that is not known
    in_training: Mapping[str, bool] = field(default_factory=dict)  # recording -> whether others of its series were

    def sources(self) -> Sources:
        """What is known of the test mixtures' sources."""
        recordings = self.test.recordings
        known = set(recordings) <= set(self.in_training)
        in_training = np.array([self.in_training[name] for name in recordings], bool) if known else None
        return Sources(np.array(recordings), self.t60, in_training)


@dataclass(frozen=True)
class Sources:
    """What is known of the S sources of the test mixtures, whatever a system says."""

    recording: np.ndarray  # (S,) its name
    t60: Mapping[str, float] = field(default_factory=dict)  # as of an Exam
    in_training: np.ndarray | None = None  # (S,) bool, as of an Exam; None where it is not known


@dataclass(frozen=True)
class Grade:
    """How one system did."""

    config: SystemConfig
    parameters: int
    sha256: str  # of its file
    record: dict  # of its training
    val: Outcomes
    test: Outcomes
    engine: str = ""  # what computed it


def find_runs(folders: Sequence[Path], names: Sequence[str]) -> list[Run]:
    """A run for each training that models in `folders` (`SYSTEM.model.safetensors`) and named ones say they are of.

    Where neither is given, the shipped models. Systems are compared within a run. Raises ValueError where there is
    nothing to evaluate, or a system twice.
    """
    paths = []
    for folder in folders:
        found = sorted(folder.glob(f"*{SUFFIX}"))
        if not found:
            raise ValueError(f"no SYSTEM{SUFFIX} in {folder}: name the folder that `seld-overlap train` wrote")
        paths += found
    if names or not folders:
        paths += [find_model(name) for name in names or shipped_models()]
    runs: dict[str, dict[str, Path]] = {}
    for path in paths:
        system, models = path.name.split(".")[0], runs.setdefault(_training(read_training_record(path)), {})
        if system in models:
            raise ValueError(f"{path} and {models[system]} are of one system and training: name one of them")
        models[system] = path
    return [Run(name, {system: models[system] for system in sorted(models, key=_in_order)})
            for name, models in runs.items()]


def _training(record: Mapping) -> str:
    """Recipe and seed that a model's record tells: the same for a shipped file and the one that `train` wrote."""
    own = f"{record.get('recipe', {}).get('name', 'unknown')}/{record.get('seed', '?')}"
    return f"{_training(record['start']['training'])}, then {own}" if "start" in record else own


def load_exam(mixtures: Path, rooms: Path, sounds: Path, limit: int | None) -> Exam:
    """The first N_COUNT validation mixtures and all test mixtures of a folder; fewer with a limit.

    `rooms` and `sounds`: folders of the test rooms, for their T60, and of the recordings, for their series, if they are
    there.
    """
    val, test = (MixtureStore.load(mixtures / split) for split in ("val", "test"))
    t60 = {room.name: room.t60 for room in RoomBank.load(rooms).rooms} if (rooms / "rooms.json").is_file() else {}
    heard = series_in_training(sounds) if (sounds / "sounds.csv").is_file() else {}
    return Exam(piece(val, 0, min(N_COUNT, limit or N_COUNT)), piece(test, 0, limit), t60, heard)


def grade(title: str, path: Path, exam: Exam, saved: Path, engine: str, bar: Callable[[str], Track],
          variant: str | None = None) -> Grade:
    """Evaluate one model, or a variant of it, or take what `saved` has of it. `bar` makes a progress bar with a title.
    """
    loaded, key = load_engine(path, engine), sha256(path)
    if variant:
        loaded, title = Variant(loaded, variant), f"{title}, {variant}"
    val = evaluate_saved(loaded, key, exam.val, saved, bar(f"{title}, val"))
    test = evaluate_saved(loaded, key, exam.test, saved, bar(f"{title}, test"))
    return Grade(loaded.config, read_checkpoint(path).n_parameters, key, read_training_record(path), val, test,
                 loaded.title)


def table1(runs: Sequence[Run], exam: Exam, saved: Path, engine: str, bar: Callable[[str], Track],
           variants: bool = False, beside: Sequence[Run] = ()) -> dict:
    """The whole of `results.json`: plain values. `engine`: one of models.engine.ENGINES.

    `variants`: of each run's `overlap` those of variants.py too. `beside`: trainings for comparison with the first
    `overlap` of `runs`, which count in no mean. Raises ValueError where there is none to compare them with.
    """
    if beside and not any("overlap" in run.models for run in runs):
        raise ValueError("there is no overlap to compare with: name its training with --runs")
    if twice := {run.name for run in runs} & {run.name for run in beside}:
        raise ValueError(f"{', '.join(sorted(twice))} is both a training and beside it: trainings are known by recipe "
                         "and seed, so one that differs needs a recipe of another name")
    graded = [{name: grade(f"{run.name} {name}", path, exam, saved, engine, bar) for name, path in run.models.items()}
              for run in runs]
    changed = [{name: grade(f"{run.name} overlap", run.models["overlap"], exam, saved, engine, bar, name)
                for name in VARIANTS if variants and "overlap" in run.models} for run in runs]
    # rounded as they are written, so that means are the same whether a seed is of now or of an earlier file
    sources = exam.sources()
    seeds = plain([seed_results(run.name, *both, sources) for run, *both in zip(runs, graded, changed, strict=True)])
    others = {run.name: {name: grade(f"{run.name} {name}", path, exam, saved, engine, bar)
                         for name, path in run.models.items()} for run in beside}
    return plain({
        "version": __version__,
        "mixtures": about(exam),
        "paper": PAPER,
        "systems": over_seeds(seeds),
        "paired": paired_by_seed(seeds),
        "seeds": seeds,
        "best": best_results(seeds, graded),
        "comparisons": comparisons(runs, graded, others, sources),
    })


def comparisons(runs: Sequence[Run], graded: Sequence[Mapping[str, Grade]], others: Mapping[str, Mapping[str, Grade]],
                sources: Sources) -> list[dict]:
    """Of each run the systems for comparison, against its `overlap`; of other trainings all, against the first one.

    Those of other trainings also against the `same` system of that run, where it has it.
    """
    known = {run.name: one for run, one in zip(runs, graded, strict=True) if "overlap" in one}
    asked = [(run, run, name, known[run][name]) for run in known for name in ASIDE if name in known[run]]
    asked += [(next(iter(known)), run, name, one)
              for run, systems in others.items() for name, one in systems.items()]
    found = []
    for against, run, name, one in asked:
        chosen, all_figures = drawn(one.test), figures(one, sources)
        pairs = {other: paired(one.test.named[chosen], grade.test.named[chosen], sources.recording[chosen])
                 for other, grade in known[against].items() if other in ("overlap", name)}
        same = {"same": pairs[name]} if run != against and name in pairs else {}
        found.append({"run": run, "system": name, "against": against} | {key: all_figures[key] for key in COMPARED}
                     | pairs["overlap"] | same)
    return found


def paired(first: np.ndarray, second: np.ndarray, recordings: np.ndarray) -> dict:
    """McNemar's test of two systems' answers, and the p that knows which answers are of one recording."""
    return asdict(compare(first, second)) | {"p_recordings": p_over(first, second, recordings)}


def about(exam: Exam) -> dict:
    """What is asked, in short: two exams of the same `content` ask the same."""
    content = exam.val.content + exam.test.content
    return {
        "val": len(exam.val),
        "test": len(exam.test),
        "classes": len(exam.test.labels),
        "rooms": len({mixture["room"] for mixture in exam.test.truth}),
        "content": hashlib.sha256(content.encode()).hexdigest()[:16],
    }


def check_earlier(earlier: dict, exam: Exam) -> None:
    """Raises ValueError if earlier results are of other mixtures, or lack what new ones are put beside."""
    if earlier["mixtures"] != about(exam):
        raise ValueError("the earlier results are of other mixtures, or do not say of which: evaluate their trainings "
                         "again, with --runs")
    try:
        with_earlier({**earlier, "comparisons": []}, earlier)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"the earlier results are not what `seld-overlap table1` writes ({error!r}): let it write the "
                         "file anew") from error


def with_earlier(results: dict, earlier: dict) -> dict:
    """Results, and the trainings of an earlier `results.json` that are not evaluated again, all in its order.

    For trainings whose weights are elsewhere by now. Of one of which only some systems are at hand, what was is kept,
    and so are variants of an `overlap` that is the same. Raises ValueError if what is kept has changed since, or if
    the best system's answers are in neither.
    """
    before, now = ({seed["run"]: seed for seed in of["seeds"]} for of in (earlier, results))
    chosen = now | {run: seed for run, seed in before.items() if _kept(seed, now.get(run))}
    seeds = [_with_variants(chosen[run], [of[run] for of in (before, now) if run in of])
             for run in dict.fromkeys([*before, *now])]
    every = [(seed["systems"][name]["n_per_1000"], seed["run"], name) for seed in seeds for name in seed["systems"]]
    highest = max(n for n, *_ in every)
    known = {(one["best"]["run"], one["best"]["system"]): one["best"] for one in (earlier, results)}
    best = next((known[run, name] for n, run, name in every if n == highest and (run, name) in known), None)
    if best is None:
        raise ValueError(f"what the best system says is not known: evaluate {max(every)[1]} again too, with --runs")
    index = [seed["run"] for seed in seeds].index(best["run"])
    _check_compared(results, earlier, {seed["run"]: seed["systems"] for seed in seeds})
    compared = {(one["run"], one["system"]): one for file in (earlier, results) for one in file.get("comparisons", [])}
    runs = list(dict.fromkeys(run for run, _ in compared))
    ordered = sorted(compared.values(), key=lambda one: (runs.index(one["run"]), _in_order(one["system"])))
    return plain({**results, "systems": over_seeds(seeds), "paired": paired_by_seed(seeds), "seeds": seeds,
                  "best": {**best, "index": index}, "comparisons": ordered})


def _check_compared(results: dict, earlier: dict, systems: Mapping[str, dict]) -> None:
    """Raises ValueError if comparisons are kept with an `overlap` that is another one now."""
    again = {(one["run"], one["system"]) for one in results.get("comparisons", [])}
    before = {seed["run"]: seed["systems"] for seed in earlier["seeds"]}
    for one in earlier.get("comparisons", []):
        run, of = one["against"], "overlap"
        if (one["run"], one["system"]) not in again and before[run][of]["sha256"] != systems[run][of]["sha256"]:
            raise ValueError(f"{one['run']} was compared with an {of} of {run} that is another one now: evaluate it "
                             "again too, with --beside")


def _kept(earlier: dict, now: dict | None) -> bool:
    """Whether a training's earlier results stay: where it isn't evaluated now, or only some of its systems are."""
    if now is None:
        return True
    before, after = earlier["systems"], now["systems"]
    if any(before[name]["mixtures"] != after[name]["mixtures"] for name in set(before) & set(after)):
        raise ValueError(f"{earlier['run']} learnt from other mixtures than in the earlier results: trainings are "
                         "known by recipe and seed, so one that differs needs a recipe of another name")
    if not set(before) - set(after):
        return False
    if any(name not in before or before[name]["sha256"] != after[name]["sha256"] for name in after):
        raise ValueError(f"{earlier['run']} is another training now, and lacks {', '.join(set(before) - set(after))}: "
                         "evaluate all of it, with --runs")
    return True


def _with_variants(seed: dict, known: Sequence[dict]) -> dict:
    """Results of a training with the variants of its `overlap` that any of its results know; the last ones count."""
    overlap = seed["systems"].get("overlap", {}).get("sha256")
    variants = {name: one for other in known for name, one in other.get("variants", {}).items()
                if one["sha256"] == overlap}
    return {**seed, "variants": variants}


def over_seeds(seeds: Sequence[dict]) -> dict[str, dict]:
    """Mean figures of each system; of an interval, the mean of its limits. What is of one seed stays with it."""
    found = {}
    for name in sorted({name for seed in seeds for name in seed["systems"]}, key=_in_order):
        entries = [seed["systems"][name] for seed in seeds if name in seed["systems"]]
        mean = {key: value for key, value in average(entries).items() if key not in OF_ONE_SEED}
        found[name] = {"seeds": len(entries), **mean}
    return found


def paired_by_seed(seeds: Sequence[dict]) -> dict[str, dict]:
    """Gain and both p of each comparison, one a seed that has it."""
    found = {}
    for seed in seeds:
        for pair, values in seed["paired"].items():
            entry = found.setdefault(pair, {"gain": [], "p": [], "p_recordings": []})
            for name, of_seeds in entry.items():
                of_seeds.append(values[name])
    return found


def seed_results(run: str, grades: Mapping[str, Grade], changed: Mapping[str, Grade], sources: Sources) -> dict:
    """Figures of each system of a run, and the paired comparisons on the test mixtures' drawn sources.

    `changed`: variants of its `overlap`, which are compared with it.
    """
    chosen = drawn(next(iter(grades.values())).test)
    recordings = sources.recording[chosen]
    hits = {name: one.test.named[chosen] for name, one in grades.items()}

    pairs = [(name, "cascade") for name in grades if name != "cascade"] + list(PAIRS)
    return {
        "run": run,
        "seed": next(iter(grades.values())).record.get("seed"),
        "systems": {name: figures(grades[name], sources) for name in sorted(grades, key=_in_order)},
        "paired": {f"{a}_vs_{b}": paired(hits[a], hits[b], recordings) for a, b in pairs if a in hits and b in hits},
        "variants": {name: figures(one, sources) | paired(one.test.named[chosen], hits["overlap"], recordings)
                     for name, one in changed.items()},
    }


def figures(one: Grade, sources: Sources) -> dict:
    """Everything about one system of one run; `accuracy_test` is the paper's count on the test mixtures."""
    azimuths, window_s = one.config.azimuths, one.config.front_end.window_s
    test = all_scores(one.test, azimuths, window_s, sources.recording, sources.t60)
    count, right, right_val = test.pop("count"), one.test.named[drawn(one.test)], one.val.named[drawn(one.val)]
    return {
        "n_per_1000": 1000 * mean(right_val),
        "n_per_1000_ci95": [1000 * limit for limit in interval95(right_val.sum(), len(right_val))],
        "accuracy_test": count["accuracy"],
        "ci95": interval95(right.sum(), len(right)),
        "ci95_recordings": count["ci95_recordings"],
        "given_direction": count["given_direction"],
        "ceiling": count["ceiling"],
        "direction_f1": test["direction"]["f1"],
        "si_sdri": test["all_sources"]["si_sdri"],
        "si_sdri_two_sources": test["by_sources"].get("2", {}).get("si_sdri"),
        "parameters": one.parameters,
        "mixtures": one.record.get("mixtures"),
        "core_hours": core_hours(one.record),
        "sha256": one.sha256,
        "engine": one.engine,
        **test,
        "by_series": by_series(one.test, sources.recording, sources.in_training),
        "recall": recall(one.test, one.config.labels),
        "confusions": largest_confusions(confusion(one.test, len(one.config.labels)), one.config.labels),
    }


def best_results(seeds: Sequence[dict], graded: Sequence[Mapping[str, Grade]]) -> dict:
    """What the pictures show of the system that is best in validation: confusion matrix, distribution of gains."""
    every = [(i, name) for i, seed in enumerate(seeds) for name in seed["systems"]]
    i, name = max(every, key=lambda which: seeds[which[0]]["systems"][which[1]]["n_per_1000"])
    one = graded[i][name]
    n_sources, gain = one.test.n_sources, np.clip(one.test.si_sdri, GAIN_EDGES[0], GAIN_EDGES[-1])
    return {
        "system": name,
        "index": i,  # in `seeds`
        "run": seeds[i]["run"],
        "labels": list(one.config.labels),
        "confusion": confusion(one.test, len(one.config.labels)),
        "si_sdri_edges": GAIN_EDGES,
        "si_sdri_by_sources": {
            str(k): np.histogram(gain[(n_sources == k) & ~np.isnan(gain)], GAIN_EDGES)[0] for k in np.unique(n_sources)
        },
    }


def core_hours(record: Mapping) -> float | None:
    """What the stages behind a system cost, from their `minutes` and `cores` in its record; None if it lacks them.

    A stage that does not say its cores had one for each of its `processes`. What led to its start is in it.
    """
    before = core_hours(record["start"]["training"]) if "start" in record else 0.0
    costs = [(stage.get("minutes"), stage.get("cores", stage.get("processes"))) for stage in record.get(
        "stages", {}).values()]
    if not costs or before is None or any(None in cost for cost in costs):
        return None
    return before + sum(minutes * cores for minutes, cores in costs) / 60


def average(entries: Sequence) -> object:
    """Mean of the numbers in dicts and lists of the same form; of what is no number, or not of one form, the first."""
    first = entries[0]
    if isinstance(first, Mapping):
        return {key: average([entry[key] for entry in entries]) for key in first
                if all(key in entry for entry in entries)}
    if isinstance(first, list) and all(len(entry) == len(first) for entry in entries):
        return [average(values) for values in zip(*entries, strict=True)]
    numbers = [entry for entry in entries if isinstance(entry, (int, float))]
    if not numbers or all(number == first for number in entries):
        return first
    return float(np.mean(numbers))


def _in_order(name: str) -> tuple:
    """The paper's systems as in its table, then the others by name."""
    return (list(PAPER).index(name) if name in PAPER else len(PAPER), name)
