"""Recorded multichannel scenes in the layout of DCASE's challenges: sound files, and a CSV of labels for each.

A line of the CSV reads frame (of 100 ms), class, track, azimuth and elevation [degrees, counter-clockwise from the
front], and in later years distance, which is not used. Class names, one a line, may stand in `classes.txt`.
"""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import soundfile

from .layouts import CorpusError, class_name

FRAME_S = 0.1
SAME_PLACE_DEG = 10.0  # a source that moves further becomes another event
_SOUND_FILES = (".wav", ".flac")


@dataclass(frozen=True)
class Label:
    """One line: what is heard where in one frame."""

    frame: int
    kind: int
    track: int
    azimuth_deg: float
    elevation_deg: float


def import_scenes(
    folder: Path, into: Path, licence: str, track: Callable[[Iterable], Iterable]
) -> tuple[list[set[str]], list[str]]:
    """Write each labelled recording as FLAC with its truth beside it, as `simulation.scene` leaves scenes.

    Returns the classes in each scene, and a sentence for each file left out. Raises CorpusError when there is none, and
    when two files have one name; ValueError where `classes.txt` is no text.
    """
    found = sorted(folder.rglob("*.csv"))
    tables = {path.stem: path for path in found}
    if twice := sorted({path.stem for path in found if path != tables[path.stem]}):
        raise CorpusError(f"{folder} holds {twice[0]}.csv twice; import one data set at a time.")
    recordings = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in _SOUND_FILES]
    if not tables or not recordings:
        raise CorpusError(f"{folder} holds no pairs of NAME.wav (or .flac) and NAME.csv; give the data set's folder.")
    labelled = [path for path in recordings if path.stem in tables]
    by_name = {path.stem: path for path in labelled}
    if twice := [path for path in labelled if path != by_name[path.stem]]:
        # STARSS comes as microphones and as Ambisonics, whose channels are no microphones
        raise CorpusError(f"{folder} holds {twice[0].stem} twice, {twice[0].relative_to(folder)} and "
                          f"{by_name[twice[0].stem].relative_to(folder)}: leave only one of them there.")
    names = class_names(folder)
    skipped = [f"{path.name}: has no labels ({path.stem}.csv)." for path in recordings if path.stem not in tables]
    missing = sorted(set(tables) - {path.stem for path in recordings})
    skipped += [f"{name}.csv: has no recording ({name}.wav)." for name in missing]
    into.mkdir(parents=True, exist_ok=True)
    scenes = []
    for path in track(labelled):
        target = into / f"{'_'.join(path.relative_to(folder).with_suffix('').parts)}.flac"
        try:
            truth = _write(path, read_labels(tables[path.stem]), names, target, licence)
        except (ValueError, soundfile.LibsndfileError) as error:
            skipped.append(f"{path.name}: {str(error).rstrip('.')}.")
            continue
        scenes.append({event["label"] for event in truth["events"]})
    return scenes, skipped


def read_labels(path: Path) -> list[Label]:
    """Lines of a CSV, with or without a head. Raises ValueError that names the line, or the file that is no CSV."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is no CSV of labels: {error}") from error
    labels = []
    for number, line in enumerate(lines, start=1):
        if not line or (number == 1 and not any(map(_is_whole, line[:2]))):
            continue
        try:
            label = Label(int(line[0]), int(line[1]), int(line[2]), float(line[3]), float(line[4]))
        except (ValueError, IndexError) as error:
            raise ValueError(f"line {number} of {path.name} is not frame,class,track,azimuth,elevation") from error
        if label.frame < 0 or not (math.isfinite(label.azimuth_deg) and math.isfinite(label.elevation_deg)):
            raise ValueError(f"line {number} of {path.name} holds a number that cannot be")
        labels.append(label)
    return labels


def _is_whole(text: str) -> bool:
    return text.strip().lstrip("-").isdigit()


def events(labels: Iterable[Label]) -> list[list[Label]]:
    """Labels of one source each: one class and track, frame after frame, in one place."""
    of_source = defaultdict(list)
    for label in labels:
        of_source[label.kind, label.track].append(label)
    found = []
    for lines in of_source.values():
        for label in sorted(lines, key=lambda one: one.frame):
            last = found[-1] if found else None
            if last and _goes_on(last, label):
                last.append(label)
            else:
                found.append([label])
    return sorted(found, key=lambda lines: (lines[0].frame, lines[0].kind, lines[0].track))


def _goes_on(event: list[Label], label: Label) -> bool:
    first, last = event[0], event[-1]
    moved = abs((label.azimuth_deg - first.azimuth_deg + 180) % 360 - 180)
    same = (first.kind, first.track) == (label.kind, label.track)
    return same and label.frame - last.frame <= 1 and moved <= SAME_PLACE_DEG


def _write(path: Path, labels: list[Label], names: Mapping[int, str], target: Path, licence: str) -> dict:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if samples.shape[1] < 2:
        raise ValueError("has one channel only, so nothing can be located in it")
    if samples.shape[1] > 8:
        raise ValueError(f"has {samples.shape[1]} channels, and FLAC holds 8 at most")
    truth = {
        "title": path.stem, "sample_rate": rate, "noise": [],
        "events": [to_entry(number, lines, names, path, licence) for number, lines in enumerate(events(labels), 1)],
    }  # fmt: skip
    soundfile.write(target, samples, rate, subtype="PCM_24")
    target.with_suffix(".json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    return truth


def to_entry(number: int, lines: list[Label], names: Mapping[int, str], path: Path, licence: str) -> dict:
    """Labels of one source -> the entry of a truth (`evaluation.truth`), on the recording at `path`."""
    kind = lines[0].kind
    directions = [math.radians(line.azimuth_deg) for line in lines]
    azimuth = math.atan2(sum(map(math.sin, directions)), sum(map(math.cos, directions)))
    return {
        "id": number,
        "azimuth_deg": round(math.degrees(azimuth), 1),
        "elevation_deg": round(sum(line.elevation_deg for line in lines) / len(lines), 1),
        "label": names.get(kind, f"class_{kind}"),
        "onset_s": round(lines[0].frame * FRAME_S, 3),
        "duration_s": round((lines[-1].frame - lines[0].frame + 1) * FRAME_S, 3),
        "source": path.name,
        "licence": licence,
    }


def class_names(folder: Path) -> dict[int, str]:
    """The names in a folder's `classes.txt` by number, which a line without a name has too; none without the file.

    Raises ValueError that names the file where it is no text.
    """
    path = folder / "classes.txt"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines() if path.exists() else []
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error}): save it as that, a class name a line") from error
    return {number: class_name(line) for number, line in enumerate(lines) if line.strip()}
