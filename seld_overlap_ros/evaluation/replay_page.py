"""The page of an `evaluate`: systems side by side, what each heard, what it lost and by what, and how it sounds.

One HTML file that needs no network. Everything on it but the sound is drawn from the JSON beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from seld_overlap_ros.bags.reading import Bag
from seld_overlap_ros.evaluation.charts import LOST_BY, confusion, histogram, losses
from seld_overlap_ros.evaluation.events import Event, printable
from seld_overlap_ros.evaluation.figures import NBSP, Scene, azimuth_name, plain, sure, timeline, timeline_axis
from seld_overlap_ros.evaluation.media import data_uri, flac, level_db, spectrogram_png
from seld_overlap_ros.evaluation.page import MIXTURE_COLOUR, PEAK, colours, filled, footer, legend, span
from seld_overlap_ros.evaluation.recording import Track
from seld_overlap_ros.evaluation.replay import Heard
from seld_overlap_ros.evaluation.replay_scores import in_order
from seld_overlap_ros.evaluation.replay_tables import (
    COLUMNS,
    COMPARED,
    NONE,
    compared,
    gain,
    in_form,
    is_known,
    is_sure,
    on_the_same,
)

BEFORE_S, AFTER_S = 0.3, 0.7  # of what is around a sound goes with it
MAX_SOUNDS = 24  # that can be listened to
MAX_LETTERS = 10_000_000  # of their pictures and players: mail and chat take such a page
LESS_IS_BETTER = ("extra", "er20", "le_deg", "delay_median_s")
INTERVALS = {"found": "found_ci95", "named": "named_ci95"}
DELAY_STEP_S, LATENCY_STEP_S = 0.25, 0.02  # of the histograms


@dataclass(frozen=True)
class Waves:
    """What a bag and what was heard of it sound like, everything from time 0 of the scene."""

    mixture: Track | None  # microphone 0
    stems: Mapping[int, Track]  # id of a true sound -> it alone
    separated: Mapping[str, Mapping[int, Track]]  # system -> id of a detection -> it alone


def waves(bags: Sequence[Bag], heard: Mapping[str, Sequence[Heard]]) -> list[Waves]:
    """The waves of each bag, and of what each system heard of it."""
    found = []
    for number, bag in enumerate(bags):
        of_bag = {name: of_system[number] for name, of_system in heard.items()}
        # one that could not hear the bag has an empty mixture
        mixture = next((one.mixture for one in of_bag.values() if one.mixture and one.mixture.chunks), None)
        found.append(Waves(mixture, bag.stems(mixture.sample_rate) if mixture else {},
                           {name: one.separated for name, one in of_bag.items()}))
    return found


def render(result: dict, waves: Sequence[Waves]) -> str:
    """The page of what `score` says, and of the waves of each bag."""
    names = [Path(bag["bag"]).name for bag in result["bags"]]
    n_systems = len(result["systems"])
    heading = f"How {n_systems} systems heard" if n_systems > 1 else f"How {next(iter(result['systems']))} heard"
    credits = dict.fromkeys(line for bag in result["bags"] for line in bag["credits"])
    return filled(
        "replay_page.html",
        title=escape(printable(f"{heading} {', '.join(names)}")),
        lead=escape(_lead(result)),
        notes=_notes(result),
        systems=_systems(result),
        lost=_lost(result),
        scenes="".join(_scene(result, number, name if len(names) > 1 else "") for number, name in enumerate(names)),
        confusion=_each(result, lambda name, one: confusion(one["confusion"], name)),
        groups="".join(_groups(result, *group) for group in (
            ("by_class", "Class", plain), ("by_direction", "Direction", lambda key: azimuth_name(_radians(key))),
            ("by_sources", "Sounds at once", plain))),
        late=_late(result),
        sounds=_sounds(result, waves),
        footer=footer(list(credits)),
    )


def _lead(result: dict) -> str:
    truth = [sound for bag in result["bags"] for sound in bag["truth"] or ()]
    seconds = sum(bag["duration_s"] for bag in result["bags"])
    n_bags, classes = len(result["bags"]), result["settings"]["classes"]
    told = f"; told that only these can occur: {classes}" if classes else ""
    return (f"{n_bags} bag{'s' if n_bags > 1 else ''}, {seconds:.0f} s of audio, {len(truth)} true sounds of "
            f"{len({sound['label'] for sound in truth})} classes; a window every {result['settings']['hop_s']:g} s"
            f"{told}.")


def _notes(result: dict) -> str:
    """What was wrong with the bags, a sentence each."""
    said = [*result["problems"], *(note for bag in result["bags"] for note in bag["notes"])]
    said += [f"{name}: {note}" for name, one in result["systems"].items() for bag in one["heard"]
             for note in bag["notes"]]
    items = "".join(f"<li>{escape(printable(sentence))}</li>" for sentence in dict.fromkeys(said))
    return f'<div class="card notes"><ul>{items}</ul></div>' if items else ""


def _systems(result: dict) -> str:
    heads = {head: column for head, column in COLUMNS.items() if is_known(result, column[0])}
    n_true = sum(len(bag["truth"] or ()) for bag in result["bags"])
    if all(one["all"]["n"] == n_true for one in result["systems"].values()):
        del heads["sounds"]  # the lead says it
    rows = []
    for name, one in result["systems"].items():
        cells = [_score(result, score, one["all"], form) for score, form in heads.values()]
        cells.append(in_form(result["run_time"][name]["times_real_time"], "{:.1f}x"))
        rows.append([f"<b>{escape(name)}</b>", *cells])
    return _table(["System", *heads, "speed"], rows) + _compared(result)


def _compared(result: dict) -> str:
    """Each two systems on the same sounds."""
    rows = []
    for (first, second), pair in compared(result).items():
        cells = [(gain(pair.get(score)).replace("-", "−"), is_sure(pair.get(score))) for score in COMPARED.values()]
        rows.append([f"{escape(first)} against {escape(second)}", *(f"<b>{escape(cell)}</b>" if sure else escape(cell)
                                                                    for cell, sure in cells)])
    return _table(["On the same sounds", *COMPARED], rows) if rows else ""


def _score(result: dict, score: str, of_system: dict, form: str) -> str:
    value = of_system[score]
    others = [one["all"][score] for one in result["systems"].values()]
    known = [other for other in others if other is not None]
    best = min(known, default=None) if score in LESS_IS_BETTER else max(known, default=None)
    shown = in_form(value, form).replace("-", "−") if value is not None else "-"
    if value is not None and len(known) > 1 and value == best and score != "n" and on_the_same(result):
        shown = f'<b class="good">{shown}</b>'
    if score in INTERVALS and of_system["n"]:
        shown += "<small>{:.2f} to {:.2f}</small>".format(*of_system[INTERVALS[score]])
    if score == "per_1000" and of_system["n_drawn"]:
        shown += f"<small>{of_system['n_drawn']} drawn</small>"
    return shown


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="card table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _lost(result: dict) -> str:
    lost = {name: one["lost"] for name, one in result["systems"].items() if one["lost"]}
    return f'<div class="card">{losses(lost)}</div>' if lost else '<p class="soft">Nothing is known about it.</p>'


def _scene(result: dict, number: int, title: str) -> str:
    """Truth and detections of one bag, system by system."""
    bag = result["bags"][number]
    truth = [Event.from_json(entry) for entry in bag["truth"] or ()]
    heard = {name: [Event.from_json(entry) for entry in one["heard"][number]["events"]]
             for name, one in result["systems"].items()}
    palette = colours(truth, *heard.values())
    length_s = bag["duration_s"] or 1.0  # of audio of which none can be heard: an empty second
    sectors = {name: math.radians(one["heard"][number]["sector_deg"]) for name, one in result["systems"].items()}
    scenes = {name: Scene(truth, events, length_s, sectors[name], palette) for name, events in heard.items()}
    plots = "".join(f"<h3>{escape(name)}</h3>" + (
        f'<div class="plot">{timeline_axis(scene)}<div class="scroll" tabindex="0" '
        f'role="region" aria-label="Timeline of {escape(name)}">{timeline(scene)}</div></div>'
        if result["systems"][name]["heard"][number]["n_windows"] else '<p class="soft">It could not be heard.</p>')
        for name, scene in scenes.items())
    heading = f"<h3>{escape(printable(title))}</h3>" if title else ""
    return f'{heading}<div class="card scene">{legend(next(iter(scenes.values())))}{plots}</div>'


def _each(result: dict, draw: Callable[[str, dict], str]) -> str:
    """A picture for each system, beside each other where there is room."""
    return '<div class="side wide">' + "".join(
        f'<div class="card"><h3>{escape(name)}</h3><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(name)}">{draw(name, one)}</div></div>'
        for name, one in result["systems"].items()) + "</div>"


def _groups(result: dict, key: str, head: str, in_words: Callable[[str], str]) -> str:
    """What became of each group of sounds; of how many, where that is not the same for all systems."""
    of_systems, same = [one[key] for one in result["systems"].values()], on_the_same(result)
    rows = []
    for group in sorted({group for groups in of_systems for group in groups}, key=in_order):
        counts = [groups.get(group, NONE) for groups in of_systems]
        n = [str(counts[0]["n"])] if same else []
        rows.append([in_words(group), *n, *(_counts(one, same) for one in counts)])
    return _table([head, *(["sounds"] if same else []), *map(escape, result["systems"])], rows)


def _counts(one: dict, same: bool) -> str:
    of_how_many = "" if same else f" of {one['n']}"
    parts = [f"{one['named']} named, {one['found']} found{of_how_many}"] if one["n"] else []
    parts += [f"{one['extra']} extra"] if one["extra"] else []
    parts += [_decibels(one["si_sdri"])] if one["si_sdri"] is not None else []
    found, named = (100 * one[what] / max(one["n"], 1) for what in ("found", "named"))
    bar = f'<span class="meter" aria-hidden="true"><i class="half" style="width:{found:.0f}%"><i style="width:' \
          f'{100 * named / found if found else 0:.0f}%"></i></i></span>' if one["n"] else ""
    return f"<small>{', '.join(parts) or 'nothing'}</small>{bar}"


def _decibels(gain: float) -> str:
    """'+1.2 dB'; '+0.0 dB' for all that rounds to it."""
    return f"{round(gain, 1) + 0.0:+.1f}{NBSP}dB".replace("-", "−")


def _radians(degrees: str) -> float:
    return math.radians(float(degrees))


def _late(result: dict) -> str:
    parts = []
    for title, step_s, times in (
        ("From the onset of a sound to the end of the window that reports it first", DELAY_STEP_S,
         {name: one["delays_s"] for name, one in result["systems"].items()}),
        ("Live: from the last sample of a window to what was said of it", LATENCY_STEP_S,
         {name: one["latency_s"] for name, one in result["run_time"].items()}),
    ):
        pictures = "".join(f'<div class="card"><h3>{escape(name)}</h3>{histogram(values, step_s, escape(name))}</div>'
                           for name, values in times.items() if values)
        parts.append(f'<p class="soft">{title}.</p><div class="side">{pictures}</div>' if pictures else "")
    return "".join(parts) + _live(result) or '<p class="soft">Nothing was found.</p>'


def _live(result: dict) -> str:
    """How the graphs did to which the bags were played; empty if there was none."""
    rows = []
    for name, runs in result.get("live", {}).items():
        for bag, run in zip(result["bags"], runs, strict=True):
            rows.append([escape(name), escape(printable(Path(bag["bag"]).name)), *_of_run(run)])
    heads = ["system", "bag", "windows heard", "latency: median, 95 %", "real-time factor", "as offline"]
    return f'<p class="soft">What came of it.</p>{_table(heads, rows)}' if rows else ""


def _of_run(run: dict | None) -> list[str]:
    if run is None:
        return ["none", "-", "-", "-"]
    late = ", ".join(in_form(run[key], "{:.2f} s") for key in ("latency_median_s", "latency_p95_s"))
    busy = in_form(max(run["factors"].values(), default=None), "{:.2f}")
    differences = "<br>".join(map(escape, run["differences"]))
    return [f"{run['n_heard']} of {run['n_expected']}", late, busy, f"no: {differences}" if differences else "yes"]


def _sounds(result: dict, waves: Sequence[Waves]) -> str:
    """As many true sounds as there is room for, those first on which the systems differ."""
    shown, letters = {}, 0
    heard = [(number, sound) for number, sound in _true_sounds(result) if waves[number].mixture is not None]
    for number, sound in sorted(heard, key=lambda one: _interest(result, *one))[:MAX_SOUNDS]:
        card = _card(result, number, sound, waves[number])
        if letters + len(card) <= MAX_LETTERS:  # shorter ones may fit that come after a long one
            shown[number, sound] = card
            letters += len(card)
    n_left_out = sum(1 for _ in _true_sounds(result)) - len(shown)
    note = f'<p class="soft">{n_left_out} more are not shown here.</p>' if n_left_out else ""
    return "".join(shown[key] for key in sorted(shown)) + note


def _true_sounds(result: dict) -> Iterator[tuple[int, int]]:
    """Number of the bag, and of the sound in it, by onset."""
    for number, bag in enumerate(result["bags"]):
        if _hearers(result, number):
            yield from ((number, sound) for sound in range(len(bag["truth"] or ())))


def _hearers(result: dict, number: int) -> list[str]:
    """The systems that are scored on a bag."""
    return [name for name, one in result["systems"].items() if one["heard"][number]["sounds"]]


def _interest(result: dict, number: int, sound: int) -> tuple[int, int, int]:
    """First what some systems named and others did not, then what none named."""
    named = {_is_named(result, name, number, sound) for name in _hearers(result, number)}
    return (0 if len(named) > 1 else 2 if True in named else 1), number, sound


def _found_as(result: dict, name: str, number: int, sound: int) -> Event | None:
    heard = result["systems"][name]["heard"][number]
    found_as = heard["sounds"][sound]["found_as"]
    return next((Event.from_json(entry) for entry in heard["events"] if entry["id"] == found_as), None)


def _is_named(result: dict, name: str, number: int, sound: int) -> bool:
    found = _found_as(result, name, number, sound)
    return found is not None and found.label == result["bags"][number]["truth"][sound]["label"]


def _card(result: dict, number: int, sound: int, waves: Waves) -> str:
    """One true sound: the mixture, the sound alone, and what each system took for it."""
    bag = result["bags"][number]
    true = Event.from_json(bag["truth"][sound])
    from_s, to_s = max(0.0, true.onset_s - BEFORE_S), min(true.end_s + AFTER_S, bag["duration_s"])
    takes = [("mixture", "", waves.mixture, MIXTURE_COLOUR)]
    takes += [("true sound alone", "", waves.stems[true.id], "#2b8a3e")] if true.id in waves.stems else []
    for name in _hearers(result, number):
        found = _found_as(result, name, number, sound)
        track = waves.separated.get(name, {}).get(found.id) if found else None
        takes.append((name, _verdict(result, name, number, sound, found), track, "#2f7ed8"))
    cut = [(title, about, _part(track, from_s, to_s), track, colour) for title, about, track, colour in takes]
    gain = PEAK / max(np.abs(samples).max(initial=1e-6) for _, _, samples, _, _ in cut if samples is not None)
    top_db = float(level_db(cut[0][2]).max())
    players = "".join(_take(title, about, samples, track, colour, gain, top_db)
                      for title, about, samples, track, colour in cut)
    where = f"{escape(printable(Path(bag['bag']).name))}, " if len(result["bags"]) > 1 else ""
    return (f'<section class="card source"><header><h3>{sound + 1} {plain(true.label)}</h3>'
            f"<span>{where}{azimuth_name(true.azimuth)}, {span(true)}</span></header>"
            f'<div class="takes">{players}</div></section>')


def _part(track: Track | None, from_s: float, to_s: float) -> np.ndarray | None:
    return track.between(*(round(at * track.sample_rate) for at in (from_s, to_s))) if track else None


def _verdict(result: dict, name: str, number: int, sound: int, found: Event | None) -> str:
    about = result["systems"][name]["heard"][number]["sounds"][sound]
    gain = "" if about["si_sdri"] is None else f" {_decibels(about['si_sdri'])}"
    why = "" if about["lost"] in (None, "named") else f'<small>{LOST_BY[about["lost"]][1]}</small>'
    if found is None:
        return f'<span class="verdict bad">✗ not found</span>{why}'
    if _is_named(result, name, number, sound):
        return f'<span class="verdict good">✓ named{sure(found)}</span>{gain}'
    return f'<span class="verdict partly">◐ {plain(found.label)}{sure(found)}</span>{gain}{why}'


def _take(title: str, about: str, samples: np.ndarray | None, track: Track | None, colour: str, gain: float,
          top_db: float) -> str:
    heading = f'<h4>{escape(title)}</h4><p>{about}</p>'
    if samples is None:
        return f'<div class="take">{heading}</div>'
    picture = data_uri(spectrogram_png(samples, top_db, colour), "image/png")
    sound = data_uri(flac(gain * samples, track.sample_rate), "audio/flac")
    return (f'<div class="take">{heading}<div class="picture"><img alt="Spectrogram: {escape(title)}" src="{picture}">'
            f'<div class="cursor"></div></div><audio controls preload="metadata" aria-label="Play {escape(title)}" '
            f'src="{sound}"></audio></div>')
