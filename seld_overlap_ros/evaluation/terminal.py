"""Sounds as a terminal shows them: live (a table that moves, or lines where nothing can), and against the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from seld_overlap_ros.evaluation.events import Event, plain, wrap
from seld_overlap_ros.evaluation.figures import azimuth_name
from seld_overlap_ros.evaluation.matching import Matching

ARROWS = "↑↖←↙↓↘→↗"  # counter-clockwise from the front, which is up
N_ROWS = 12
STILL_S = 0.3  # a sound that ended less than this before the latest sample still sounds, for all that is known


def arrow(azimuth: float) -> str:
    """The arrow that points to an azimuth [rad], seen from above with the front up."""
    return ARROWS[round(wrap(azimuth) / (math.pi / 4)) % len(ARROWS)]


def place(event: Event) -> str:
    """'← left 90°'."""
    return f"{arrow(event.azimuth)} {azimuth_name(event.azimuth)}"


def sure(event: Event) -> str:
    """How likely its label is, '70 %'; of an unknown sound, nothing."""
    return "" if event.label is None else f"{100 * event.score:.0f} %"


def line(event: Event, what: str) -> str:
    """One event as one line; `what` has happened to it."""
    return (f"{event.onset_s:6.1f} s  #{event.id:<3} {what:<6} {place(event):<12} "
            f"{plain(event.label)} {sure(event)}").rstrip()


def table(events: Sequence[Event], now_s: float) -> Table:
    """The latest N_ROWS of the events by onset, those bold that still sound at now_s [s]."""
    rows = Table(box=None, header_style="dim", pad_edge=False)
    for head, justify in (("", "left"), ("#", "right"), ("from", "right"), ("for", "right"), ("where", "left"),
                          ("what", "left"), ("sure", "right")):
        # a width from the start for what grows, else the table jumps
        rows.add_column(head, justify=justify, no_wrap=True, min_width={"where": 13, "what": 16}.get(head))
    for event in sorted(events, key=lambda event: (event.onset_s, event.id))[-N_ROWS:]:
        sounding = event.end_s > now_s - STILL_S
        rows.add_row(
            Text("●" if sounding else " ", "green"), str(event.id), f"{event.onset_s:.1f} s",
            f"{event.duration_s:.1f} s", place(event), _name(event), sure(event),
            style="bold" if sounding else "",
        )
    rows.caption, rows.caption_justify = f"listened to {now_s:.1f} s", "left"
    return rows


def summary(matching: Matching) -> Table:
    """Truth beside what was heard, with a verdict on each, in order of onset; at the end what was not there."""
    rows = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))  # so that it fits into 80 columns
    for head in ("from", "true sound", "", "heard as", "", "sure", ""):
        rows.add_column(head, no_wrap=True, justify="right" if head in ("from", "sure") else "left")
    pairs = [*matching.pairs, *((true, None) for true in matching.missed), *((None, e) for e in matching.extra)]
    pairs.sort(key=lambda pair: (pair[0] is None, (pair[0] or pair[1]).onset_s))
    for true, heard in pairs:
        cells = [_name(true), place(true)] if true else ["", ""]
        cells += [_name(heard), place(heard), sure(heard)] if heard else ["", "", ""]
        rows.add_row(f"{(true or heard).onset_s:.1f} s", *cells, _verdict(true, heard))
    return rows


def _name(event: Event) -> Text:
    """Its label as it is: in a plain str of a table, [/x] would be rich's markup."""
    return Text(plain(event.label))


def _verdict(true: Event | None, heard: Event | None) -> Text:
    if true is None:
        return Text("not there", "red")
    if heard is None:
        return Text("missed", "red")
    if heard.label is None:
        return Text("found, unknown", "yellow")
    return Text("found, named", "green") if true.label == heard.label else Text("found, misnamed", "yellow")


def in_words(matching: Matching) -> str:
    """'found 7 of 8, named 6 of 8, 2 heard that were not there'."""
    of = f"of {matching.n_true}"
    return (f"found {len(matching.pairs)} {of}, named {len(matching.named)} {of}, "
            f"{len(matching.extra)} heard that were not there")


class Display:
    """Shows events as they come, until it is closed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._shown: dict[int, str | None] = {}  # id -> label as it was last shown

    def show(self, events: Sequence[Event], now_s: float) -> None:
        """The latest events, all of this window among them, and the time up to which was listened [s], by the scene."""
        if self._live:
            self._live.start()  # does nothing from the second time on
            self._live.update(table(events, now_s), refresh=True)
            return
        for event in events:
            what = "is now" if event.id in self._shown else "new"
            if what == "new" or self._shown[event.id] != event.label:
                self._console.print(line(event, what), highlight=False, markup=False)
            self._shown[event.id] = event.label

    def close(self) -> None:
        """Leave the terminal as it was, the last table in it."""
        if self._live:
            self._live.stop()
