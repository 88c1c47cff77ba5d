"""Propose more training clips from the manifest's own sources (for maintainers).

    python tools/enlarge_sounds.py SOUNDS PACKAGES WORK

SOUNDS is what `seld-overlap data sounds` made; PACKAGES holds each package unpacked in a folder of its name (dpkg-deb
-x); WORK keeps the clips that were cut, so that a stopped run goes on. The first GIVEN rows of the manifest stay as
they are; new ones are for training only, and come from

- takes of a series whose name is listed already (`hit_03.ogg` beside `hit_01.ogg`), and of speakers in training,
- further pieces of long recordings in training,
- other keys, velocities, lengths and the other channel of instrument samples in training.

A proposal that correlates with any clip held out, by split or by group, goes; so does one nearly the same as another.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path

import numpy as np

from seld_overlap_ros.data.containers import ContainerError, open_container
from seld_overlap_ros.data.cutting import cut_clip
from seld_overlap_ros.data.duplicates import similar_pairs
from seld_overlap_ros.data.instruments import InstrumentError
from seld_overlap_ros.data.soundfonts import SoundFont
from seld_overlap_ros.data.sounds import Index, load_clips
from seld_overlap_ros.data.sources import PackageSources, Row, file_in_package, read_manifest

MANIFEST = Path(__file__).resolve().parents[1] / "seld_overlap_ros" / "data" / "manifests" / "sounds.csv"
GIVEN = 2536
WANTED = 5200  # training clips in all
MOST = 340  # new clips of one class that are tried
PER_UNIT = 24  # notes of one instrument sample
PER_EFFECT = 6  # notes of a drum or a sound effect that comes as an instrument
NEARLY_THE_SAME = 0.97
HOP_S = 2.1  # between pieces of a long recording: half a window
SOUND_FILES = {".wav", ".ogg", ".oga", ".flac", ".aiff", ".opus"}
# of real drums; the others are electronic
KITS = re.compile(r"/(BJA_Pacific|ForzeeStereo|Gimme A Hand 1.0|The Black Pearl 1.0|GMRockKit|Millo[^/]+|Colombo\w+)/")
DRUMS = {
    "hihat": re.compile(r"hat|^hh|^ho_|^hc_", re.I),
    "tom_drum": re.compile(r"tom(?!t)|^tm\d?_", re.I),
    "hand_drum": re.compile(r"conga|bongo|cajon", re.I),
}
SPEAKERS = {  # in training; of no language in which somebody else is held out, lest it is the same volunteer
    "speech_child": {
        "kl_ar": r"/klettres/ar/", "kl_tn": r"/klettres/tn/", "kt_fi": r"/sounds/fi/", "kt_gl": r"/sounds/gl/",
        "kt_sr": r"/sounds/sr/", "kt_sv": r"/sounds/sv/",
    },
    "speech_female": {
        "kl_it": r"/klettres/it/", "kl_nb": r"/klettres/nb/", "ka_female2": r"/voices/de/female2/",
        "0ad_greek": r"/voice/greek/civ/civ_female_", "0ad_napatan": r"/voice/napatan/civ/civ_female_",
        "tp_be": r"_desc_be\.ogg$", "tp_el": r"_desc_el\.ogg$", "tp_es": r"_desc_es\.ogg$", "tp_ro": r"_desc_ro\.ogg$",
    },
    "speech_male": {
        "kl_fr": r"/klettres/fr/", "kl_hu": r"/klettres/hu/", "kl_ml": r"/klettres/ml/",
        "ka_male2": r"/voices/de/male2/", "0ad_napatan": r"/voice/napatan/civ/civ_male_",
        "0ad_latin": r"/voice/latin/civ/civ_male_", "tp_ru": r"_desc_ru\.ogg$",
    },
}  # fmt: skip
INSTRUMENTS = {
    "piano", "organ", "violin", "trumpet", "flute", "saxophone", "electric_guitar_dist", "xylophone_marimba", "bell",
}  # fmt: skip
NOTE_LENGTHS_S = (0.8, 2.5, 0.4, 1.5)
SHIFTS = (0, 2, -2, 1, -1, 3, -3, 4, -4, 5, -5, 6, -6)


def main(sounds: Path, packages: Path, work: Path) -> None:
    """Write the manifest: the given rows, then the new ones with the SHA-256 of their samples."""
    given = read_manifest()[:GIVEN]
    proposed = [row for rows in candidates(given, packages).values() for row in rows[:MOST]]
    print(f"{len(proposed)} proposed", flush=True)
    cut(proposed, packages, work)
    kept = balanced(checked(proposed, sounds, work), Counter(r["class"] for r in given if r["split"] == "train"))
    with MANIFEST.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(given[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*given, *kept])
    print(f"{len(kept)} new rows")


def candidates(given: list[Row], packages: Path) -> dict[str, list[Row]]:
    """New rows by class, the most different ones first."""
    found: dict[str, list[Row]] = defaultdict(list)
    by_unit = {(row["class"], row["source_id"]): row for row in given}
    held_out = {unit for (_, unit), row in by_unit.items() if row["split"] != "train"}
    names = sorted(set(sound_names({row["package"] for row in given}, packages)) - {path_of(row) for row in given})
    for row in [*takes(given, names), *drums(given, names), *speech(given, names), *cuts(given, packages)]:
        found[row["class"]].append(row)
    notes = defaultdict(list)
    for (label, unit), row in by_unit.items():
        if unit not in held_out and not unit.startswith("file:"):
            notes[label].append(list(variants(row, packages, held_out)))
    for label, units in notes.items():
        found[label] += [row for turn in zip_longest(*units) for row in turn if row]
    return found


def balanced(rows: list[Row], had: Counter[str]) -> list[Row]:
    """As many of each class as bring the poorest classes up first, until WANTED are there."""
    found = defaultdict(list)
    for row in rows:
        found[row["class"]].append(row)
    level = next(
        level for level in range(1000)
        if sum(max(had[c], min(had[c] + len(found[c]), level)) for c in had) >= WANTED or level == 999
    )  # fmt: skip
    print(f"up to {level} clips of a class")
    return [row for label in sorted(found) for row in found[label][: max(0, level - had[label])]]


def path_of(row: Row) -> str:
    """A row's source without the time of a piece."""
    return row["source"].split(" @")[0]


def sound_names(packages: set[str], folder: Path) -> Iterator[str]:
    """Every sound file of the packages, named as sources are."""
    for package in sorted(packages):
        for path in (folder / package).rglob("*"):
            if path.suffix.lower() in SOUND_FILES and not path.is_symlink():
                yield f"{package}/{path.relative_to(folder / package)}"
    for holder in read_manifest("containers"):
        if holder["prefix"] != "bank":
            for name in open_container(folder / holder["package"] / holder["file"]):
                if Path(name).suffix.lower() in SOUND_FILES:
                    yield f"{holder['package']}/un/{holder['prefix']}{name}"


def series(source: str) -> str:
    """A file's name without its number."""
    path = Path(source).with_suffix("")
    return f"{path.parent}/{path.name.rstrip('0123456789').rstrip('_-. ')}"


def new_row(like: Row, source: str, **more: str) -> Row:
    """A training row beside a given one; by group only where that group is in training."""
    group = more.get("group", like["group"])
    by_group = "train" if like["split_by_group"] == "train" and group == like["group"] else ""
    unit = f"file:{source.split(' @')[0]}"
    return {**like, "source": source, "source_id": unit, "split": "train", "split_by_group": by_group, "sha256": "",
            "duration": "", **more}  # fmt: skip


def takes(given: list[Row], names: list[str]) -> Iterator[Row]:
    """Unlisted files of a series that is listed under one class only."""
    of_series = defaultdict(dict)
    for row in given:
        if row["source_id"].startswith("file:") and not row["class"].startswith("speech"):
            of_series[series(path_of(row))][row["class"]] = row
    for name in names:
        found = of_series.get(series(name), {})
        if len(found) == 1:
            yield new_row(next(iter(found.values())), name)


def drums(given: list[Row], names: list[str]) -> Iterator[Row]:
    """Unlisted files of the real drum kits, by name, for classes that had reached their cap."""
    listed = {series(path_of(row)) for row in given}
    for label, pattern in DRUMS.items():
        like = next(r for r in given if r["class"] == label and r["package"].startswith("hydrogen"))
        for name in names:
            if KITS.search(name) and pattern.search(Path(name).stem) and series(name) not in listed:
                package = name.split("/")[0]
                licence = next(r["licence"] for r in given if Path(r["source"]).parent == Path(name).parent)
                group = f"{package}/{Path(name).parent.name}/{Path(series(name)).name}"
                yield new_row(like, name, package=package, group=group, licence=licence)


def speech(given: list[Row], names: list[str]) -> Iterator[Row]:
    """More of the speakers in training, in turn."""
    for label, patterns in SPEAKERS.items():
        spoken = []
        for speaker, pattern in patterns.items():
            like = next(r for r in given if r["class"] == label and r["group"] == f"speaker/{speaker}")
            files = [n for n in names if n.startswith(f"{like['package']}/") and re.search(pattern, n)]
            # spread over what is said: neighbours in the list say nearly the same
            step = max(1, len(files) // 80)
            spoken.append([new_row(like, name) for name in files[::step]])
        yield from (row for turn in zip_longest(*spoken) for row in turn if row)


def cuts(given: list[Row], packages: Path) -> Iterator[Row]:
    """Pieces of long recordings in training, apart from the listed pieces."""
    of_file = defaultdict(list)
    for row in given:
        if row["source_id"].startswith("file:") and not row["class"].startswith("speech"):
            of_file[path_of(row)].append(row)
    for rows in of_file.values():
        whole = all(float(r["duration"]) > 4.1 for r in rows[:1]) and all(r["split"] == "train" for r in rows)
        if not whole:
            continue
        length = sound_length(rows[0], packages)
        taken = [float(r["source"].split(" @")[1][:-1]) if " @" in r["source"] else 0.0 for r in rows]
        for start in np.arange(HOP_S, length - HOP_S, HOP_S):
            if all(abs(start - other) >= HOP_S - 0.1 for other in taken):
                yield new_row(rows[0], f"{path_of(rows[0])} @{start:.1f}s")


def sound_length(row: Row, packages: Path) -> float:
    """Seconds of a row's file."""
    samples, rate = reader(row["package"], packages).read({**row, "source": path_of(row)})
    return len(samples) / rate


@cache
def reader(package: str, packages: Path) -> PackageSources:
    """The sounds of one unpacked package."""
    root = packages / package
    return PackageSources(package, {str(p.relative_to(root)): p for p in root.rglob("*") if p.is_file()})


def variants(row: Row, packages: Path, held_out: set[str]) -> Iterator[Row]:
    """Other notes of a row's instrument sample, the instruments' ones of several lengths."""
    is_instrument = row["class"] in INSTRUMENTS
    more = patch_variants(row) if row["source_id"].startswith("fp:") else font_variants(row, packages, held_out)
    for number, source in zip(range(PER_UNIT if is_instrument else PER_EFFECT), more, strict=False):
        length_s = f"{NOTE_LENGTHS_S[number % len(NOTE_LENGTHS_S)]:.3f}" if is_instrument else row["duration"]
        yield new_row(row, source, source_id=row["source_id"], duration=length_s)


def patch_variants(row: Row) -> Iterator[str]:
    """A GUS patch's sample up to 6 semitones up and down."""
    plain = re.sub(r" [+-]\d+st$", "", row["source"])
    yield from (f"{plain} {shift:+d}st" for shift in SHIFTS[1:])


@cache
def font(packages: Path, path: str) -> SoundFont:
    """A soundfont of an unpacked package."""
    return SoundFont(packages / path)


def font_variants(row: Row, packages: Path, held_out: set[str]) -> Iterator[str]:
    """A soundfont sample, and its other channel, at the keys and velocities of its zones."""
    bank, program, note = (int(row["source"].split()[at]) for at in (1, 3, 5))
    name = row["source"].split(" sample ")[1]
    bank_file = font(packages, f"{row['package']}/{file_in_package(row)}")
    twins = {name, name.replace("(L)", "(R)")}
    zones = [z for z in bank_file.zones(bank, program) if bank_file.sample_name(z.sample) in twins]
    prefix = row["source_id"].split(":")[0]
    zones = [z for z in zones if f"{prefix}:{bank_file.sample_heads[z.sample]['start']}" not in held_out]
    seen = {row["source"]}
    for turn, shift in enumerate(SHIFTS * 4):
        sounding = [z for z in zones if z.keys[0] <= note + shift <= z.keys[1]]
        if sounding:
            zone = sounding[(5 * turn) % len(sounding)]  # a stride through channels and velocity layers
            velocity = min(zone.velocities[1], 120)
            source = f"bank {bank} prog {program} note {note + shift} vel {velocity}"
            source += f" sample {bank_file.sample_name(zone.sample)}"
            if source not in seen:
                seen.add(source)
                yield source


def cut(rows: list[Row], packages: Path, work: Path) -> None:
    """Cut each row's clip into the folder, unless it is there."""
    index = Index(work, "sounds")
    for number, row in enumerate(rows):
        if index.holds(row):
            continue
        try:
            index.add(row, cut_clip(*reader(row["package"], packages).read(row)))
        except (OSError, ContainerError, InstrumentError) as error:
            print(f"left out {row['source']}: {error}", flush=True)
        if number % 100 == 0:
            index.save()
            print(f"{number} of {len(rows)} cut", flush=True)
    index.save()


def checked(rows: list[Row], sounds: Path, work: Path) -> list[Row]:
    """Rows whose recordings are like none held out and whose clips like no earlier one, with SHA-256 and duration.

    Where one piece or note of a recording is like a clip held out, all of that recording goes. A clip held out by
    group only takes its like out of the training by group only.
    """
    index, clips = Index(work, "sounds"), {clip.source: clip.samples for clip in load_clips(work)}
    rows = [row for row in rows if row["source"] in clips and len(clips[row["source"]]) > 800]
    new = [clips[row["source"]] for row in rows]
    copies = {"split": set(), "split_by_group": set()}
    for column, by_group in (("split", False), ("split_by_group", True)):
        held = [c.samples for c in load_clips(sounds, by_group=by_group) if c.split != "train"]
        pairs = similar_pairs(new, held, progress=lambda *at: print(at, flush=True))
        copies[column] = {rows[i]["source_id"] for i, _, _ in pairs}
        print(f"{len(copies[column])} recordings like clips held out ({column})", flush=True)
    again = nearly_the_same(rows, new, sounds)
    kept = []
    for number, row in enumerate(rows):
        if row["source_id"] not in copies["split"] and number not in again:
            samples = index.rows[row["source"]]
            by_group = "" if row["source_id"] in copies["split_by_group"] else row["split_by_group"]
            length = f"{int(samples['samples']) / 16000:.3f}"
            # a note's duration says how it is played, not how long the cut came out
            kept.append({**row, "split_by_group": by_group, "sha256": samples["sha256_here"],
                         "duration": row["duration"] or length})  # fmt: skip
    return kept


def nearly_the_same(rows: list[Row], new: list[np.ndarray], sounds: Path) -> set[int]:
    """Rows that are one recording with a given training clip of their class, or with a row before them."""
    given, same = {row["source"] for row in read_manifest()[:GIVEN]}, set()
    for label in sorted({row["class"] for row in rows}):
        mine = [number for number, row in enumerate(rows) if row["class"] == label]
        listed = [clip.samples for clip in load_clips(sounds, "train", classes=[label]) if clip.source in given]
        before = [*listed, *(new[number] for number in mine)]
        for i, j, _ in similar_pairs([new[number] for number in mine], before, NEARLY_THE_SAME):
            if j < len(listed) or (j - len(listed) < i and mine[j - len(listed)] not in same):
                same.add(mine[i])
    print(f"{len(same)} nearly the same as another", flush=True)
    return same


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
