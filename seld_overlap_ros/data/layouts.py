"""How published and private collections of clips lie on disk: each layout lists its recordings, and reads none."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
VAL_SHARE, TEST_SHARE = 0.2, 0.2  # as in the manifest
NOISE = "noise"  # the folder of this name holds background recordings, not a class


class CorpusError(ValueError):
    """A collection that is not laid out as was said; the message is one sentence with the way out."""


@dataclass(frozen=True)
class Recording:
    """One file of a collection. `group` is what must not cross a harder split: an uploader, a series of takes."""

    path: Path
    label: str
    split: str
    split_by_group: str
    group: str
    licence: str = ""


@dataclass
class Listing:
    """The recordings of a collection, and a sentence for each thing in it that is left out."""

    recordings: list[Recording] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def folder_per_class(folder: Path) -> Listing:
    """CLASS/FILE, or SPLIT/CLASS/FILE where all folders are named train, val and test.

    Without splits, one is drawn for each file by a hash of its name, so that it stays when files are added, where a
    class has some twenty or more; of fewer, to have some in each split, files may change theirs. Raises CorpusError.
    """
    top = _folders(folder)
    splits = [path.name for path in top if path.name.lower() in SPLITS]
    if 1 < len(splits) < len(top):
        others = ", ".join(path.name for path in top if path.name not in splits)
        raise CorpusError(f"{folder} holds {others} beside {', '.join(splits)}; put {NOISE} into each of those, and "
                          "the rest elsewhere.")
    if len(splits) == 1 < len(top) and _holds_folders(folder / splits[0]):
        raise CorpusError(f"{folder} holds folders in {splits[0]} beside other folders; call those of the splits "
                          "train, val and test, or put files alone into a class of that name.")
    if {path.name.lower() for path in top} <= set(SPLITS):
        listing = Listing()
        for part in top:
            split = SPLITS[part.name.lower()]
            for path, label in _class_files(part, listing):
                listing.recordings.append(Recording(path, label, split, split, f"{label}/{_series(path, part)}"))
        return listing
    listing = Listing()
    files = _class_files(folder, listing)
    for label in dict.fromkeys(label for _, label in files):
        paths = {path: (_within(path, folder).as_posix(), _series(path, folder)) for path, its in files if its == label}
        splits = draw_splits(name for name, _ in paths.values())
        by_group = draw_splits(series for _, series in paths.values())
        listing.recordings += [
            Recording(path, label, splits[name], by_group[series], f"{label}/{series}")
            for path, (name, series) in paths.items()
        ]
    return listing


def _holds_folders(folder: Path) -> bool:
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return bool(inside) and all(path.is_dir() for path in inside)


def draw_splits(names: Iterable[str]) -> dict[str, str]:
    """A split for each name by its hash. Of three names or more, each split gets one at least."""
    shares = {name: int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32 for name in names}
    ordered = sorted(shares, key=lambda name: (shares[name], name))
    if len(ordered) < 3:
        return dict.fromkeys(ordered, "train")
    n_val = min(max(1, sum(share < VAL_SHARE for share in shares.values())), len(ordered) - 2)
    n_held = min(max(n_val + 1, sum(share < VAL_SHARE + TEST_SHARE for share in shares.values())), len(ordered) - 1)
    return {name: "val" if at < n_val else "test" if at < n_held else "train" for at, name in enumerate(ordered)}


def esc50(folder: Path) -> Listing:
    """ESC-50: meta/esc50.csv and audio/. Folds 1 to 3 train, 4 validates, 5 tests; folds keep to source recordings."""
    listing = Listing()
    for row in _table(folder / "meta" / "esc50.csv", ("filename", "fold", "category", "src_file", "esc10")):
        split = {"4": "val", "5": "test"}.get(row["fold"], "train")
        licence = "CC-BY-3.0" if row["esc10"] == "True" else "CC-BY-NC-3.0"
        path = folder / "audio" / row["filename"]
        listing.recordings.append(
            Recording(path, class_name(row["category"]), split, split, f"freesound/{row['src_file']}", licence)
        )
    return listing


def urbansound8k(folder: Path) -> Listing:
    """UrbanSound8K: metadata/UrbanSound8K.csv and audio/foldN/. Folds 1 to 8 train, 9 validates, 10 tests.

    Sounds in the background (salience 2) are left out: what is louder than them has no label.
    """
    listing = Listing()
    columns = ("slice_file_name", "fsID", "salience", "fold", "class")
    for row in _table(folder / "metadata" / "UrbanSound8K.csv", columns):
        if row["salience"] == "2":
            listing.left_out.append(f"{row['slice_file_name']}: its class is in the background.")
            continue
        split = {"9": "val", "10": "test"}.get(row["fold"], "train")
        path = folder / "audio" / f"fold{row['fold']}" / row["slice_file_name"]
        listing.recordings.append(
            Recording(path, class_name(row["class"]), split, split, f"freesound/{row['fsID']}", "CC-BY-NC-3.0")
        )
    return listing


def fsd50k(folder: Path) -> Listing:
    """FSD50K: FSD50K.ground_truth/{dev,eval}.csv, FSD50K.{dev,eval}_audio/ and, for licences, FSD50K.metadata/.

    Clips carry their class and all that it belongs to; the most special one is taken. Clips of several sounds are
    left out.
    """
    rows = [
        (part, row)
        for part, columns in (("dev", ("fname", "labels", "split")), ("eval", ("fname", "labels")))
        for row in _table(folder / "FSD50K.ground_truth" / f"{part}.csv", columns)
    ]
    above = _broader_labels(row["labels"].split(",") for _, row in rows)
    infos = folder / "FSD50K.metadata"
    about = {part: _clip_infos(infos / f"{part}_clips_info_FSD50K.json") for part in ("dev", "eval")}
    listing = Listing()
    for part, row in rows:
        labels = row["labels"].split(",")
        special = [label for label in labels if not any((other, label) in above for other in labels)]
        if len(special) != 1:
            listing.left_out.append(f"{row['fname']}.wav: several sounds at once ({', '.join(special or labels)}).")
            continue
        info = about[part].get(row["fname"], {})
        split = row.get("split", "test")
        path = folder / f"FSD50K.{part}_audio" / f"{row['fname']}.wav"
        group = f"freesound/{info.get('uploader', row['fname'])}"
        licence = licence_name(info.get("license", ""))
        listing.recordings.append(Recording(path, class_name(special[0]), split, split, group, licence))
    return listing


LAYOUTS: Mapping[str, Callable[[Path], Listing]] = {
    "folder": folder_per_class, "esc50": esc50, "fsd50k": fsd50k, "urbansound8k": urbansound8k,
}  # fmt: skip


def class_name(text: str) -> str:
    """A class as the project writes it: in small letters, with underscores."""
    return re.sub(r"\W+", "_", text.lower()).strip("_")


def licence_name(url: str) -> str:
    """Creative Commons' address as a short name; anything else as it is."""
    found = re.search(r"creativecommons\.org/(?:licenses|publicdomain)/([a-z+-]+)/([\d.]+)", url)
    if not found:
        return url
    return "CC0-1.0" if found[1] == "zero" else f"CC-{found[1].upper()}-{found[2]}"


def _broader_labels(clips: Iterable[list[str]]) -> set[tuple[str, str]]:
    """Pairs (special, broad): every clip of the first carries the second too, and not the other way round."""
    alone, together = Counter(), Counter()
    for labels in clips:
        alone.update(labels)
        together.update(permutations(labels, 2))
    return {pair for pair, n in together.items() if n == alone[pair[0]] and alone[pair[1]] > n}


def _clip_infos(path: Path) -> dict[str, dict]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _folders(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not found:
        raise CorpusError(f"{folder} holds no folders; put the recordings of each class into a folder of its name.")
    return found


def _class_files(folder: Path, listing: Listing) -> list[tuple[Path, str]]:
    loose = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    listing.left_out += [f"{path.name}: lies in no class's folder." for path in loose]
    nameless = [part for part in _folders(folder) if not class_name(part.name)]
    listing.left_out += [f"{part.name}: a class is called by letters and digits." for part in nameless]
    files = [
        (path, class_name(part.name))
        for part in _folders(folder)
        if part not in nameless
        for path in sorted(part.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]
    strange = [path for path, _ in files if not _is_text(path)]  # of an archive from a system with another encoding
    listing.left_out += [f"{path.name!a}: its name, or its folder's, is not UTF-8; rename it." for path in strange]
    return [(path, label) for path, label in files if path not in strange]


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _within(path: Path, folder: Path) -> Path:
    """A file's path from its class's folder on, which lies in `folder`."""
    return Path(*path.relative_to(folder).parts[1:])


def _series(path: Path, folder: Path) -> str:
    """A file's name without its number, after the folders in its class's: takes of one session are mostly named so."""
    parent, name = _within(path, folder).parent, path.stem.rstrip("0123456789").rstrip("_-. ()")
    return (parent / name).as_posix() if name or parent.name else path.stem


def _table(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    if not path.is_file():
        raise CorpusError(f"{path} is missing; give the folder that the data set's archives were unpacked into.")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} is no CSV ({error}); take the data set's own file.") from error
    if lacking := [column for column in columns if not rows or column not in rows[0]]:
        raise CorpusError(f"{path} has no column {', '.join(lacking)}; is it the data set's own file?")
    if cut := [number for number, row in enumerate(rows, 2) if any(row[column] is None for column in columns)]:
        raise CorpusError(f"line {cut[0]} of {path} is cut off; take the data set's own file.")
    return rows
