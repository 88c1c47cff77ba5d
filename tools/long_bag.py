"""Makes a long bag: the shipped scene again and again, its sounds new ones each time.

python tools/long_bag.py OUT [--minutes 10]; then `seld-overlap evaluate OUT`.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path

import typer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from seld_overlap_ros.bags.scenes import BagScene, from_scene  # noqa: E402
from seld_overlap_ros.bags.writing import write_bag  # noqa: E402
from seld_overlap_ros.evaluation.recording import Track  # noqa: E402
from seld_overlap_ros.streaming.sources import find_scene  # noqa: E402


def repeated(scene: BagScene, least_s: float) -> BagScene:
    """The same audio over and over, for at least so long."""
    chunks = list(scene.chunks)
    n_samples, n_events = sum(map(len, chunks)), len(scene.events)
    length_s = n_samples / scene.audio.sample_rate
    times = math.ceil(least_s / length_s)
    rounds = [(number, event) for number in range(times) for event in scene.events]
    events = tuple(replace(event, id=event.id + number * n_events, onset_s=event.onset_s + number * length_s)
                   for number, event in rounds)
    stems = {event.id + number * n_events: later(scene.stems[event.id], number * n_samples) for number, event in rounds}
    return replace(scene, title=f"{scene.title}, {times} times", chunks=chain.from_iterable([chunks] * times),
                   events=events, stems=stems)


def later(stem: Track, n_samples: int) -> Track:
    """The same sound, so many samples on."""
    chunks = {start + n_samples: samples for start, samples in stem.chunks.items()}
    return Track(stem.sample_rate, chunks, stem.end + n_samples)


def main(out: Path, minutes: float = 10.0) -> None:
    """See above."""
    scene = repeated(from_scene(find_scene("demo")), 60 * minutes)
    write_bag(out, scene, "mcap")
    print(f"{out}: {scene.title}; {len(scene.events)} true sounds")


if __name__ == "__main__":
    typer.run(main)
