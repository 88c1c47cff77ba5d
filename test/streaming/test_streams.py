"""Each sound's waveform comes in chunks that follow on from each other, from its onset to its end."""

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest

from seld_overlap_ros.config import FrontEnd, SystemConfig
from seld_overlap_ros.hearing import HeardSource
from seld_overlap_ros.streaming.overlap_add import SECOND, delay_samples, fade_samples, overlap_add
from seld_overlap_ros.streaming.streams import AROUND_NS, Chunk, DirectionStreams, Streams
from seld_overlap_ros.streaming.tracks import IDS_A_SECOND, Tracks

CONFIG = SystemConfig(labels=("bell", "dog"), front_end=FrontEnd(n_frames=256))
FRONT_END = CONFIG.front_end
N, RATE = FRONT_END.window_samples, FRONT_END.sample_rate
FADE = fade_samples(FRONT_END)
START_NS = 1_700_000_000 * SECOND
HOP_S = 0.5
LONG_S = 16.0
AROUND_S = AROUND_NS / SECOND
TOLERANCE_S = 3 * FRONT_END.hop / RATE
STEEPEST = 2 * np.pi * 440 / RATE + 1 / FADE  # of the tone, and of a fade


@pytest.fixture()
def tone() -> np.ndarray:
    return np.sin(2 * np.pi * 440 / RATE * np.arange(round((LONG_S + 5) * RATE))).astype(np.float32)


class Ear:
    """Tracks and the streams of their sounds, with a separator that changes nothing."""

    def __init__(self, signal: np.ndarray) -> None:
        self.signal, self.tracks = signal, Tracks(CONFIG)
        self.gain = lambda at_s: 1.0  # of the window at a time [s]
        self.streams = Streams(self.tracks)
        self.chunks: defaultdict[int, list[Chunk]] = defaultdict(list)  # id -> chunks

    def source(self, at_s: float, sounds: list[tuple[float, float]], direction: int = 0) -> HeardSource:
        """What is heard in the window at at_s [s] of sounds from and to [s]."""
        times = at_s + (np.arange(FRONT_END.n_frames) + 1) * FRONT_END.hop / RATE
        active = np.any([(begin <= times) & (times < end) for begin, end in sounds], axis=0)
        log_mag = np.zeros((FRONT_END.n_bins, FRONT_END.n_frames), np.float32)
        log_mag[20:40, active] = 0.9
        samples = self.gain(at_s) * self.signal[round(at_s * RATE) :][:N]
        return HeardSource(direction, 0.9, np.array([0.8, 0.2], np.float32), log_mag, samples)

    def hear(self, at_s: float, sounds: list[tuple[float, float]] | None) -> list[Chunk]:
        """One window; None for sounds: their direction is not heard in it."""
        sources = [] if sounds is None else [self.source(at_s, sounds)]
        window_ns = START_NS + round(at_s * SECOND)
        chunks = self.streams.update(window_ns, self.tracks.update(window_ns, sources))
        for chunk in chunks:
            self.chunks[chunk.sound.id % IDS_A_SECOND].append(chunk)
        return chunks

    def waveform(self, number: int) -> tuple[float, np.ndarray]:
        """Time [s] of the first sample of a sound and all its samples, whose chunks must follow on."""
        chunks = self.chunks[number]
        assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
        for before, after in pairwise(chunks):
            assert after.stamp_ns == before.stamp_ns + len(before.samples) * SECOND // RATE
        return (chunks[0].stamp_ns - START_NS) / SECOND, np.concatenate([chunk.samples for chunk in chunks])


def times(until_s: float) -> list[float]:
    return [k * HOP_S for k in range(int(until_s / HOP_S))]


def check(ear: Ear, number: int, begin_s: float, end_s: float) -> None:
    """A sound's waveform is the signal from begin_s to end_s, fading at both ends, and does not click."""
    at_s, heard = ear.waveform(number)
    assert at_s == pytest.approx(begin_s, abs=TOLERANCE_S)
    assert at_s + len(heard) / RATE == pytest.approx(end_s, abs=HOP_S)
    first = round(at_s * RATE)
    np.testing.assert_array_equal(heard[FADE:-FADE], ear.signal[first + FADE : first + len(heard) - FADE])
    assert np.abs(np.diff(np.concatenate([[0], heard, [0]]))).max() <= STEEPEST


def test_a_sound_comes_whole_from_its_onset_to_its_end(tone):
    ear = Ear(tone)
    for at in times(10):
        ear.hear(at, [(5.0, 8.0)])
    check(ear, 1, 5.0 - AROUND_S, 8.0 + AROUND_S)
    assert [chunk.sound.ended for chunk in ear.chunks[1]] == [False] * (len(ear.chunks[1]) - 1) + [True]


def test_while_it_sounds_every_window_brings_a_hop_with_a_fixed_delay(tone):
    ear = Ear(tone)
    for at in times(10):
        ear.hear(at, [(1.0, 99.0)])
    assert {len(chunk.samples) for chunk in ear.chunks[1][1:]} == {round(HOP_S * RATE)}
    end = ear.chunks[1][-1].stamp_ns + len(ear.chunks[1][-1].samples) * SECOND // RATE
    assert end == START_NS + round(9.5 * SECOND) + (N - delay_samples(FRONT_END)) * SECOND // RATE


def test_a_long_sound_is_what_all_windows_give_at_once(tone):
    ear = Ear(tone)
    ear.gain = lambda at_s: 1.0 + at_s  # the windows contradict each other
    for at in times(6):
        ear.hear(at, [(-9.0, 99.0)])
    _, streamed = ear.waveform(1)
    windows = np.stack([ear.source(at, []).samples for at in times(6)])
    np.testing.assert_array_equal(streamed, overlap_add([round(at * RATE) for at in times(6)], windows, FRONT_END))


def test_one_that_is_met_late_brings_what_its_window_holds_of_it(tone):
    ear = Ear(tone)
    for at in times(2):
        ear.hear(at, None)
    for at in (2.0, 2.5):
        ear.hear(at, [(3.0, 99.0)])
    at_s, heard = ear.waveform(1)
    assert at_s == pytest.approx(3.0 - AROUND_S, abs=TOLERANCE_S)
    assert at_s + len(heard) / RATE == pytest.approx(2.5 + (N - delay_samples(FRONT_END)) / RATE)


def test_one_that_is_over_when_it_is_met_comes_in_one_chunk(tone):
    ear = Ear(tone)
    for at in times(4):
        ear.hear(at, [(1.0, 2.0)])
    check(ear, 1, 1.0 - AROUND_S, 2.0 + AROUND_S)
    [chunk] = ear.chunks[1]
    assert chunk.sound.ended


def test_a_window_in_which_it_is_missed_leaves_no_gap(tone):
    ear = Ear(tone)
    for at in times(6):
        ear.hear(at, None if at == 3.0 else [(1.0, 99.0)])
    _, heard = ear.waveform(1)
    assert np.abs(np.diff(heard)).max() <= STEEPEST
    assert not any(chunk.sound.ended for chunk in ear.chunks[1])


def test_what_was_held_back_of_one_that_is_not_heard_again_is_delivered(tone):
    ear = Ear(tone)
    for at in times(5):
        ear.hear(at, [(1.0, 99.0)] if at < 3 else None)
    check(ear, 1, 1.0 - AROUND_S, 2.5 + N / RATE)
    assert len(ear.chunks[1][-1].samples) == FADE
    assert ear.chunks[1][-1].sound.ended


def test_one_that_goes_on_after_all_does_so_where_it_stopped(tone):
    ear = Ear(tone)
    ear.hear(0.0, [(1.0, 3.0)])
    assert ear.chunks[1][-1].sound.ended
    for at in (0.5, 1.0, 1.5):
        ear.hear(at, [(1.0, 99.0)])
    _, heard = ear.waveform(1)
    assert np.abs(np.diff(heard)).max() <= STEEPEST
    assert not ear.chunks[1][-1].sound.ended


def test_of_two_after_each_other_neither_has_the_others_part(tone):
    ear = Ear(tone)
    for at in times(12):
        ear.hear(at, [(5.0, 6.0), (8.0, 9.0)])
    check(ear, 1, 5.0 - AROUND_S, 6.0 + AROUND_S)
    check(ear, 2, 8.0 - AROUND_S, 9.0 + AROUND_S)
    assert ear.waveform(1)[0] + len(ear.waveform(1)[1]) / RATE < 7.5


@pytest.mark.parametrize("jump_s", [-3.0, 10.0])
def test_when_the_stamps_jump_what_sounds_ends_and_another_begins(tone, jump_s):
    ear = Ear(tone)
    ear.hear(3.5, [(-9.0, 99.0)])
    chunks = ear.hear(3.5 + jump_s, [(-9.0, 99.0)])
    assert [(chunk.sound.id % IDS_A_SECOND, chunk.sound.ended) for chunk in chunks] == [(2, False), (1, True)]


def test_nothing_is_kept_of_sounds_that_are_gone(tone):
    ear = Ear(tone)
    for at in times(16):
        ear.hear(at, [(1.0, 2.0)])
    assert ear.streams._streams == {}


class TestDirections:
    """Of a direction, in place of a sound."""

    def stream(self, ear: Ear, heard: dict[float, bool], wanted: list[set[int]]) -> dict[int, list]:
        """at -> whether direction 0 is heard in that window, and which directions are wanted with each."""
        streams, pieces = DirectionStreams(FRONT_END), defaultdict(list)
        for at, directions in zip(heard, wanted, strict=True):
            sources = [ear.source(at, [(0, 99)])] if heard[at] else []
            for d, piece in streams.update(START_NS + round(at * SECOND), sources, directions).items():
                pieces[d].append(piece)
        return pieces

    def test_silence_where_nothing_is_heard_and_no_click_in_between(self, tone):
        heard = {at: 2 <= at < 4 for at in times(6)}
        pieces = self.stream(Ear(tone), heard, [{0, 5}] * len(heard))
        assert {len(piece.samples) for piece in pieces[0] + pieces[5]} == {round(HOP_S * RATE)}
        assert len(pieces[0]) == len(pieces[5]) == len(heard) - 1
        for before, after in pairwise(pieces[0]):
            assert after.stamp_ns == before.stamp_ns + round(HOP_S * SECOND)
        whole = np.concatenate([piece.samples for piece in pieces[0]])
        assert np.abs(np.diff(whole)).max() <= STEEPEST
        assert np.abs(whole).max() > 0.9
        assert not whole[: 2 * round(HOP_S * RATE)].any() and not whole[-round(HOP_S * RATE) :].any()
        assert not np.concatenate([piece.samples for piece in pieces[5]]).any()

    def test_one_that_is_wanted_again_begins_with_the_newest(self, tone):
        heard = dict.fromkeys(times(6), True)
        pieces = self.stream(Ear(tone), heard, [set() if 2 <= at < 4 else {0} for at in heard])
        assert {len(piece.samples) for piece in pieces[0]} == {round(HOP_S * RATE)}

    def test_a_jump_is_not_filled(self, tone):
        heard = dict.fromkeys([0.0, 0.5, 11.0, 11.5, 2.0, 2.5], True)
        pieces = self.stream(Ear(tone), heard, [{0}] * len(heard))
        assert [len(piece.samples) for piece in pieces[0]] == [round(HOP_S * RATE)] * 3
