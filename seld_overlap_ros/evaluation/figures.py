"""Truth and detections as SVG: over time and azimuth, and as seen from above. Colours and fonts are the page's.

Truth is an outlined box at its exact azimuth, a detection a filled box as wide as its direction sector. Both carry
the CSS variable --c, the colour of their class; the line or ring of class `playhead` follows the variable --t, the
played share of the scene.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from seld_overlap_ros.evaluation import events
from seld_overlap_ros.evaluation.events import Event, wrap

NBSP = "\N{NO-BREAK SPACE}"
NAMES = {0: "front", 90: "left", 180: "back", -90: "right"}
PIXELS_PER_S = 50
PLOT_HEIGHT = 456  # of the whole circle [px]
AXIS_HEIGHT = 26  # of the time axis [px]
TEXT_WIDTH = 6.4  # of one letter of a label, about [px]
TRUTH_HEIGHT = 19  # [px]
ROBOT_RADIUS = 30.0  # [px]
RADIUS = 200.0  # of the end of the scene [px]


@dataclass(frozen=True)
class Scene:
    """What a figure shows."""

    truth: Sequence[Event]
    detections: Sequence[Event]
    duration_s: float
    resolution: float  # width of a direction sector [rad]
    colours: Mapping[str | None, str]  # label -> "#rrggbb"

    @property
    def sectors(self) -> list[float]:
        """Centre of each sector [rad], counter-clockwise; the one that holds the back, if one does, is the last."""
        return [self.bottom + (k + 0.5) * self.resolution for k in range(self._n_sectors)]

    @property
    def bottom(self) -> float:
        """Where the azimuth axis begins [rad]: at the border next to the back, so that no sector is cut in two."""
        return -((self._n_sectors - 1) // 2 + 0.5) * self.resolution

    @property
    def _n_sectors(self) -> int:
        return round(2 * math.pi / self.resolution)


def plain(label: str | None) -> str:
    """A label as a page shows it, escaped."""
    return escape(events.plain(label))


def sure(event: Event) -> str:
    """How likely its label is, ' 35 %'; of an unknown sound, nothing."""
    return "" if event.label is None else f" {100 * event.score:.0f}{NBSP}%"


def azimuth_name(azimuth: float) -> str:
    """'left 90°', '−45°': degrees, with a word where there is one. [rad]"""
    degrees = round(math.degrees(wrap(azimuth)))
    degrees = 180 if degrees == -180 else degrees
    number = f"{degrees}°".replace("-", "−")
    return f"{NAMES[degrees]} {number}" if degrees in NAMES else number


def plot_width(duration_s: float) -> float:
    """Width of the timeline [px]."""
    return min(max(duration_s * PIXELS_PER_S, 1000), 12000)


def time_ticks(duration_s: float, n_wanted: int = 11) -> list[int]:
    """Whole seconds to mark on an axis of this length, 0 included."""
    step = next((s for s in (1, 2, 5, 10, 20, 30, 60, 120, 300) if duration_s / s <= n_wanted), 600)
    return list(range(0, int(duration_s) + 1, step))


def timeline_axis(scene: Scene) -> str:
    """The azimuth axis, a picture of its own so that it stays in view when the timeline scrolls."""
    marks = [
        f'<text x="76" y="{_y(scene, sector):.1f}" class="tick end">{azimuth_name(sector)}</text>'
        for sector in scene.sectors
    ]
    return svg(84, PLOT_HEIGHT + AXIS_HEIGHT, "axis", "", "".join(marks), hidden=True)


def timeline(scene: Scene) -> str:
    """Time to the right, azimuth upwards."""
    width = plot_width(scene.duration_s)
    rows = detection_rows(scene)
    parts = [
        *_timeline_grid(scene, width),
        *(_box(scene, event, "heard", _sector_height(scene) - 2, width) for event in scene.detections),
        *(_box(scene, event, "truth", TRUTH_HEIGHT, width) for event in scene.truth),
        *(_detection_label(scene, event, row, width) for event, row in rows),
        *(_truth_label(scene, number, event, width) for number, event in enumerate(scene.truth, 1)),
        f'<line class="playhead" y1="0" y2="{PLOT_HEIGHT}" style="--w:{width:.0f}px"/>',
    ]
    label = f"Timeline of {len(scene.truth)} true and {len(scene.detections)} heard sounds; the table lists them."
    return svg(width, PLOT_HEIGHT + AXIS_HEIGHT, "timeline", label, "".join(parts))


def detection_rows(scene: Scene) -> list[tuple[Event, int]]:
    """Each detection with the line that its label goes to, so that labels of one sector do not cover each other."""
    width = plot_width(scene.duration_s)
    ends: dict[tuple[float, int], float] = {}
    rows = []
    for event in sorted(scene.detections, key=lambda event: event.onset_s):
        left = event.onset_s / scene.duration_s * width
        sector = round(wrap(event.azimuth), 2)
        row = next((row for row in (0, 1) if ends.get((sector, row), -1.0) <= left), 0)
        ends[sector, row] = left + TEXT_WIDTH * (len(events.plain(event.label)) + 7)
        rows.append((event, row))
    return rows


def polar(scene: Scene) -> str:
    """Seen from above: front upwards, time from the robot outwards."""
    parts = [
        *_polar_grid(scene),
        *(_wedge(scene, event, 0.94 * scene.resolution, "heard") for event in scene.detections),
    ]
    for number, event in enumerate(scene.truth, 1):
        radius = _radius(scene, (event.onset_s + min(event.end_s, scene.duration_s)) / 2)
        x, y = _polar_point(radius, event.azimuth)
        parts += [
            _wedge(scene, event, math.radians(13), "truth"),
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" class="badge"/>',
            f'<text x="{x:.1f}" y="{y:.1f}" class="number">{number}</text>',
        ]
    parts.append(f'<circle class="playhead ring" style="--r0:{ROBOT_RADIUS}px;--r1:{RADIUS}px"/>')
    label = "The same sounds seen from above: the robot in the centre, its front up, time running outwards."
    return svg(540, 460, "polar", label, f'<g transform="translate(270 230)">{"".join(parts)}</g>')


def svg(width: float, height: float, kind: str, label: str, content: str, hidden: bool = False) -> str:
    """A picture of class `kind`, in pixels; `label` says what it shows to whoever does not see it."""
    meaning = 'aria-hidden="true"' if hidden else f'role="img" aria-label="{escape(label)}"'
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'<svg class="{kind}" {size} {meaning}>{content}</svg>'


def _y(scene: Scene, azimuth: float) -> float:
    turned = (azimuth - scene.bottom) % (2 * math.pi)
    return PLOT_HEIGHT * (1 - turned / (2 * math.pi))


def _span(scene: Scene, event: Event, width: float) -> tuple[float, float]:
    """Left edge and width of an event's box [px]; a very short one stays visible."""
    left = max(0.0, event.onset_s) / scene.duration_s * width
    right = min(event.end_s, scene.duration_s) / scene.duration_s * width
    return left, max(right - left, 3.0)


def _title(event: Event, kind: str) -> str:
    span = f"{event.onset_s:.1f} to {event.end_s:.1f} s"
    return f"<title>{kind}: {plain(event.label)}, {azimuth_name(event.azimuth)}, {span}</title>"


def _timeline_grid(scene: Scene, width: float) -> list[str]:
    height = PLOT_HEIGHT / len(scene.sectors)
    bands = [
        f'<rect class="band" y="{_y(scene, sector) - height / 2:.1f}" width="{width:.0f}" height="{height:.1f}"/>'
        for sector in scene.sectors[::2]
    ]
    marks = []
    for second in time_ticks(scene.duration_s, round(width / 90)):
        x = second / scene.duration_s * width
        anchor = "start" if second == 0 else "end" if x > width - 12 else "middle"
        marks.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y2="{PLOT_HEIGHT}"/>')
        marks.append(f'<text class="tick {anchor}" x="{x:.1f}" y="{PLOT_HEIGHT + 15}">{second} s</text>')
    return bands + marks


def _text(x: float, y: float, width: float, kind: str, text: str) -> str:
    """A label that begins at x, or ends at the right border where it would not fit."""
    if x + TEXT_WIDTH * len(text) > width:
        return f'<text class="{kind} end" x="{width - 4:.1f}" y="{y:.1f}">{text}</text>'
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{text}</text>'


def _sector_height(scene: Scene) -> float:
    return PLOT_HEIGHT * scene.resolution / (2 * math.pi)


def _box(scene: Scene, event: Event, kind: str, height: float, width: float) -> str:
    left, span = _span(scene, event, width)
    top = _y(scene, event.azimuth) - height / 2
    return (
        f'<g class="{kind}" style="--c:{scene.colours[event.label]}">{_title(event, kind)}'
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{span:.1f}" height="{height:.1f}" rx="4"/></g>'
    )


def _detection_label(scene: Scene, event: Event, row: int, width: float) -> str:
    left, _ = _span(scene, event, width)
    y = _y(scene, event.azimuth) + (0.5 - row) * (_sector_height(scene) - 17)
    return _text(left + 6, y, width, "label", f"{plain(event.label)}{sure(event)}")


def _truth_label(scene: Scene, number: int, event: Event, width: float) -> str:
    left, _ = _span(scene, event, width)
    return _text(left + 6, _y(scene, event.azimuth), width, "label strong", f"{number} {plain(event.label)}")


def _radius(scene: Scene, time_s: float) -> float:
    share = min(max(time_s / scene.duration_s, 0.0), 1.0)
    return ROBOT_RADIUS + (RADIUS - ROBOT_RADIUS) * share


def _polar_point(radius: float, azimuth: float) -> tuple[float, float]:
    return -radius * math.sin(azimuth), -radius * math.cos(azimuth)


def _polar_grid(scene: Scene) -> list[str]:
    parts = [f'<circle class="grid" r="{RADIUS}"/>', f'<circle class="robot" r="{ROBOT_RADIUS - 8}"/>']
    parts += [
        f'<circle class="microphone" r="2.2" cx="{x:.1f}" cy="{y:.1f}"/>'
        for x, y in (_polar_point(ROBOT_RADIUS - 14, k * math.pi / 4) for k in range(8))
    ]
    for second in time_ticks(scene.duration_s, 4)[1:]:
        radius = _radius(scene, second)
        parts.append(f'<circle class="grid" r="{radius:.1f}"/>')
        x, y = _polar_point(radius, scene.resolution / 2)
        parts.append(f'<text class="tick middle" x="{x:.1f}" y="{y:.1f}">{second} s</text>')
    for sector in scene.sectors:
        (x1, y1), (x2, y2) = (_polar_point(r, sector + scene.resolution / 2) for r in (ROBOT_RADIUS, RADIUS))
        parts.append(f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')
        x, y = _polar_point(RADIUS + 16, sector)
        anchor = "middle" if abs(x) < 30 else "start" if x > 0 else "end"
        name = azimuth_name(sector).split()[0]
        parts.append(f'<text class="tick {anchor}" x="{x:.1f}" y="{y:.1f}">{name}</text>')
    return parts


def _wedge(scene: Scene, event: Event, angle: float, kind: str) -> str:
    inner, outer = _radius(scene, event.onset_s), _radius(scene, event.end_s)
    outer = max(outer, inner + 3)
    left, right = event.azimuth + angle / 2, event.azimuth - angle / 2
    corners = [_polar_point(r, a) for r, a in ((inner, left), (outer, left), (outer, right), (inner, right))]
    a, b, c, d = (f"{x:.1f} {y:.1f}" for x, y in corners)
    path = f"M{a}L{b}A{outer:.1f} {outer:.1f} 0 0 1 {c}L{d}A{inner:.1f} {inner:.1f} 0 0 0 {a}Z"
    return (
        f'<g class="{kind}" style="--c:{scene.colours[event.label]}">'
        f'{_title(event, kind)}<path d="{path}"/></g>'
    )
