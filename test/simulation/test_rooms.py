"""Rooms: physics holds, splits do not meet, draws do not depend on order."""

import math

import numpy as np
import pytest
from pyroomacoustics.experimental import measure_rt60

from seld_overlap_ros.config import MicrophoneArray, uniform_azimuths
from seld_overlap_ros.simulation.rooms import JITTER, RoomBank, draw_room, make_bank, room_rirs, scene_rng

ARRAY = MicrophoneArray.circular()
AZIMUTHS = uniform_azimuths()
RATE = 16000


@pytest.fixture(scope="module")
def bank() -> RoomBank:
    return make_bank("test", 2, ARRAY, AZIMUTHS, RATE, per_direction=1)


def peak_position(rir: np.ndarray) -> float:
    """Arrival of the direct path [samples], to a fraction of a sample by a parabola."""
    k = int(np.argmax(rir))
    left, mid, right = rir[k - 1 : k + 2]
    return k + 0.5 * (left - right) / (left - 2 * mid + right)


def test_direct_path_delay_is_distance_over_c():
    room = draw_room(scene_rng("delay"), "a", AZIMUTHS, 1, 0, anechoic=True)
    rirs = room_rirs(room, ARRAY, RATE).astype(np.float64)
    for place in room.places:
        source = place.distance * np.array([np.cos(place.azimuth), np.sin(place.azimuth), 0])
        for m, position in enumerate(ARRAY.positions):
            expected = np.linalg.norm(source - position) / 343.0 * RATE
            assert peak_position(rirs[place.row, m]) == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize("n", [4, 8, 12, 72])
def test_places_lie_in_their_own_sector(n):
    azimuths = uniform_azimuths(n)
    room = draw_room(scene_rng("sectors", n), "a", azimuths, 20, 0)
    off = [math.remainder(place.azimuth - azimuths[place.direction], 2 * math.pi) for place in room.places]
    assert max(map(abs, off)) == pytest.approx(math.radians(40 / n), rel=0.1)


def test_microphone_nearest_to_the_source_hears_it_first(bank):
    for place in bank.rooms[0].places:
        arrivals = [np.argmax(bank.rirs[place.row, m]) for m in range(8)]
        assert arrivals[place.direction] == min(arrivals)


@pytest.mark.parametrize("t60", [0.2, 0.3, 0.4])
def test_measured_t60_is_near_the_asked_one(t60):
    drawn = draw_room(scene_rng("t60"), "a", AZIMUTHS, 1, 0)
    room = type(drawn)(drawn.name, (6.0, 5.0, 2.8), t60, (3.1, 2.4, 1.2), drawn.places)
    rir = room_rirs(room, ARRAY, RATE)[0, 0].astype(np.float64)
    assert measure_rt60(rir, RATE, decay_db=30) == pytest.approx(t60, rel=0.2)


def test_energy_decays(bank):
    energy = (bank.rirs[0, 0].astype(np.float64) ** 2).reshape(8, -1).sum(axis=1)
    assert (np.diff(energy[1:]) < 0).all()


def test_azimuths_are_off_the_grid_but_near_it(bank):
    for place in bank.rooms[0].places:
        off = np.angle(np.exp(1j * (place.azimuth - AZIMUTHS[place.direction])))
        assert 0 < abs(off) <= JITTER and -np.pi < place.azimuth <= np.pi


def test_splits_share_no_room_and_draws_repeat(bank):
    again = make_bank("test", 1, ARRAY, AZIMUTHS, RATE, per_direction=1)
    assert again.rooms[0] == bank.rooms[0]
    np.testing.assert_array_equal(again.rirs, bank.rirs[:8])
    assert make_bank("train", 1, ARRAY, AZIMUTHS, RATE, 1).rooms[0].size != bank.rooms[0].size


def test_a_bank_that_was_half_saved_over_another_is_refused(bank, tmp_path, monkeypatch):
    bank.save(tmp_path)
    monkeypatch.setattr(np, "save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bank.save(tmp_path)
    with pytest.raises(FileNotFoundError, match="seld-overlap data rooms"):
        RoomBank.load(tmp_path)


def test_saved_bank_comes_back(bank, tmp_path):
    bank.save(tmp_path)
    loaded = RoomBank.load(tmp_path)
    assert loaded.rooms == bank.rooms and loaded.array == bank.array
    np.testing.assert_array_equal(loaded.rirs, bank.rirs)
