"""Turning the array: channels roll, azimuths follow, and the turned array hears what it would hear there."""

import math
from dataclasses import replace

import numpy as np
import pytest

from seld_overlap_ros.config import MicrophoneArray, uniform_azimuths
from seld_overlap_ros.simulation.rooms import Place, draw_room, room_rirs, scene_rng
from seld_overlap_ros.simulation.turning import turns

CIRCLE = MicrophoneArray.circular()


def test_eight_microphones_and_eight_directions_have_eight_turns():
    found = turns(CIRCLE, uniform_azimuths())
    assert len(found) == 8
    assert found[0].microphones == found[0].directions == tuple(range(8))
    assert found[1].directions == (1, 2, 3, 4, 5, 6, 7, 0)


@pytest.mark.parametrize(("n_microphones", "n_directions", "n_turns"), [(4, 8, 4), (6, 8, 2), (6, 6, 6), (5, 8, 1)])
def test_only_turns_that_fit_microphones_and_directions_count(n_microphones, n_directions, n_turns):
    assert len(turns(MicrophoneArray.circular(n_microphones), uniform_azimuths(n_directions))) == n_turns


def test_an_array_that_is_written_down_in_tenths_of_a_millimetre_has_its_turns():
    exact = MicrophoneArray.circular(6, 0.0463).positions
    rounded = tuple(tuple(round(c, 4) for c in position) for position in exact)
    assert len(turns(MicrophoneArray(rounded), uniform_azimuths(6))) == 6


def test_a_microphone_in_the_middle_stays_where_it_is():
    array = MicrophoneArray((*MicrophoneArray.circular(6).positions, (0.0, 0.0, 0.0)))
    assert [turn.microphones[-1] for turn in turns(array, uniform_azimuths(6))] == [6] * 6


@pytest.mark.parametrize("step", [1, 3, 6])
def test_rolled_channels_are_those_of_a_source_turned_as_far(step):
    """Without echoes the room is round, so turning the array is as good as moving the source."""
    turn = turns(CIRCLE, uniform_azimuths())[step]
    room = draw_room(scene_rng("turn"), "turn", uniform_azimuths(), 1, 0, anechoic=True)
    there = Place(0, 2, math.radians(93), 1.0)
    turned = replace(there, azimuth=there.azimuth + turn.angle)
    before, after = (room_rirs(replace(room, places=(place,)), CIRCLE, 16000)[0] for place in (there, turned))
    np.testing.assert_allclose(before[list(turn.microphones)].astype(np.float32), after.astype(np.float32), atol=2e-3)
    assert turn.directions[2] == (2 + step) % 8
