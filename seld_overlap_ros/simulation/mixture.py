"""Scenes: dry clips in a room, as the array hears them, over diffuse noise. Every source has its label and stem."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import soxr
from scipy.signal import oaconvolve

from seld_overlap_ros.simulation.noise import NoiseBank
from seld_overlap_ros.simulation.rooms import Place, Room, RoomBank
from seld_overlap_ros.simulation.turning import Turn, turns

MAX_SOURCES = 3  # K
SHORT_S = 0.35  # shorter events come in series, as they do in life (sounds.md)
SERIES, SERIES_GAP_S = (2, 6), (0.2, 0.6)
LEVEL_RANGE_DB = (-8.0, 0.0)  # of a source, relative to the loudest possible
SNR_RANGE_DB = (10.0, 20.0)  # mean 15 dB, as the paper
PEAK_RANGE_DB = (-25.0, -1.0)  # of the mixture, relative to full scale
SPEED = (0.85, 1.18)  # of a varied clip: pitch and tempo together, as a larger or a smaller bell
VISIBLE = 0.7  # share of a clip that lies inside the window at least


class Clip(Protocol):
    """A dry recording of one class, peak-normalised, at the bank's sample rate."""

    label: str
    source: str
    samples: np.ndarray  # (n,)


@dataclass(frozen=True)
class Event:
    """What one source is and where and when it is: the truth that a scene carries."""

    label: str
    azimuth: float  # [rad]
    direction: int  # index of the sector
    onset_s: float
    duration_s: float
    clip: str  # which recording it is


@dataclass(frozen=True)
class Scene:
    """A mixture with its truth. Samples are float32, full scale -1 to 1."""

    mixture: np.ndarray  # (M, n)
    stems: np.ndarray  # (K, n) each source as microphone 0 hears it alone
    events: tuple[Event, ...]  # K
    snr_db: float
    room: str


def at_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    """Samples (n,) played `speed` times as fast, pitch and tempo together."""
    return soxr.resample(samples, speed, 1.0)


def as_heard(samples: np.ndarray, n_samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """The dry samples (n,) of one event: a clip, or a series of it where it is very short; at most n_samples."""
    if len(samples) >= SHORT_S * sample_rate:
        return samples[:n_samples]
    starts = np.cumsum(rng.uniform(*SERIES_GAP_S, rng.integers(SERIES[0], SERIES[1] + 1)))
    starts = ((starts - starts[0]) * sample_rate).astype(int)
    series = np.zeros(starts[-1] + len(samples), np.float32)
    for start in starts:
        series[start : start + len(samples)] += samples
    return series[:n_samples]


def place_in_window(dry: np.ndarray, n_samples: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Cut an event at the window's borders: the part inside and its first sample. At least VISIBLE of it is inside.

    Something sounds in that part, or it is placed anew: a series or a recording may be cut in one of its pauses.
    """
    hidden = round((1 - VISIBLE) * len(dry))
    while True:
        start = int(rng.integers(-hidden, max(n_samples - len(dry) + hidden, -hidden) + 1))
        inside = dry[max(0, -start) : n_samples - start]
        sounding = np.flatnonzero(inside)
        if len(sounding):
            return inside[sounding[0] : sounding[-1] + 1], max(0, start) + int(sounding[0])


def image(dry: np.ndarray, rir: np.ndarray, start: int, n_samples: int) -> np.ndarray:
    """A dry event (n,) through RIRs (M, L), beginning at sample `start`: what the array hears, (M, n_samples)."""
    heard = np.zeros((len(rir), n_samples), np.float32)
    wet = oaconvolve(dry[None].astype(np.float32), rir.astype(np.float32), axes=1)[:, : n_samples - start]
    heard[:, start : start + wet.shape[1]] = wet
    return heard


def level(samples: np.ndarray) -> float:
    """RMS over the samples (n,) in which something sounds: those within 40 dB of the peak."""
    loud = np.abs(samples) > 0.01 * np.max(np.abs(samples), initial=1e-9)
    return float(np.sqrt(np.mean(samples[loud] ** 2))) if loud.any() else 0.0


def draw_scene(rng: np.random.Generator, clips: dict[str, Sequence[Clip]], bank: RoomBank,
               noise: NoiseBank, n_samples: int, varied: bool = False) -> Scene:
    """Draw one mixture of 1 to 3 sources in distinct directions. `clips` maps each class to its recordings.

    varied: as the array hears it in one of the turns after which it looks the same (`turning.py`), and each clip
    played at a SPEED of its own.
    """
    room: Room = bank.rooms[rng.integers(len(bank.rooms))]
    n_sources = int(rng.integers(1, MAX_SOURCES + 1))
    directions = rng.permutation(sorted({p.direction for p in room.places}))[:n_sources]
    speeds = rng.spawn(1)[0].uniform(*SPEED, n_sources) if varied else np.ones(n_sources)
    labels = sorted(clips)
    images, events = [], []
    for direction, speed in zip(directions, speeds, strict=True):
        place: Place = rng.choice([p for p in room.places if p.direction == direction])
        of_class = clips[labels[rng.integers(len(labels))]]
        clip = of_class[rng.integers(len(of_class))]
        samples = at_speed(clip.samples, speed) if varied else clip.samples
        dry, start = place_in_window(as_heard(samples, n_samples, bank.sample_rate, rng), n_samples, rng)
        heard = image(dry, bank.rirs[place.row], start, n_samples)
        gain = 10 ** (rng.uniform(*LEVEL_RANGE_DB) / 20) / (level(heard[0]) + 1e-9)
        images.append(gain * heard)
        events.append(Event(clip.label, place.azimuth, place.direction, start / bank.sample_rate,
                            len(dry) / bank.sample_rate, clip.source))
    if varied:
        allowed = turns(bank.array, bank.azimuths)
        by = allowed[rng.integers(len(allowed))]
        images, events = [heard[list(by.microphones)] for heard in images], turned_events(events, by)
    snr_db = float(rng.uniform(*SNR_RANGE_DB))
    mixture, stems = mix(np.stack(images), noise.piece(n_samples, rng), snr_db)
    scale = np.float32(10 ** (rng.uniform(*PEAK_RANGE_DB) / 20) / np.max(np.abs(mixture)))
    return Scene(scale * mixture, scale * stems, tuple(events), snr_db, room.name)


def turned_events(events: Sequence[Event], by: Turn) -> list[Event]:
    """Where the turned array sees them."""
    return [replace(event, azimuth=math.remainder(event.azimuth + by.angle, 2 * math.pi),
                    direction=by.directions[event.direction]) for event in events]


def mix(images: np.ndarray, noise: np.ndarray, snr_db: float) -> tuple[np.ndarray, np.ndarray]:
    """Images (K, M, n) over noise (M, n) at an SNR [dB] -> mixture (M, n) and stems (K, n) at microphone 0.

    SNR is the power of all sources together at microphone 0, over the samples in which something sounds, over
    the power of the noise there.
    """
    clean = images.sum(axis=0)
    noise = noise * (level(clean[0]) / (np.sqrt(np.mean(noise[0] ** 2)) * 10 ** (snr_db / 20)))
    return (clean + noise).astype(np.float32), images[:, 0].astype(np.float32)
