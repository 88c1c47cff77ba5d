"""Recordings of the user's own, taken over into the folder of sounds that everything else reads."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from .cutting import NOISE_PIECE_S, WINDOW_S, SilentError, cut_clip, cut_noise
from .layouts import LAYOUTS, NOISE, CorpusError, Recording
from .recorded import import_scenes
from .sounds import OWN_NOISE, Index, alone
from .sources import Row

_SAVE_EVERY = 500  # clips, so that a stopped run goes on from there


@dataclass
class ImportReport:
    """What was taken over: counts by class and split, and a sentence for each file that was not."""

    into: Path
    what: str = "clips"
    taken: int = 0  # clips or scenes that are there now
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # (class, split)
    noises: int = 0
    longer: int = 0  # clips than a window
    longer_noises: int = 0  # than NOISE_PIECE_S
    skipped: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)  # sources whose samples are in another split too
    # series of takes -> pairs of splits that it is in: of the file, and by group
    series: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))

    def summary(self) -> str:
        """What came of it and what is missing still, for people."""
        splits = defaultdict(dict)
        for (label, split), n in sorted(self.counts.items()):
            splits[label][split] = n
        lines = [f"{label}: {', '.join(f'{n} {split}' for split, n in by.items())}" for label, by in splits.items()]
        lines.append(f"{self.taken} {self.what} of {len(splits)} classes in {self.into}; {len(self.skipped)} left out.")
        if self.longer:
            lines.append(f"{self.longer} are longer than {WINDOW_S:.1f} s: that much of them is kept.")
        if self.noises:
            lines.append(f"{self.noises} recordings of background noise.")
        if self.longer_noises:
            lines.append(f"{self.longer_noises} of them are longer than {NOISE_PIECE_S:.0f} s: that much is kept.")
        if self.twice:
            lines.append(f"{len(self.twice)} are in another split too, under another name ({', '.join(self.twice[:3])}"
                         f"{', ...' if len(self.twice) > 3 else ''}): remove one of the two from its folder and import "
                         "that again, as scores would be too good.")
        if self.what == "clips":
            lines += self._missing(list(splits))
            if parted := sorted(name for name, its in self.series.items() if _was_parted(its)):
                lines.append(f"Files of one name and another number are in several splits ({', '.join(parted[:3])}"
                             f"{', ...' if len(parted) > 3 else ''}). Should they be pieces of one recording, sort "
                             "them into train/CLASS, val/CLASS and test/CLASS yourself: scores would be too good.")
        return "\n".join(lines)

    def _missing(self, labels: list[str]) -> list[str]:
        there = {(row["class"], row["split"]) for row in Index(self.into, "sounds").rows.values()}  # of others too
        lines = [
            f"Missing: {label} has no clips for {' and '.join(lacking)}; add recordings."
            for label in labels
            if (lacking := [split for split in ("test", "train", "val") if (label, split) not in there])
        ]
        if {row["split"] for row in Index(self.into, "noise").rows.values()} != {"train", "test"}:
            lines.append(
                "Missing: background noise to train and to test with. Put three recordings or more into a folder "
                f"`{NOISE}` beside the classes and import again, or run `seld-overlap data sounds`."
            )
        if labels:
            lines.append("To train on these classes alone, copy a recipe, add to it `labels: "
                         f"[{', '.join(map(json.dumps, labels))}]`, and name its file in `data mix --recipe` and "
                         "`train --recipe`.")
        return lines


def import_corpus(
    layout: str, folder: Path, into: Path, licence: str = "", track: Callable[[Iterable], Iterable] = iter
) -> ImportReport:
    """Cut every recording of a collection into a folder of sounds; goes on where it stopped.

    `layout` is "folder", "esc50", "fsd50k", "urbansound8k", or "dcase" for multichannel scenes; `licence` is written
    where the layout does not say. `track` wraps the list of files (progress bars). Raises CorpusError.
    """
    if layout not in (*LAYOUTS, "dcase"):
        raise CorpusError(f"no layout is called {layout}; there are {', '.join(LAYOUTS)} and dcase.")
    if not folder.is_dir():
        raise CorpusError(f"{folder} is no folder; name the one that holds the recordings.")
    report = ImportReport(into)
    if layout == "dcase":
        report.what = "scenes"
        scenes, report.skipped = import_scenes(folder, into, licence, track)
        report.taken = len(scenes)
        report.counts.update((label, "scenes") for labels in scenes for label in labels)
        return report
    if layout == "folder" and into.resolve().is_relative_to(folder.resolve()):
        raise CorpusError(f"{into} lies in {folder}, and what is cut would be taken for recordings the next time; put "
                          "one of the two elsewhere.")
    with alone(into):
        _import_clips(layout, folder, licence, report, track)
    return report


def _import_clips(
    layout: str, folder: Path, licence: str, report: ImportReport, track: Callable[[Iterable], Iterable]
) -> None:
    listing, into = LAYOUTS[layout](folder), report.into
    report.skipped += listing.left_out
    indexes = {"sounds": Index(into, "sounds"), "noise": Index(into, "noise")}
    _check_name(indexes, folder)
    for number, recording in enumerate(track(listing.recordings), start=1):
        _take(recording, folder, licence, indexes, report)
        if number % _SAVE_EVERY == 0:
            _save(indexes)
    sources = {_source(recording, folder) for recording in listing.recordings}
    _forget_others(indexes, sources, folder)
    _save(indexes)
    report.twice = _twice(indexes["sounds"], sources)


def _twice(index: Index, sources: set[str]) -> list[str]:
    """Of these sources those of which another one in another split has the same samples."""
    splits = defaultdict(set)
    for row in index.rows.values():
        splits[row["sha256_here"]].add(row["split"])
    return [source for source in index.rows if source in sources and len(splits[index.rows[source]["sha256_here"]]) > 1]


def _was_parted(splits: set[tuple[str, str]]) -> bool:
    """Whether a draw parted a series of takes: by group, a draw puts all of one into one split."""
    by_file, by_group = (set(its) for its in zip(*splits, strict=True))
    return len(by_file) > 1 and len(by_group) == 1


def _save(indexes: dict[str, Index]) -> None:
    for index in indexes.values():
        index.save()


def _source(recording: Recording, folder: Path) -> str:
    return f"{folder.resolve().name}/{recording.path.relative_to(folder).as_posix()}"


def _check_name(indexes: dict[str, Index], folder: Path) -> None:
    """Raises CorpusError where sounds of another folder of this name, which is still there, are in the lists.

    Sources are told apart by it. Lists that older versions made do not say which folder it was.
    """
    here = folder.resolve()
    for index in indexes.values():
        others = {row.get("folder", "") for source, row in index.rows.items() if source.startswith(f"{here.name}/")}
        for other in sorted(others - {"", str(here)}):
            if Path(other).is_dir():
                raise CorpusError(f"{index.path} holds sounds of another folder called {here.name} ({other}): rename "
                                  "one of the two.")


def _forget_others(indexes: dict[str, Index], sources: set[str], folder: Path) -> None:
    """Drop what an earlier import took from files of this folder that are gone."""
    prefix = f"{folder.resolve().name}/"
    for index in indexes.values():
        gone = [s for s, row in index.rows.items() if not row["package"] and s.startswith(prefix) and s not in sources]
        for source in gone:
            del index.rows[source]


def _take(recording: Recording, folder: Path, licence: str, indexes: dict[str, Index], report: ImportReport) -> None:
    is_noise = recording.label == NOISE
    index = indexes["noise" if is_noise else "sounds"]
    row = _row(recording, folder, licence, is_noise)
    try:
        info = soundfile.info(recording.path)
        if not (index.holds(row) and _newer(index.folder / index.rows[row["source"]]["file"], recording.path)):
            index.add(row, _cut(recording.path, is_noise))
    except (soundfile.LibsndfileError, TypeError) as error:  # a TypeError of files without a header
        reason = getattr(error, "error_string", str(error)).rstrip(".")
        if recording.path.exists():  # else its disk may be away, and what was cut of it is good
            index.rows.pop(row["source"], None)
        else:
            reason = "there is no such file"
        report.skipped.append(f"{row['source']}: cannot be read ({reason}).")
    except SilentError as error:
        index.rows.pop(row["source"], None)
        report.skipped.append(f"{row['source']}: {error}")
    else:
        report.longer += not is_noise and info.duration > WINDOW_S
        report.longer_noises += is_noise and info.duration > NOISE_PIECE_S
        report.noises += is_noise
        if not is_noise:
            report.taken += 1
            report.counts[recording.label, recording.split] += 1
            report.series[recording.group].add((recording.split, recording.split_by_group))


def _row(recording: Recording, folder: Path, licence: str, is_noise: bool) -> Row:
    source = _source(recording, folder)
    common = {"package": "", "source": source, "duration": "", "licence": recording.licence or licence, "sha256": "",
              "folder": str(folder.resolve())}
    if is_noise:
        return {"kind": OWN_NOISE, **common, "split": "test" if recording.split == "test" else "train"}
    return {"class": recording.label, **common, "source_id": f"file:{source}", "split": recording.split,
            "split_by_group": recording.split_by_group, "group": recording.group}  # fmt: skip


def _newer(made: Path, source: Path) -> bool:
    """By when the source came to lie there, too: a copy may keep an older date."""
    there = source.stat()
    return made.stat().st_mtime >= max(there.st_mtime, there.st_ctime)


def _cut(path: Path, is_noise: bool) -> np.ndarray:
    rate = soundfile.info(path).samplerate
    most_s = NOISE_PIECE_S if is_noise else 3 * WINDOW_S
    samples, _ = soundfile.read(path, frames=round(most_s * rate), dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise SilentError("holds samples that are no numbers; save it again.")
    try:
        return (cut_noise if is_noise else cut_clip)(mono, rate)
    except SilentError as error:
        raise SilentError(f"nothing sounds in its first {most_s:.0f} s.") from error
