"""Counts as pictures in a page: what sounds were lost by, what was called what, and how late. Fonts are the page's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from seld_overlap_ros.evaluation import events
from seld_overlap_ros.evaluation.figures import TEXT_WIDTH, svg
from seld_overlap_ros.evaluation.replay_budget import NAMED

LOST_BY = {  # as in replay_budget.py -> colour, and in words
    NAMED: ("#2b8a3e", "named"),
    "tracks": ("#0c8599", "tracks: named in its window, not as an event"),
    "class": ("#ae3ec9", "SSC: the clean sound is misnamed too"),
    "separation": ("#e8590c", "SSS: the clean sound is named, the separated one is not"),
    "class or separation": ("#b07d00", "SSC or SSS: no clean sound in the bag to tell"),
    "direction": ("#5f7fa8", "SSL: its direction was not asked"),
}
NOT_FOUND, NOTHING = "not found", "nothing there"
CELL, SMALL_CELL, MANY = 26, 14, 16  # [px], [px], and the number of classes from which cells are small
BARS, BAR_WIDTH, BAR_HEIGHT = 24, 13, 96  # of a histogram


def losses(lost: Mapping[str, Mapping[str, int]]) -> str:
    """A bar for each system: how many sounds it named, and what it lost the others by."""
    known = [reason for reason in LOST_BY if any(of_system.get(reason) for of_system in lost.values())]
    items = "".join(f'<li><i class="chip" style="--c:{LOST_BY[reason][0]}"></i>{LOST_BY[reason][1]}</li>'
                    for reason in known)
    rows = "".join(f'<div class="who">{escape(name)}</div><div class="bar">{_parts(of_system)}</div>'
                   for name, of_system in lost.items())
    return f'<ul class="legend">{items}</ul><div class="losses">{rows}</div>'


def _parts(lost: Mapping[str, int]) -> str:
    return "".join(
        f'<i style="flex:{lost[reason]};background:{colour}" title="{lost[reason]}: {words}">{lost[reason]}</i>'
        for reason, (colour, words) in LOST_BY.items() if lost.get(reason))


def confusion(counts: Sequence[dict], name: str) -> str:
    """True classes in rows, what they were called in columns; at the end what was not found, and not there."""
    n = {(NOTHING if one["true"] is None else one["true"], NOT_FOUND if one["said"] is None else one["said"]): one["n"]
         for one in counts}
    classes = {true for true, _ in n} - {NOTHING}
    rows = _names(classes, [true for true, _ in n], NOTHING)
    columns = _names(classes, [said for _, said in n], NOT_FOUND)
    cell = CELL if max(len(rows), len(columns)) < MANY else SMALL_CELL
    left, top = (10 + TEXT_WIDTH * max((len(events.plain(one)) for one in names), default=0)
                 for names in (rows, columns))
    parts = [f'<text class="tick end" x="{left - 6:.0f}" y="{top + (i + 0.5) * cell:.0f}">{_plain(true)}</text>'
             for i, true in enumerate(rows)]
    parts += [f'<text class="tick" transform="translate({left + (j + 0.5) * cell:.0f} {top - 6:.0f}) rotate(-90)">'
              f"{_plain(said)}</text>" for j, said in enumerate(columns)]
    for i, true in enumerate(rows):
        of_row = sum(n.get((true, said), 0) for said in columns)
        for j, said in enumerate(columns):
            parts.append(_cell(left + j * cell, top + i * cell, cell, n.get((true, said), 0), of_row, true, said))
    width, height = left + len(columns) * cell + 2, top + len(rows) * cell + 2
    return svg(width, height, "confusion", f"What {name} called each class.", "".join(parts))


def _names(classes: set[str], named: Sequence[str], last: str) -> list[str]:
    return sorted(classes | set(named) - {last}) + ([last] if last in named else [])


def _plain(name: str) -> str:
    return escape(events.plain(name))


def _cell(x: float, y: float, size: int, n: int, of_row: int, true: str, said: str) -> str:
    kind = "right" if true == said else "wrong"
    box = f'<rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{size - 1}" height="{size - 1}" rx="3" '
    if not n:
        return f'{box}fill-opacity="0.06"/>'
    number = f'<text class="number" x="{x + size / 2:.0f}" y="{y + size / 2:.0f}">{n}</text>' if size == CELL else ""
    opacity = 0.15 + 0.45 * n / of_row
    return f'<g><title>{_plain(true)}: {n} times {_plain(said)}</title>{box}fill-opacity="{opacity:.2f}"/>{number}</g>'


def histogram(values_s: Sequence[float], step_s: float, name: str) -> str:
    """How many of some times [s] fall into each step; what lies beyond is in the last."""
    counts = np.bincount(np.minimum((np.array(values_s) / step_s).astype(int), BARS - 1), minlength=BARS)
    tall = BAR_HEIGHT / max(counts.max(), 1)
    width = BARS * BAR_WIDTH
    parts = [f'<rect class="band" width="{width}" height="{BAR_HEIGHT}" y="14"/>']
    parts += [f'<g><title>{n} from {k * step_s:g} to {(k + 1) * step_s:g} s</title><rect class="count" '
              f'x="{k * BAR_WIDTH + 1}" y="{14 + BAR_HEIGHT - n * tall:.1f}" width="{BAR_WIDTH - 2}" '
              f'height="{n * tall:.1f}"/></g>' for k, n in enumerate(counts.tolist()) if n]
    median = float(np.median(values_s))
    x = min(median / step_s, BARS - 0.5) * BAR_WIDTH
    parts.append(f'<line class="median" x1="{x:.1f}" x2="{x:.1f}" y1="14" y2="{14 + BAR_HEIGHT}"/>'
                 f'<text class="tick {"end" if x > width / 2 else ""}" x="{x:.1f}" y="6">median {median:.2f} s</text>')
    parts += [f'<text class="tick {"start" if k == 0 else "end" if k == BARS else "middle"}" x="{k * BAR_WIDTH}" '
              f'y="{28 + BAR_HEIGHT}">{k * step_s:g} s{"" if k < BARS else " and more"}</text>'
              for k in (0, BARS // 3, BARS)]  # the last is long
    return svg(width, BAR_HEIGHT + 36, "histogram", f"{name}: {len(values_s)} times, median {median:.2f} s.",
               "".join(parts))
