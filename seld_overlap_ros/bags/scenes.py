"""What a bag is made from: a scene with its truth, a stored mixture, or a recording with a CSV of labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.data.recorded import class_names, events, read_labels, to_entry
from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.evaluation.recording import Track
from seld_overlap_ros.evaluation.truth import load_truth, stem_file
from seld_overlap_ros.streaming.pcm import AudioFormat
from seld_overlap_ros.streaming.sources import CHUNK_S, TAIL_S, SoundFile

if TYPE_CHECKING:
    from seld_overlap_ros.simulation.store import MixtureStore

LOSSLESS = {"PCM_16": "S16LE", "PCM_24": "S24LE"}  # soundfile's subtype -> sample format; of all others F32LE


@dataclass(frozen=True)
class BagScene:
    """What goes into a bag."""

    title: str
    audio: AudioFormat
    chunks: Iterable[np.ndarray]  # (n, M) float32 each, to be gone through once
    events: tuple[Event, ...]  # the truth
    credits: tuple[str, ...] = ()  # a line for each recording in it
    stems: Mapping[int, Track] = field(default_factory=dict)  # id of an event -> microphone 0 hears it alone


def from_scene(sound: Path) -> BagScene:
    """A sound file with its truth beside it as JSON, and its stems where it has some. Raises ValueError."""
    truth = load_truth(sound.with_suffix(".json"))
    scene = _from_file(sound, truth.title, truth.events, truth.credits)
    files = {event.id: stem_file(sound, event.id) for event in truth.events}
    return replace(scene, stems={known: _stem(file, scene.audio) for known, file in files.items() if file.is_file()})


def from_labels(sound: Path, labels: Path) -> BagScene:
    """A recording and a CSV as in data/recorded.py, class names in `classes.txt` beside the CSV. Raises ValueError."""
    return _from_file(sound, sound.stem, labelled(labels, sound), ())


def labelled(labels: Path, sound: Path) -> tuple[Event, ...]:
    """The true sounds of a recording by such a CSV. Raises ValueError."""
    names, found = class_names(labels.parent), events(read_labels(labels))
    entries = (to_entry(number, lines, names, sound, "") for number, lines in enumerate(found, 1))
    return tuple(map(Event.from_json, entries))


def from_mixture(store: MixtureStore, index: int) -> BagScene:
    """One of the stored mixtures. Raises ValueError if there is none of that number."""
    if not 0 <= index < len(store):
        raise ValueError(f"no mixture {index}: there are {len(store)}, counted from 0")
    scene, rate = store[index], FrontEnd().sample_rate
    truth = tuple(Event(number, event.azimuth, event.label, event.onset_s, event.duration_s)
                  for number, event in enumerate(scene.events, 1))
    # their 16 bits are scaled otherwise than S16LE's
    audio = AudioFormat(len(scene.mixture), rate, "F32LE")
    stems = {event.id: sounding(stem, rate) for event, stem in zip(truth, scene.stems, strict=True)}
    return BagScene(f"mixture {index}", audio, _cut(scene.mixture.T, rate), truth, stems=stems)


def sounding(samples: np.ndarray, sample_rate: int) -> Track:
    """Samples (n,) from time 0 of the scene on, without the silence before and after."""
    at = np.flatnonzero(samples)
    first, end = (at[0], at[-1] + 1) if len(at) else (0, 1)
    return Track(sample_rate, {int(first): samples[first:end]}, int(end))


def _stem(file: Path, audio: AudioFormat) -> Track:
    try:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    if (samples.shape[1], rate) != (1, audio.sample_rate):
        raise ValueError(f"{file} has {samples.shape[1]} channels at {rate} Hz: a stem has one at the scene's "
                         f"{audio.sample_rate} Hz")
    return sounding(samples[:, 0], rate)


def _cut(samples: np.ndarray, rate: int) -> Iterator[np.ndarray]:
    tail = np.zeros((round(TAIL_S * rate), samples.shape[1]), np.float32)
    samples, size = np.concatenate((samples, tail)), round(CHUNK_S * rate)
    return (samples[start : start + size] for start in range(0, len(samples), size))


def _from_file(path: Path, title: str, truth: tuple[Event, ...], credits: tuple[str, ...]) -> BagScene:
    file = SoundFile(path)
    sample_format = LOSSLESS.get(soundfile.info(path).subtype, "F32LE")
    audio = AudioFormat(file.channels, file.sample_rate, sample_format)
    return BagScene(title, audio, file.chunks(CHUNK_S, TAIL_S), truth, credits)
