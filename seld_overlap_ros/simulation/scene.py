"""Long scenes from a script: which clip sounds where and when, in one simulated room, over diffuse noise."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
import yaml

from seld_overlap_ros.config import MicrophoneArray, uniform_azimuths
from seld_overlap_ros.data.sounds import Clip, NoiseClip
from seld_overlap_ros.evaluation.truth import stem_file
from seld_overlap_ros.simulation.mixture import as_heard, image, level, mix
from seld_overlap_ros.simulation.noise import diffuse_noise
from seld_overlap_ros.simulation.rooms import Place, Room, draw_room, room_rirs, scene_rng

SHORTEST_S = 0.1  # of a sound, before the scene ends
NUMBERS = ("duration_s", "snr_db", "azimuth_deg", "distance", "onset_s", "level_db")
TEXTS = ("title", "noise", "noise_author", "source", "author")
PEAK = 0.2  # of full scale: a distance to clipping that recordings keep


@dataclass(frozen=True)
class Cue:
    """One sound of a script."""

    source: str  # of the clip, as in the manifest
    azimuth_deg: float
    distance: float  # [m]
    onset_s: float
    author: str  # to be named wherever the scene goes
    level_db: float = 0.0  # beside the other sounds


@dataclass(frozen=True)
class Script:
    """A scene to be made. `name` seeds the room and everything else that is drawn."""

    name: str
    title: str
    duration_s: float
    snr_db: float
    noise: str  # source of the background recording
    noise_author: str
    cues: tuple[Cue, ...]


def load_script(path: Path) -> Script:
    """Read a script from YAML. Raises ValueError with one sentence that names what is missing or unknown."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        cues = tuple(Cue(**cue) for cue in values["cues"])
        script = Script(**{**values, "name": path.stem, "cues": cues})
        outside = [cue.source for cue in cues if not 0 <= cue.onset_s < script.duration_s - SHORTEST_S]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is no script of a scene, such as the shipped scenes/demo.yaml ({error})") from error
    for one in (script, *cues):
        odd = [name for name, value in vars(one).items() if name in NUMBERS and not _is_number(value)]
        if odd:
            raise ValueError(f"{path}: {odd[0]} must be a number, got {getattr(one, odd[0])!r}")
        if odd := [name for name, value in vars(one).items() if name in TEXTS and not isinstance(value, str)]:
            raise ValueError(f"{path}: {odd[0]} must be a text, got {getattr(one, odd[0])}: put it into quotes")
    if near := [cue.source for cue in cues if cue.distance <= 0]:
        raise ValueError(f"{path}: {', '.join(near)} must have a distance of more than 0 m")
    if not cues:
        raise ValueError(f"{path} has no cues: say what sounds where and when")
    if outside:
        raise ValueError(f"{path}: {', '.join(outside)} must begin at 0 or later, and {SHORTEST_S:g} s or more before "
                         "the scene ends: correct onset_s or duration_s")
    return script


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def play_script(
    script: Script, clips: Sequence[Clip], noises: Sequence[NoiseClip], array: MicrophoneArray, sample_rate: int
) -> tuple[np.ndarray, np.ndarray, dict]:
    """The scene (M, n), its stems (K, n) at microphone 0, float32, and its truth as plain values.

    Raises ValueError if a recording is not there, or a sound would lie outside of the room.
    """
    rng = scene_rng("scene", script.name)
    n_samples = round(script.duration_s * sample_rate)
    room = _room(script)
    rirs = room_rirs(room, array, sample_rate)  # (K, M, L)
    images, events = [], []
    for number, (cue, rir) in enumerate(zip(script.cues, rirs, strict=True), 1):
        clip = _find(cue.source, clips)
        dry, onset = as_heard(clip.samples, n_samples, sample_rate, rng), round(cue.onset_s * sample_rate)
        heard = image(dry, rir, onset, n_samples)
        images.append(10 ** (cue.level_db / 20) / level(heard[0]) * heard)
        events.append({
            "id": number, "azimuth_deg": cue.azimuth_deg, "label": clip.label, "onset_s": cue.onset_s,
            "duration_s": round(min(len(dry), n_samples - onset) / sample_rate, 3), "source": cue.source,
            "author": cue.author, "licence": clip.licence,
        })
    background = _find(script.noise, noises)
    noise = diffuse_noise([background.samples], array, n_samples, sample_rate, rng)
    mixture, stems = mix(np.stack(images), noise, script.snr_db)
    scale = np.float32(PEAK / np.abs(mixture).max())
    truth = {
        "title": script.title, "sample_rate": sample_rate, "snr_db": script.snr_db,
        "room": {"size_m": [round(s, 2) for s in room.size], "t60_s": round(room.t60, 3)},
        "array": asdict(array), "events": events,
        "noise": [{"source": background.source, "author": script.noise_author, "licence": background.licence}],
    }  # fmt: skip
    return scale * mixture, scale * stems, truth


def write_scene(scene: np.ndarray, stems: np.ndarray, truth: dict, path: Path) -> None:
    """Write a scene (M, n) as 16-bit FLAC, and beside it its stems (K, n), one file each, and its truth as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, scene.T, truth["sample_rate"], subtype="PCM_16")
    for event, stem in zip(truth["events"], stems, strict=True):
        file = stem_file(path, event["id"])
        file.parent.mkdir(exist_ok=True)
        soundfile.write(file, stem, truth["sample_rate"], subtype="PCM_16")
    path.with_suffix(".json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


def _room(script: Script) -> Room:
    """A room as in training, but of its own, with the places that the script asks for. Raises ValueError."""
    drawn = draw_room(scene_rng("rooms", "script", script.name), script.name, uniform_azimuths(), 1, 0)
    places = tuple(
        Place(row, -1, math.radians(cue.azimuth_deg), cue.distance) for row, cue in enumerate(script.cues)
    )
    for cue, place in zip(script.cues, places, strict=True):
        at = np.array(drawn.centre) + place.offset
        if (at <= 0).any() or (at >= drawn.size).any():
            size = " x ".join(f"{side:.1f}" for side in drawn.size[:2])
            raise ValueError(f"{cue.source} would lie outside of the room that is drawn for {script.name}, of {size} "
                             f"m: set a distance of less than {cue.distance:g} m")
    return Room(drawn.name, drawn.size, drawn.t60, drawn.centre, places)


def _find(source: str, recordings: Sequence) -> Clip | NoiseClip:
    for recording in recordings:
        if recording.source == source:
            return recording
    raise ValueError(f"no recording {source!r} among the sounds: run `seld-overlap data sounds`, or correct the script")
