"""The data card: what the clips and the mixtures are, in a Markdown page with pictures, from a data folder alone."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.data.sounds import Clip, load_clips
from seld_overlap_ros.evaluation.media import level_db
from seld_overlap_ros.markdown import table
from seld_overlap_ros.simulation.rooms import RoomBank
from seld_overlap_ros.simulation.store import MixtureStore

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SPLITS = ("train", "val", "test")
COMMAND = "seld-overlap data card"
CLIPS_SHOWN = 3  # of each class, the longest of its training clips
SHOWN_S, SHOWN_FRAMES, SHOWN_BINS = 2.0, 48, 48
RANGE_DB = 70.0
# what may be done with what is made from a recording -> what its licence is called, in part
ALLOWS = {
    "free of conditions": ("cc0", "creative commons zero", "public-domain", "public domain"),
    "with the notice or the author's name": ("mit", "isc", "bsd", "cc-by-3.0", "cc-by-4.0", "attribution", "wtfpl"),
    "under the same licence": ("cc-by-sa", "share", "gpl", "gfdl", "per kit", "artistic"),
}


def write_card(folder: Path, mixtures: Path, page: Path) -> None:
    """Write the card of a data folder and of its stored mixtures to `page`, the pictures beside it in `data/`.

    Raises SoundsError or FileNotFoundError that says what to make first, and ValueError for mixtures of other rooms.
    """
    clips = {split: load_clips(folder / "sounds", split) for split in SPLITS}
    store = MixtureStore.load(mixtures / "train")
    banks = {split: RoomBank.load(folder / "rooms" / split) for split in (*SPLITS, "anechoic")}
    pictures = page.parent / page.stem
    pictures.mkdir(parents=True, exist_ok=True)
    contact_sheet(clips["train"], pictures / "classes.png")
    histograms(store, banks["train"], pictures / "mixtures.png")
    page.write_text(_page(folder, clips, store, banks, pictures.name), encoding="utf-8")


def contact_sheet(clips: Sequence[Clip], path: Path) -> None:
    """Spectrograms of some clips of every class in one picture: 2 s each, 0 to 8 kHz upwards."""
    by_class = defaultdict(list)
    for clip in sorted(clips, key=lambda clip: -len(clip.samples)):
        by_class[clip.label].append(clip)
    columns = 8
    rows = math.ceil(len(by_class) / columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.75 * columns, 0.95 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, label in zip(axes.flat, sorted(by_class), strict=False):
        shown = [thumbnail(clip.samples) for clip in by_class[label][:CLIPS_SHOWN]]
        gap = np.ones((SHOWN_BINS, 2))
        axis.imshow(np.hstack([part for image in shown for part in (image, gap)]), origin="lower", cmap="magma",
                    aspect="auto", vmin=0, vmax=1)
        axis.set_title(label.replace("_", " "), fontsize=7, pad=2)
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=80)
    plt.close(figure)
    with Image.open(path) as image:  # 64 colours are enough, in a third of the size
        small = image.convert("RGB").quantize(64)
    small.save(path, optimize=True)


def thumbnail(samples: np.ndarray) -> np.ndarray:
    """Small spectrogram (SHOWN_BINS, SHOWN_FRAMES) of a clip's first SHOWN_S, 0 to 1 from RANGE_DB below its peak."""
    rate = FrontEnd().sample_rate
    levels = level_db(np.pad(samples, (0, max(0, round(SHOWN_S * rate) - len(samples))))[: round(SHOWN_S * rate)])
    bins = np.linspace(0, levels.shape[0], SHOWN_BINS + 1).astype(int)[:-1]
    frames = np.linspace(0, levels.shape[1], SHOWN_FRAMES + 1).astype(int)[:-1]
    small = np.maximum.reduceat(np.maximum.reduceat(levels, bins, axis=0), frames, axis=1)
    return np.clip((small - small.max()) / RANGE_DB + 1, 0, 1)


def overlap_share(events: Sequence[dict]) -> float:
    """Share of the time with any sound in which two or more sound; 0 where nothing does."""
    spans = [(event["onset_s"], event["onset_s"] + event["duration_s"]) for event in events]
    edges = sorted({edge for span in spans for edge in span})
    active = [(b - a, sum(s <= a and b <= e for s, e in spans)) for a, b in pairwise(edges)]
    sounding = sum(length for length, n in active if n)
    return sum(length for length, n in active if n > 1) / sounding if sounding else 0.0


def histograms(store: MixtureStore, bank: RoomBank, path: Path) -> None:
    """SNR, overlap, T60 and azimuth of stored mixtures. Raises ValueError if they are of other rooms."""
    t60 = {room.name: room.t60 for room in bank.rooms}
    truths = store.truth
    if lost := sorted({truth["room"] for truth in truths} - set(t60)):
        raise ValueError(f"the mixtures are of other rooms than there are by now ({lost[0]}): run `seld-overlap data "
                         "mix` again")
    several = [overlap_share(truth["events"]) for truth in truths if len(truth["events"]) > 1]
    azimuths = [math.degrees(event["azimuth"]) for truth in truths for event in truth["events"]]
    shown = (
        ("SNR [dB]", [truth["snr_db"] for truth in truths], 20),
        ("overlapped share of mixtures of several", several, 20),
        ("T60 of the room [s]", [t60[truth["room"]] for truth in truths], 20),
        ("azimuth [degrees]", azimuths, np.arange(-180, 181, 3)),
    )
    figure, axes = plt.subplots(1, len(shown), figsize=(13, 2.4))
    for axis, (title, values, bins) in zip(axes, shown, strict=True):
        axis.hist(values, bins=bins, color="#2f7ed8")
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def allows(licence: str) -> str:
    """What a licence, as the manifest names it, lets one do: the strictest of those that it names."""
    name = licence.lower()
    for meaning, words in reversed(ALLOWS.items()):
        if any(word in name for word in words):
            return meaning
    return "see the package"


def _page(folder: Path, clips: dict[str, list[Clip]], store: MixtureStore, banks: dict[str, RoomBank],
          pictures: str) -> str:
    every = [clip for split in SPLITS for clip in clips[split]]
    n_sources = Counter(len(truth["events"]) for truth in store.truth)
    mixtures = ", ".join(f"{n_sources[k]} of {k}" for k in sorted(n_sources))
    return "\n".join([
        "# The data", "",
        f"Written by `{COMMAND}`, after `data sounds`, `data rooms` and `data mix`; edit nothing here.", "",
        f"{len(every)} clips of {len({clip.label for clip in every})} classes, {_hours(every):.2f} hours: real "
        "recordings from Debian packages, cut to 16 kHz mono without silence at their ends and to 4.192 s at most. "
        "No recording is in two splits (`seld-overlap data check`). A series may be: what sounds alike, as takes of "
        "one session, a drum kit, an instrument or a speaker do.", "", *split_table(clips), "",
        "## Classes", "", f"![Spectrograms of {CLIPS_SHOWN} clips of every class]({pictures}/classes.png)", "",
        *table(("class", *SPLITS, "median s", "hours"), _class_rows(clips)), "",
        "## Licences", "",
        "The recordings are fetched from Debian, not passed on here. What is made from them may be passed on:",
        "", *table(("licence as Debian names it", "may be passed on", "clips"), (
            (licence, allows(licence), n) for licence, n in Counter(c.licence for c in every).most_common())), "",
        *_outcomes(folder), "## Mixtures", "",
        f"The stored training set holds {len(store)} mixtures; number of sources: {mixtures}. Mixture i of a split is "
        "drawn by a generator seeded with the SHA-256 of `mixture/SPLIT/i`, a room with that of `rooms/SPLIT/KIND/i`, "
        "so that anyone gets the same ones.", "",
        *table(("rooms of", "number", "T60 s", "floor m", "places of a source"), map(_rooms_row, banks.items())), "",
        f"![Histograms of SNR, overlap, T60 and azimuth]({pictures}/mixtures.png)", "",
    ])  # fmt: skip


def split_table(clips: dict[str, list[Clip]]) -> list[str]:
    """How much each split holds, and of how many series."""
    rows = ((split, len(own), f"{_hours(own):.2f}", len({clip.group for clip in own})) for split, own in clips.items())
    return table(("split", "clips", "hours", "series"), rows)


def _rooms_row(item: tuple[str, RoomBank]) -> tuple:
    split, bank = item
    t60 = [room.t60 for room in bank.rooms]
    floor = [side for room in bank.rooms for side in room.size[:2]]
    return (split, len(bank.rooms), f"{min(t60):.2f} to {max(t60):.2f}", f"{min(floor):.1f} to {max(floor):.1f}",
            sum(len(room.places) for room in bank.rooms))


def _outcomes(folder: Path) -> list[str]:
    """What `data classify` has left, if it was run."""
    found = {name: json.loads(path.read_text()) for name in ("by_source", "by_group")
             if (path := folder / "runs" / "clips" / name / "outcome.json").is_file()}
    if not found:
        return []
    labels = sorted({label for outcome in found.values() for label in outcome["recall"]})
    lines = [
        "## How far the labels carry", "",
        "A small SSC (`seld-overlap data classify`), trained on the clean dry training clips and chosen by the "
        "validation clips, names the test clips right in this share of cases. No room is in them and no other sound: "
        "it is the most that SSC can be hoped to reach on sources in mixtures.", "",
        *table(("test clips of", "accuracy", "classes", "epochs"), (
            ("other source recordings" if name == "by_source" else "other recording sessions (`--by-group`)",
             f"{outcome['accuracy']:.1%}", sum(map(bool, map(_share, outcome["recall"].values()))), outcome["epochs"])
            for name, outcome in found.items())), "",
        *table(("class", *found), ((label, *(_share(outcome["recall"].get(label)) for outcome in found.values()))
                                   for label in labels)), "",
    ]  # fmt: skip
    if mistakes := found.get("by_source", {}).get("confusions"):
        said = ", ".join(f"{true} taken for {heard} ({n})" for true, heard, n in mistakes if n > 1)
        lines += [f"Taken for another more than once: {said}.", ""]
    return lines


def _share(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.0%}"


def _hours(clips: Iterable[Clip]) -> float:
    return sum(len(clip.samples) for clip in clips) / FrontEnd().sample_rate / 3600


def _class_rows(clips: dict[str, list[Clip]]) -> list[tuple]:
    rows = []
    for label in sorted({clip.label for clip in clips["train"]}):
        own = {split: [clip for clip in clips[split] if clip.label == label] for split in SPLITS}
        every = [clip for split in SPLITS for clip in own[split]]
        median = np.median([len(clip.samples) for clip in every]) / FrontEnd().sample_rate
        rows.append((label, *(len(own[split]) for split in SPLITS), f"{median:.1f}", f"{_hours(every):.2f}"))
    return rows
