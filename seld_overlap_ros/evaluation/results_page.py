"""`results.md`: what held and what did not, computed from `results.json`, with the table and the pictures."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seld_overlap_ros.evaluation.plots import draw_all
from seld_overlap_ros.markdown import table

COMMAND = "seld-overlap table1"
REPORT = "seld-overlap report"
BEGIN, END = "<!-- written by hand from here: kept when the page is written again -->", "<!-- to here -->"
NOTHING_YET = "(Nothing is written here yet.)"
PAPER_GAIN, PAPER_COUNT = 0.033, 730  # overlap above cascade; overlap's n/1000
SURE = 0.05  # p
NEEDED_F1, NEEDED_SI_SDRI = 0.95, 8.0  # of the best system; [dB] on two-source mixtures
PLUS_GOAL = 850  # n/1000
VERDICTS = HELD, FAILED, OPEN, UNTRIED = "held", "did not hold", "not settled", "not tried"


@dataclass(frozen=True)
class Claim:
    """A sentence with its numbers, and whether it held: one of VERDICTS."""

    held: str
    text: str


def write_results(results: dict, folder: Path) -> None:
    """Write `results.json`, and the page about it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    write_page(folder)


def write_page(folder: Path) -> None:
    """Write `results.md` and the pictures in `results/` from the folder's `results.json`; keep what is by hand.

    Raises FileNotFoundError or ValueError that says what to do where there is no such file, or another.
    """
    path, page = folder / "results.json", folder / "results.md"
    results = read_results(path)
    try:
        pictures = draw_all(results, folder / "results")
        text = page_text(results, pictures, by_hand(page))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise _strange(path, error) from error
    page.write_text(text, encoding="utf-8")


def read_results(path: Path) -> dict:
    """What `table1` wrote. Raises FileNotFoundError or ValueError that says what to do if it is not there, or other.

    A file that lacks anything that the page shows, as an earlier version wrote it, is another one.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no {path.name} in {path.parent}: `{COMMAND} --out {path.parent}` writes it")
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if "sha256" not in _best(results):
            raise KeyError("sha256")
        page_text(results, defaultdict(str), "")
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, RecursionError) as error:
        raise _strange(path, error) from error
    return results


def _strange(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is not what `{COMMAND}` writes ({error!r}): let it write the file anew")


def by_hand(page: Path) -> str:
    """What a person wrote between the markers of an earlier page."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    if BEGIN not in text or END not in text:
        return NOTHING_YET
    return text.split(BEGIN, 1)[1].split(END, 1)[0].strip()


def claims(results: dict) -> list[Claim]:
    """What the paper and the project hope for, against the numbers."""
    return [*_overlap_claims(results), *_best_claims(results)]


def _overlap_claims(results: dict) -> list[Claim]:
    paired = results["paired"].get("overlap_vs_cascade")
    if paired is None:
        return [Claim(UNTRIED, "`overlap` against `cascade`: one of them is missing.")]
    seeds = _seeds(paired)
    good = sum(gain >= PAPER_GAIN and max(ps) < SURE for gain, *ps in seeds)
    held = OPEN if good == len(seeds) == 1 else _verdict(3 * good >= 2 * len(seeds))  # one seed tells of no other
    found = [Claim(held,
                   f"The paper's claim, `overlap` at least {100 * PAPER_GAIN:.1f} points above `cascade` (both p < "
                   f"{SURE}): in {good} of {len(seeds)} seeds ({_in_words(seeds)}; two in three are asked for).")]
    for pair in ("ssl_sss", "sss_ssc"):
        if f"overlap_vs_{pair}" in results["paired"]:
            seeds = _seeds(results["paired"][f"overlap_vs_{pair}"])
            above = sum(gain > 0 and max(ps) < SURE for gain, *ps in seeds)
            below = sum(gain < 0 and max(ps) < SURE for gain, *ps in seeds)
            held = HELD if above == len(seeds) else FAILED if below else OPEN
            found.append(Claim(held, f"`overlap` above `{pair}` (both p < {SURE}): in {above} of {len(seeds)} seeds "
                                     f"({_in_words(seeds)})."))
    return found


def _seeds(paired: dict[str, list]) -> list[tuple[float, float, float]]:
    """Gain, p and p over recordings of each seed."""
    return list(zip(paired["gain"], paired["p"], paired["p_recordings"], strict=True))


def _in_words(seeds: Sequence[tuple[float, float, float]]) -> str:
    return "; ".join(f"{_points(gain)}, {_p(p)}, over recordings {_p(over)}" for gain, p, over in seeds)


def _verdict(held: bool) -> str:
    return HELD if held else FAILED


def _best_claims(results: dict) -> list[Claim]:
    name, best = results["best"]["system"], _best(results)
    found = [
        Claim(_verdict(best["n_per_1000"] >= PAPER_COUNT),
              f"The best system in validation, `{name}` ({results['best']['run']}), reaches the paper's {PAPER_COUNT} "
              f"per 1000: {best['n_per_1000']:.0f}."),
        Claim(_verdict(best["direction_f1"] >= NEEDED_F1), f"Its direction F1 is at least {percent(NEEDED_F1)}: "
                                                           f"{percent(best['direction_f1'])}."),
    ]
    gain = best["si_sdri_two_sources"]
    if gain is not None:
        found.append(Claim(_verdict(gain >= NEEDED_SI_SDRI), f"Its SI-SDR improvement on two-source mixtures is at "
                                                             f"least {NEEDED_SI_SDRI:.0f} dB: {number(gain, ' dB')}."))
    if "plus" in results["systems"]:
        count = results["systems"]["plus"]["n_per_1000"]
        found.append(Claim(_verdict(count >= PLUS_GOAL),
                           f"`plus` reaches its goal of {PLUS_GOAL} per 1000: {count:.0f}."))
    return found


def _best(results: dict) -> dict:
    return results["seeds"][results["best"]["index"]]["systems"][results["best"]["system"]]


def page_text(results: dict, pictures: Mapping[str, str], why: str) -> str:
    """The page in Markdown."""
    mixtures, best = results["mixtures"], _best(results)
    engines = {one["engine"] for seed in results["seeds"] for one in seed["systems"].values()}
    return "\n".join([
        "# Results", "",
        f"Written by `{COMMAND}`, and again from `results.json` by `{REPORT}`; only what stands between the markers is "
        "by hand.", "",
        f"Trainings: {', '.join(seed['run'] for seed in results['seeds'])}. {mixtures['val']} validation and "
        f"{mixtures['test']} test mixtures of {mixtures['classes']} classes; the test mixtures lie in "
        f"{mixtures['rooms']} rooms. No recording of a sound and no room is in two splits; validation shares the noise "
        f"of training, and chose the passes. Computed by {' and '.join(sorted(engines))}.", "",
        "## What held", "",
        *(f"- **{claim.held}**: {claim.text}" for claim in claims(results)), "",
        "## Why, as far as we know", "", BEGIN, "", why, "", END, "",
        "## Table 1", "", *system_table(results), "",
        "n/1000: one source of each validation mixture, drawn once; right if its direction is asked and its class "
        "named. Accuracy: the same on the test mixtures; of several seeds, the means, also of the "
        "limits, which do not know how much seeds differ. Core hours: of training, without validations. 95 %: "
        "Wilson's interval, were all mixtures independent; but a recording comes in many, and over recordings is the "
        "interval that knows it. "
        "All sources: not only the one that is drawn. Given direction: SSL replaced by the truth. Ceiling: SSC on the "
        "clean source, which separation can hardly exceed where SSC learnt from clean sources; one that was trained on "
        "with SSS may do better on what that separates. The paper's figures are on its own data, which is not "
        "published.", "",
        f"![{pictures['accuracy.png']}](results/accuracy.png)", "",
        "## Seed by seed", "", *seed_table(results), "",
        "p: McNemar's exact test on the same test mixtures; over recordings, a t test that takes them for what is "
        "independent.", "",
        *_variant_lines(results),
        *_comparison_lines(results, pictures),
        "## Directions, separation, events", "", *metric_table(results), "",
        "Exact set: mixtures of which just the true directions are asked. SI-SDR improvement over the sources that "
        "were found. CAPI-SDRi as in DCASE 2026, task 4; ER, F, LE and LR as in DCASE 2022 (20 degrees, segments of "
        "1 s; ER over all, the others means over classes).", "",
        "## By number of sources, room and series", "", *group_table(results), "",
        "All sources of the test mixtures; `found`: the direction was asked. The intervals are over recordings, of "
        "these rooms: they do not know how much other rooms would differ, nor that recordings of one series are alike. "
        "A series is what sounds alike: takes of one session, a drum kit, an instrument, a speaker. No recording is in "
        "two splits; a series may be.", "",
        f"![{pictures['by_sources.png']}](results/by_sources.png)", "",
        f"![{pictures['gains.png']}](results/gains.png)", "",
        f"## Classes of `{results['best']['system']}`", "", *class_lists(best), "",
        f"![{pictures['confusion_matrix.png']}](results/confusion_matrix.png)", "",
    ])  # fmt: skip


def system_table(results: dict) -> list[str]:
    """The paper's table, ours beside it."""
    head = ("system", "seeds", "paper", "n/1000", "accuracy", "95 %", "over recordings", "all sources",
            "given direction", "ceiling", "parameters", "core hours")
    return table(head, (
        (f"`{name}`", one["seeds"], percent(results["paper"].get(name)), f"{one['n_per_1000']:.0f}",
         percent(one["accuracy_test"]), _interval(one["ci95"]), _interval(one["ci95_recordings"]),
         percent(one["all_sources"]["accuracy"]), percent(one["given_direction"]), percent(one["ceiling"]),
         f"{one['parameters'] / 1e6:.2f} M", number(one["core_hours"]))
        for name, one in results["systems"].items()))


def seed_table(results: dict) -> list[str]:
    """Accuracy of each run, and its gain over cascade."""
    rows = []
    for seed in results["seeds"]:
        for name, one in seed["systems"].items():
            paired = seed["paired"].get(f"{name}_vs_cascade")
            rows.append((seed["run"], seed["seed"], f"`{name}`", f"{one['n_per_1000']:.0f}",
                         percent(one["accuracy_test"]), _interval(one["ci95_recordings"]), percent(one["ceiling"]),
                         *((_points(paired["gain"]), _p(paired["p"]), _p(paired["p_recordings"])) if paired
                           else [""] * 3)))
    return table(("run", "seed", "system", "n/1000", "accuracy", "95 %, over recordings", "ceiling", "against cascade",
                  "p", "p, over recordings"), rows)


def _variant_lines(results: dict) -> list[str]:
    rows = [(seed["run"], name, percent(one["accuracy_test"]), _interval(one["ci95_recordings"]), _points(one["gain"]),
             _p(one["p"]), _p(one["p_recordings"]), percent(one["given_direction"]), number(one["si_sdri"], " dB"))
            for seed in results["seeds"] for name, one in seed.get("variants", {}).items()]
    head = ("run", "`overlap` with", "accuracy", "95 %, over recordings", "against `overlap`", "p",
            "p, over recordings", "given direction", "SI-SDRi")
    return ["## What the parts of `overlap` are worth", "", *table(head, rows), "",
            "Its own weights without one of its parts, nothing trained for it.", ""] if rows else []


def _comparison_lines(results: dict, pictures: Mapping[str, str]) -> list[str]:
    compared = results.get("comparisons", [])
    if not compared:
        return []
    references, below = {one["against"] for one in compared}, {(one["run"], one["system"]) for one in compared}
    like = {"overlap", *(system for _, system in below)}
    first = [{"run": seed["run"], "system": name, **one} for seed in results["seeds"] if seed["run"] in references
             for name, one in seed["systems"].items() if name in like and (seed["run"], name) not in below]
    rows = [(one["run"], f"`{one['system']}`", one["mixtures"], number(one["core_hours"]), f"{one['n_per_1000']:.0f}",
             percent(one["accuracy_test"]), _interval(one["ci95_recordings"]),
             *((_points(one["gain"]), one["against"], _p(one["p"]), _p(one["p_recordings"])) if "gain" in one
               else [""] * 4),
             f"{_points(one['same']['gain'])}, {_p(one['same']['p_recordings'])}" if "same" in one else "",
             percent(one["given_direction"]), percent(one["ceiling"]), number(one["si_sdri"], " dB"))
            for one in [*first, *compared]]
    head = ("training", "system", "mixtures", "core hours", "n/1000", "accuracy", "95 %, over recordings",
            "against `overlap`", "of", "p", "p, over recordings", "against the same system of it", "given direction",
            "ceiling", "SI-SDRi")
    picture = "mixtures.png"
    shown = [f"![{pictures[picture]}](results/{picture})", ""] if picture in pictures else []
    return ["## Trained otherwise", "", *table(head, rows), "",
            "The recipes in `seld_overlap_ros/training/recipes/` say what differs. `one_sss` is `overlap` with one SSS "
            "and no gate; `scratch` is `overlap` whose networks start together from nothing. Against the same system: "
            "with p over recordings; empty where there is none, or where a training was evaluated before that was.", "",
            *shown]


def metric_table(results: dict) -> list[str]:
    """What stands beside the accuracy."""
    head = ("system", "direction F1", "precision", "recall", "exact set", "SI-SDRi", "of two", "CAPI-SDRi", "ER20",
            "F20", "LE", "LR")
    return table(head, (
        (f"`{name}`", *(percent(one["direction"][key]) for key in ("f1", "precision", "recall", "exact")),
         *(number(one[key], " dB") for key in ("si_sdri", "si_sdri_two_sources", "capi_sdri")),
         number(one["seld"]["er20"], digits=2), percent(one["seld"]["f20"]), number(one["seld"]["le_deg"], "°"),
         percent(one["seld"]["lr"]))
        for name, one in results["systems"].items()))


def group_table(results: dict) -> list[str]:
    """Accuracy and what lies behind it in groups of the test mixtures."""
    rows = []
    for name, one in results["systems"].items():
        groups = [(_of(int(k), "source"), group) for k, group in one["by_sources"].items()]
        groups += [(f"{title} ({_of(group['rooms'], 'room')})", group) for title, group in one["by_room"].items()]
        for title, group in [*groups, *one["by_series"].items()]:
            rows.append((f"`{name}`", title, group["n"], percent(group["accuracy"]),
                         _interval(group["ci95_recordings"]), percent(group["found"]),
                         percent(group["given_direction"]), percent(group["ceiling"]), number(group["si_sdri"], " dB")))
    head = ("system", "mixtures", "sources", "accuracy", "95 %, over recordings", "found", "given direction", "ceiling",
            "SI-SDRi")
    return table(head, rows)


def _of(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def class_lists(best: dict) -> list[str]:
    """Best and worst classes, and the largest confusions."""
    order = sorted(best["recall"].items(), key=lambda entry: -entry[1])
    best_named, worst_named = (", ".join(f"{label} {100 * share:.0f} %" for label, share in own)
                               for own in (order[:10], order[:-11:-1]))
    wrong = ", ".join(f"{entry['true']} as {entry['said']} ({entry['n']})" for entry in best["confusions"])
    return [f"Named most often: {best_named}.", "", f"Least often: {worst_named}.", "",
            f"Taken for another: {wrong or 'none'}."]


def _points(gain: float) -> str:
    return f"{100 * gain:+.1f} points".replace("-", "−")


def _p(p: float) -> str:
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".")


def percent(share: float | None) -> str:
    """A share for people; empty for none."""
    return "" if share is None else f"{100 * share:.1f} %"


def _interval(limits: Sequence[float]) -> str:
    return f"{100 * limits[0]:.1f} to {100 * limits[1]:.1f}"


def number(value: float | None, unit: str = "", digits: int = 1) -> str:
    """A number for people; empty for none."""
    return "" if value is None else f"{value:.{digits}f}{unit}".replace("-", "−")
