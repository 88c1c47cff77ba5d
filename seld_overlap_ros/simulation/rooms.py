"""Banks of room impulse responses (RIRs), simulated once with pyroomacoustics and convolved many times.

A bank belongs to one array and one split. Rooms, the array's place in them and the sources' places are drawn from a
generator seeded by (split, room), so splits never share a room (docs/reading.md, "Mixtures").
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from seld_overlap_ros.config import MicrophoneArray

RIR_SECONDS = 0.4  # T60 goes up to .4 s
MAX_ORDER = 30  # of image sources; enough for T60 <= .4 s, see test_rooms.py
JITTER = math.radians(5)  # azimuths lie off a grid of eight by up to this much [rad], off others in proportion
T60_RANGE = (0.15, 0.4)  # [s]
DISTANCE_RANGE = (0.7, 1.5)  # from the array's centre [m]; the authors' sources were about 1 m away
FLOOR_RANGE, HEIGHT_RANGE = (4.0, 8.0), (2.5, 3.5)  # [m]


def scene_rng(*key: object) -> np.random.Generator:
    """Generator seeded by a hash of the key, for example (split, index): the same in any order, on any worker."""
    digest = hashlib.sha256("/".join(str(part) for part in key).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


@dataclass(frozen=True)
class Place:
    """One place of a source, with its RIRs in row `row` of the bank."""

    row: int
    direction: int  # index of the sector
    azimuth: float  # [rad], off the grid
    distance: float  # [m]

    @property
    def offset(self) -> np.ndarray:
        """Where it lies from the array's centre on (3,) [m]."""
        return self.distance * np.array([math.cos(self.azimuth), math.sin(self.azimuth), 0.0])


@dataclass(frozen=True)
class Room:
    """One shoe-box room with the array in it. `t60` 0 [s] means anechoic."""

    name: str
    size: tuple[float, float, float]  # [m]
    t60: float  # [s]
    centre: tuple[float, float, float]  # of the array [m]
    places: tuple[Place, ...]


@dataclass(frozen=True)
class RoomBank:
    """Rooms and their RIRs (rows, M, L), float16, scaled so that the direct path at 1 m has amplitude 1."""

    sample_rate: int
    array: MicrophoneArray
    azimuths: tuple[float, ...]  # centre of each direction [rad]
    rooms: tuple[Room, ...]
    rirs: np.ndarray

    def save(self, folder: Path) -> None:
        """Write `rirs.npy` and `rooms.json` to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rooms.json").unlink(missing_ok=True)  # it is written last and says that the bank is whole
        np.save(folder / "rirs.npy", self.rirs)
        index = {"sample_rate": self.sample_rate, "array": asdict(self.array), "azimuths": self.azimuths,
                 "rooms": [asdict(r) for r in self.rooms]}
        (folder / "rooms.json").write_text(json.dumps(index, indent=1))

    @classmethod
    def load(cls, folder: Path) -> RoomBank:
        """Open a saved bank; the RIRs stay on disk. Raises FileNotFoundError that says what to do."""
        if not (folder / "rooms.json").is_file():
            raise FileNotFoundError(f"no rooms in {folder}: make them with `seld-overlap data rooms`")
        index = json.loads((folder / "rooms.json").read_text())
        rooms = tuple(
            Room(r["name"], tuple(r["size"]), r["t60"], tuple(r["centre"]), tuple(Place(**p) for p in r["places"]))
            for r in index["rooms"]
        )
        array = MicrophoneArray(tuple(map(tuple, index["array"]["positions"])))
        rirs = np.load(folder / "rirs.npy", mmap_mode="r")
        return cls(index["sample_rate"], array, tuple(index["azimuths"]), rooms, rirs)


def draw_room(rng: np.random.Generator, name: str, azimuths: Iterable[float], per_direction: int, row: int,
              anechoic: bool = False) -> Room:
    """Draw a room, the array's place and `per_direction` places in each direction; rows count up from `row`."""
    size = (*rng.uniform(*FLOOR_RANGE, 2), rng.uniform(*HEIGHT_RANGE))
    margin = DISTANCE_RANGE[1] + 0.2
    centre = (*(rng.uniform(margin, s - margin) for s in size[:2]), rng.uniform(0.8, 1.6))
    t60 = 0.0 if anechoic else rng.uniform(*T60_RANGE)
    places, azimuths = [], tuple(azimuths)
    jitter = JITTER * 8 / len(azimuths)
    for direction, azimuth in enumerate(azimuths):
        for _ in range(per_direction):
            exact = math.remainder(azimuth + rng.uniform(-jitter, jitter), 2 * math.pi)
            places.append(Place(row + len(places), direction, float(exact), float(rng.uniform(*DISTANCE_RANGE))))
    return Room(name, tuple(map(float, size)), float(t60), tuple(map(float, centre)), tuple(places))


def room_rirs(room: Room, array: MicrophoneArray, sample_rate: int) -> np.ndarray:
    """RIRs (places, M, L) float16 of one room, by image sources (pyroomacoustics)."""
    import pyroomacoustics as pra  # not needed by the robot

    absorption, order = pra.inverse_sabine(room.t60, room.size) if room.t60 else (1.0, 0)
    walls = pra.Material(absorption)
    shoebox = pra.ShoeBox(room.size, fs=sample_rate, materials=walls, max_order=min(order, MAX_ORDER))
    centre = np.array(room.centre)
    shoebox.add_microphone_array((centre + np.array(array.positions)).T)
    for place in room.places:
        shoebox.add_source(centre + place.offset)
    shoebox.compute_rir()
    # pyroomacoustics centres its fractional delay filters half their length late
    late = pra.constants.get("frac_delay_length") // 2
    rirs = np.zeros((len(room.places), array.n_microphones, round(RIR_SECONDS * sample_rate)), np.float16)
    for m, by_source in enumerate(shoebox.rir):
        for k, rir in enumerate(by_source):
            rir = 4 * math.pi * rir[late : late + rirs.shape[-1]]
            rirs[k, m, : len(rir)] = rir
    return rirs


def make_bank(split: str, n_rooms: int, array: MicrophoneArray, azimuths: tuple[float, ...], sample_rate: int,
              per_direction: int = 3, anechoic: bool = False, track=iter) -> RoomBank:
    """Draw and simulate the rooms of a split. `track` wraps the iterable of room indices (progress bars)."""
    rooms, rirs = [], []
    kind = "anechoic" if anechoic else "room"
    for index in track(range(n_rooms)):
        row = index * len(azimuths) * per_direction
        room = draw_room(scene_rng("rooms", split, kind, index), f"{split}/{kind}/{index}", azimuths, per_direction,
                         row, anechoic)
        rooms.append(room)
        rirs.append(room_rirs(room, array, sample_rate))
    return RoomBank(sample_rate, array, azimuths, tuple(rooms), np.concatenate(rirs))
