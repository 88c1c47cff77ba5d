"""What training and its data cost: samples a second against the bare step, mixtures against the naive simulation."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyroomacoustics as pra
from torch.utils.data import DataLoader

from seld_overlap_ros.config import FrontEnd, MicrophoneArray, SystemConfig, uniform_azimuths
from seld_overlap_ros.simulation.fresh import FreshMixtures
from seld_overlap_ros.simulation.mixture import MAX_SOURCES
from seld_overlap_ros.simulation.noise import TRACK_S, NoiseBank
from seld_overlap_ros.simulation.rooms import MAX_ORDER, draw_room, make_bank, scene_rng
from seld_overlap_ros.simulation.store import MixtureStore, make_store
from seld_overlap_ros.speed.measure import Effort, flat
from seld_overlap_ros.speed.timing import quartiles, timed
from seld_overlap_ros.training.dataset import QueryDataset, collate
from seld_overlap_ros.training.feeding import TrainingStep, feeding_times

RATE = FrontEnd().sample_rate
CLIP_S = (0.2, 3.0)
SPLIT = "speed"
READY = 3  # batches that a loader has made before they are asked for
MIXTURES_A_ROOM = 167  # `data mix` draws 10,000 from 60 rooms


@dataclass(frozen=True)
class Burst:
    """A clip of noise that dies away."""

    label: str
    source: str
    samples: np.ndarray  # (n,)


def bursts(n_classes: int = 8, n_clips: int = 4) -> dict[str, list[Burst]]:
    """Clips of several lengths; what they sound like costs nothing."""
    rng = scene_rng(SPLIT, "clips")
    lengths = (rng.uniform(*CLIP_S, (n_classes, n_clips)) * RATE).astype(int)
    return {f"class {c}": [Burst(f"class {c}", f"{c} {k}", _burst(n, rng)) for k, n in enumerate(of_class)]
            for c, of_class in enumerate(lengths)}


def _burst(n: int, rng: np.random.Generator) -> np.ndarray:
    return (rng.uniform(-1, 1, n) * np.exp(-3 * np.arange(n) / n)).astype(np.float32)


def fresh_mixtures(n: int, per_direction: int) -> tuple[FreshMixtures, float]:
    """Mixtures as training draws them, in one room; and how long the room took [s]."""
    array, azimuths = MicrophoneArray.circular(), uniform_azimuths()
    began = time.perf_counter()
    bank = make_bank(SPLIT, 1, array, azimuths, RATE, per_direction)
    room_s = time.perf_counter() - began
    tracks = scene_rng(SPLIT, "noise").standard_normal((1, array.n_microphones, round(TRACK_S * RATE)), np.float32)
    noise = NoiseBank(tracks.astype(np.float16))
    return FreshMixtures(SPLIT, n, bursts(), bank, noise, FrontEnd().window_samples), room_s


def naive_mixture(fresh: FreshMixtures, index: int) -> np.ndarray:
    """The same kind of mixture as pyroomacoustics' manual has it, a room simulated for each: (M, n)."""
    rng = scene_rng(SPLIT, "naive", index)
    n_sources, array = int(rng.integers(1, MAX_SOURCES + 1)), fresh.bank.array
    room = draw_room(rng, "", fresh.bank.azimuths, 1, 0)
    absorption, order = pra.inverse_sabine(room.t60, room.size)
    shoebox = pra.ShoeBox(room.size, fs=RATE, materials=pra.Material(absorption), max_order=min(order, MAX_ORDER))
    centre, labels = np.array(room.centre), sorted(fresh.clips)
    shoebox.add_microphone_array((centre + np.array(array.positions)).T)
    for place in room.places[:n_sources]:
        offset = place.distance * np.array([math.cos(place.azimuth), math.sin(place.azimuth), 0.0])
        clip = rng.choice(fresh.clips[rng.choice(labels)])
        shoebox.add_source(centre + offset, signal=clip.samples, delay=rng.uniform(0, 1))
    shoebox.simulate(snr=15)
    return shoebox.mic_array.signals


def measure(effort: Effort, folder: Path) -> dict:
    """`training` and `generation`, for bench.json; what they need is made in a folder."""
    n = (effort.few + READY) * effort.batch
    fresh, room_s = fresh_mixtures(n, effort.places)
    store = make_store(folder / "mixtures", fresh)
    width = effort.model if isinstance(effort.model, float) else effort.widths[0]
    return {"training": training(store, fresh, width, effort.few, effort.batch),
            "generation": generation(fresh, room_s, effort.few)}


def generation(fresh: FreshMixtures, room_s: float, rounds: int) -> dict:
    """Mixtures drawn from a bank of rooms against those for which a room is simulated each, in turn."""
    works = (fresh.__getitem__, partial(naive_mixture, fresh))
    drawn, naive = np.array([[timed(partial(work, index)) for work in works] for index in range(rounds)]).T
    own = drawn + room_s / MIXTURES_A_ROOM
    numbers = flat({"drawn_ms": quartiles(1e3 * drawn), "naive_ms": quartiles(1e3 * naive)})
    return {**numbers, "room_s": round(room_s, 2), "mixtures_a_room": MIXTURES_A_ROOM,
            "speedup": round(float(naive.sum() / own.sum()), 2)}


def training(store: MixtureStore, fresh: FreshMixtures, width: float, rounds: int, batch: int) -> dict:
    """Samples a second of the bare step, and of steps that are fed as `train` feeds them; what the feeding costs."""
    costs = feeding_times(store, fresh, width, rounds, batch)  # ms a sample
    config = SystemConfig(store.labels, width=width, array=store.array, azimuths=store.azimuths)
    fed = fed_steps(TrainingStep(config), DataLoader(QueryDataset(store, config, 0.2), batch, num_workers=1,
                                                     collate_fn=collate))
    bare = np.array(costs["step"]) * batch / 1e3
    numbers = {f"{name}_ms": quartiles(np.array(each)) for name, each in costs.items()}
    numbers |= {"bare_samples_a_second": quartiles(batch / bare), "samples_a_second": quartiles(batch / fed)}
    return {"batch": batch, "width": width, **flat(numbers),
            "fed_over_bare": round(float(np.median(bare) / np.median(fed)), 3)}


def fed_steps(step: TrainingStep, loader: DataLoader) -> np.ndarray:
    """Time of each step with the wait before it [s]; the first ones, whose batches were ready, do not count."""
    times, began = [], time.perf_counter()
    for items in loader:
        step(items)
        times.append(time.perf_counter() - began)
        began = time.perf_counter()
    return np.array(times[READY:])
