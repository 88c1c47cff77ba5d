"""What `seld-overlap evaluate` says in a terminal."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table

from seld_overlap_ros.evaluation.events import plain as in_words

SURE = 0.05  # p of a paired test below which a difference stands out
COLUMNS = {  # head -> score, and its form
    "sounds": ("n", "{}"), "found": ("found", "{:.3f}"), "named": ("named", "{:.3f}"),
    "of 1000": ("per_1000", "{:.0f}"), "extra": ("extra", "{}"), "ER20": ("er20", "{:.3f}"), "F20": ("f20", "{:.3f}"),
    "LE": ("le_deg", "{:.1f}°"), "LR": ("lr", "{:.3f}"), "delay": ("delay_median_s", "{:.2f} s"),
    "SI-SDRi": ("si_sdri", "{:.1f} dB"), "CAPI": ("capi_sdri", "{:.1f} dB"),
}
NONE = {"n": 0, "found": 0, "named": 0, "extra": 0, "si_sdri": None}  # of a group that a system heard nothing of
COMPARED = {"found": "found", "named": "named", "SI-SDRi": "si_sdri"}  # head -> score


def tables(result: dict) -> Group:
    """What an `evaluate` says, for a terminal."""
    parts = [_systems_table(result), "", _classes_table(result)]
    return Group(*parts, *(["", _compared_table(result)] if result["compared"] else []))


def compared(result: dict) -> dict[tuple[str, str], dict[str, dict]]:
    """By two systems, the first against the second, and by score, how they compare."""
    pairs = {}
    for pair in result["compared"]:
        pairs.setdefault((pair["first"], pair["second"]), {})[pair["score"]] = pair
    return pairs


def gain(pair: dict | None) -> str:
    """How much more the first has, and how likely that is by chance."""
    if pair is None:
        return "-"
    form, digits = ("{:+.1f} dB", 1) if pair["score"] == "si_sdri" else ("{:+.3f}", 3)
    chance = "p < 0.001" if pair["p"] < 0.001 else f"p = {pair['p']:.3f}"
    return f"{form.format(round(pair['gain'], digits) + 0.0)}, {chance}"  # + 0.0: no "-0.0"


def is_sure(pair: dict | None) -> bool:
    """Whether a difference is hardly chance."""
    return pair is not None and pair["p"] < SURE


def _systems_table(result: dict) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    shown = {head: column for head, column in COLUMNS.items() if is_known(result, column[0])}
    for number, head in enumerate(("system", *shown, "speed")):
        table.add_column(head, justify="right" if number else "left", no_wrap=bool(number), overflow="fold")
    for name, of_system in result["systems"].items():
        cells = [in_form(of_system["all"][score], form) for score, form in shown.values()]
        table.add_row(name, *cells, in_form(result["run_time"][name]["times_real_time"], "{:.1f}x"))
    return table


def is_known(result: dict, score: str) -> bool:
    """Whether any system has a value; without stems there is none for separation."""
    return score == "n" or any(of_system["all"][score] is not None for of_system in result["systems"].values())


def _classes_table(result: dict) -> Table:
    """How many of each class were found and named by each system; of how many, where that is not the same for all."""
    table, same = Table(box=None, header_style="dim", pad_edge=False), on_the_same(result)
    table.add_column("class", no_wrap=True)
    if same:
        table.add_column("sounds", justify="right")
    for name in result["systems"]:
        table.add_column(f"{name}: found, named", justify="right")
    of_systems = [of_system["by_class"] for of_system in result["systems"].values()]
    for label in sorted({label for classes in of_systems for label, counts in classes.items() if counts["n"]}):
        counts = [classes.get(label, NONE) for classes in of_systems]
        cells = [f"{one['found']}, {one['named']}" + ("" if same else f" of {one['n']}") for one in counts]
        table.add_row(in_words(label), *([str(counts[0]["n"])] if same else []), *cells)
    return table


def on_the_same(result: dict) -> bool:
    """Whether all systems are scored on the same bags."""
    return len({tuple(bag["bag"] for bag in one["by_bag"]) for one in result["systems"].values()}) == 1


def _compared_table(result: dict) -> Table:
    """Each two systems on the same sounds: McNemar's test of what they found and named, Wilcoxon's of the gains."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for head in ("the first against the second", *COMPARED):
        table.add_column(head, no_wrap=True)
    for (first, second), pair in compared(result).items():
        cells = [(gain(pair.get(score)), is_sure(pair.get(score))) for score in COMPARED.values()]
        table.add_row(f"{first}, {second}", *(f"{cell} *" if sure else cell for cell, sure in cells))
    return table


def in_form(value: float | None, form: str) -> str:
    """A score for people; "-" where there is none."""
    return "-" if value is None else form.format(value)
