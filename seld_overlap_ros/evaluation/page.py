"""The page that shows what was played, what was heard, and lets one listen: one HTML file that needs no network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from importlib import resources
from string import Template

import numpy as np

from seld_overlap_ros.evaluation.events import Event, wrap
from seld_overlap_ros.evaluation.figures import (
    NBSP,
    Scene,
    azimuth_name,
    plain,
    polar,
    sure,
    time_ticks,
    timeline,
    timeline_axis,
)
from seld_overlap_ros.evaluation.matching import Matching, match
from seld_overlap_ros.evaluation.media import data_uri, flac, level_db, spectrogram_png

# Each has a contrast above 3 against both the light and the dark card.
COLOURS = ("#2f7ed8", "#e8590c", "#2b8a3e", "#ae3ec9", "#b07d00", "#0c8599", "#d6336c", "#7048e8", "#5c940d", "#8d6e63",
           "#e03131", "#5f7fa8", "#9c6b30", "#a8547c")
MIXTURE_COLOUR = "#7c8796"
MAX_PLAYERS = 24  # with more, the page would grow beyond what a browser opens at once
TO = "\N{EN DASH}\N{WORD JOINER}"  # else a narrow column breaks the line after the dash
PEAK = 0.9  # of full scale, for the loudest sample of all players


@dataclass(frozen=True)
class Report:
    """Everything that the page shows. Every waveform begins at time 0 of the scene."""

    title: str
    lead: str  # one sentence: what was played
    mixture: np.ndarray  # (N,) microphone 0
    sample_rate: int  # [Hz]
    truth: Sequence[Event]
    detections: Sequence[Event]
    separated: Mapping[int, np.ndarray]  # id of a detection -> its waveform (N',)
    resolution: float = math.pi / 4  # width of a direction sector [rad]
    credits: Sequence[str] = ()  # sources and licences of the sounds

    @cached_property
    def scene(self) -> Scene:
        """What the figures show, everything by onset."""
        truth, heard = (sorted(es, key=lambda e: (e.onset_s, e.id)) for es in (self.truth, self.detections))
        return Scene(truth, heard, len(self.mixture) / self.sample_rate, self.resolution, colours(truth, heard))

    @cached_property
    def matching(self) -> Matching:
        """Truth against detections, within half a sector."""
        return match(self.scene.truth, self.scene.detections, self.resolution / 2)

    @cached_property
    def gain(self) -> float:
        """One volume for all players, so that their levels compare."""
        peak = max(np.abs(samples).max(initial=0.0) for samples in (self.mixture, *self.separated.values()))
        return float(PEAK / peak) if peak else 1.0


def render(report: Report) -> str:
    """The page as HTML. Raises ValueError if there is no mixture to show."""
    if not report.mixture.size:
        raise ValueError("page: the mixture holds no samples, so there is nothing to show")
    return filled(
        "page.html",
        title=escape(report.title),
        lead=escape(report.lead),
        summary=_summary(report),
        legend=legend(report.scene),
        timeline_axis=timeline_axis(report.scene),
        timeline=timeline(report.scene),
        polar=polar(report.scene),
        table=_table(report),
        listen=_listen(report),
        sources=_sources(report),
        footer=footer(report.credits),
    )


def filled(template: str, **parts: str) -> str:
    """A page from one of the templates here; all have one style."""
    texts = {name: resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
             for name in (template, "page.css")}
    return Template(texts[template]).substitute(style=texts["page.css"], **parts)


def colours(*events: Sequence[Event]) -> dict[str | None, str]:
    """A colour for each label; they come again when there are many."""
    labels = dict.fromkeys(event.label for of_one in events for event in of_one)
    return {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(labels)}


def _summary(report: Report) -> str:
    n_true, found, named = report.matching.n_true, len(report.matching.pairs), len(report.matching.named)
    extra = len(report.matching.extra)
    if not n_true:
        return _tiles(f"<b>{extra}</b><p>sounds heard; there is no truth to hold them against</p>")
    return _tiles(
        f"<b>{found} <small>of {n_true}</small></b><p>found: right direction, right time</p>"
        f"{_meter(found / n_true, '')}",
        f"<b>{named} <small>of {n_true}</small></b><p>found and named right</p>{_meter(named / n_true, 'half')}",
        f"<b>{extra}</b><p>heard, but not there</p>",
    )


def _tiles(*contents: str) -> str:
    return f'<div class="tiles">{"".join(f"""<div class="card">{content}</div>""" for content in contents)}</div>'


def _meter(share: float, kind: str) -> str:
    return f'<span class="meter" aria-hidden="true"><i class="{kind}" style="width:{100 * share:.1f}%"></i></span>'


def legend(scene: Scene) -> str:
    """What boxes and colours mean."""
    items = ['<i class="box"></i>truth', '<i class="box filled"></i>heard']
    items += [f"{chip(scene.colours[label])}{plain(label)}" for label in scene.colours]
    return f'<ul class="legend">{"".join(f"<li>{item}</li>" for item in items)}</ul>'


def chip(colour: str) -> str:
    """A small square of a colour."""
    return f'<i class="chip" style="--c:{colour}"></i>'


def _cell(scene: Scene, event: Event, before: str = "", after: str = "") -> str:
    return (
        f'<span class="name">{chip(scene.colours[event.label])}<span>{before}{plain(event.label)}{after}</span></span>'
        f"<small>{azimuth_name(event.azimuth)}, {span(event)}</small>"
    )


def span(event: Event) -> str:
    """From when to when."""
    return f"{event.onset_s:.1f}{TO}{event.end_s:.1f}{NBSP}s"


def _table(report: Report) -> str:
    scene, heard = report.scene, dict(report.matching.pairs)
    rows = []
    for number, true in enumerate(scene.truth, 1):
        detected = heard.get(true)
        cell = _cell(scene, detected, after=sure(detected)) if detected else "nothing"
        rows.append((_cell(scene, true, before=f"{number} "), cell, _verdict(true, detected)))
    rows += [("nothing", _cell(scene, e, after=sure(e)), _verdict(None, e)) for e in report.matching.extra]
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    head = "".join(f'<th scope="col">{name}</th>' for name in ("True sound", "Heard", "Verdict"))
    return f'<div class="card table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _verdict(true: Event | None, detected: Event | None) -> str:
    """Verdict on a pair, on a true sound alone (missed) or on a detection alone (extra)."""
    if true is None:
        return '<span class="verdict bad">✗ not there</span>'
    if detected is None:
        return '<span class="verdict bad">✗ missed</span>'
    off = f"<small>{abs(math.degrees(wrap(true.azimuth - detected.azimuth))):.0f}° off</small>"
    if detected.label is None:
        return f'<span class="verdict partly">◐ found, class unknown</span>{off}'
    if true.label != detected.label:
        return f'<span class="verdict partly">◐ found, misnamed</span>{off}'
    return f'<span class="verdict good">✓ found, named</span>{off}'


def _shown(report: Report) -> list[Event]:
    """Detections that get a player: those that belong to a true sound, then the longest."""
    paired = {detected.id for _, detected in report.matching.pairs}
    heard = [event for event in report.scene.detections if event.id in report.separated]
    best = sorted(heard, key=lambda event: (event.id not in paired, -event.duration_s))[:MAX_PLAYERS]
    return sorted(best, key=lambda event: (event.onset_s, event.id))


def _listen(report: Report) -> str:
    left_out = len(report.separated) - len(_shown(report))
    return (
        "First the mixture at one microphone, then each sound alone, as that microphone would have heard it. "
        "All share one volume and one time axis; a click into a picture plays from there."
        + (f" {left_out} more are not shown here." if left_out else "")
    )


def _sources(report: Report) -> str:
    scene, truth = report.scene, {detected.id: true for true, detected in report.matching.pairs}
    top_db = float(level_db(report.mixture).max())
    cards = [_source(report, "<h3>Mixture</h3>", "the mixture", report.mixture, MIXTURE_COLOUR, top_db)]
    for event in _shown(report):
        true = truth.get(event.id)
        said = f", in truth {plain(true.label)}" if true and true.label != event.label else ""
        heading = (
            f'<h3 class="name">{chip(scene.colours[event.label])}<span>{plain(event.label)}{sure(event)}</span></h3>'
            f"<span>{azimuth_name(event.azimuth)}, {span(event)}</span>"
            f'<span class="soft">{_verdict(true, event).split("<small>")[0]}{said}</span>'
        )
        name = f"the separated {plain(event.label)}, {azimuth_name(event.azimuth)}"
        samples = report.separated[event.id][: len(report.mixture)]
        samples = np.pad(samples, (0, len(report.mixture) - len(samples)))
        cards.append(_source(report, heading, name, samples, scene.colours[event.label], top_db))
    return "".join(cards)


def _source(report: Report, heading: str, name: str, samples: np.ndarray, colour: str, top_db: float) -> str:
    picture = data_uri(spectrogram_png(samples, top_db, colour), "image/png")
    sound = data_uri(flac(samples * report.gain, report.sample_rate), "audio/flac")
    return (
        f'<section class="card source"><header>{heading}</header><div class="spectrogram">'
        f'<div class="scale" aria-hidden="true"><span>{report.sample_rate / 2000:g} kHz</span>'
        f'<span style="top:50%">{report.sample_rate / 4000:g}</span><span style="top:100%">0</span></div>'
        f'<div class="picture"><img alt="Spectrogram of {name}" src="{picture}"><div class="cursor"></div></div>'
        f"{_time_scale(report.scene.duration_s)}</div>"
        f'<audio controls preload="metadata" aria-label="Play {name}" src="{sound}"></audio></section>'
    )


def _time_scale(duration_s: float) -> str:
    ticks = [(second, 100 * second / duration_s) for second in time_ticks(duration_s, 6)]
    marks = [
        f'<span{" class=last" if share > 97 else ""} style="left:{share:.2f}%">{second} s</span>'
        for second, share in ticks
    ]
    return f'<div class="time" aria-hidden="true">{"".join(marks)}</div>'


def footer(credits: Sequence[str]) -> str:
    """Sources and licences of the sounds."""
    if not credits:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in credits)
    return f'<footer class="soft"><h2>Sounds</h2><ul>{items}</ul></footer>'
