"""Numbered frames that overlap, as HARK's, give each sample once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seld_overlap_ros.streaming.frames import OverlappingFrames, find_advance
from seld_overlap_ros.streaming.notices import Notices

RATE, SECOND = 16000, 1_000_000_000
START_NS = 1000 * SECOND


def recording(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-2000, 2000, (n, 2)).astype(np.float32)


def frames(samples: np.ndarray, advance: int, length: int):
    return [samples[at : at + length] for at in range(0, len(samples) - length + 1, advance)]


@given(st.integers(16, 128), st.integers(32, 128), st.integers(-5, 10**6))
@settings(deadline=None, max_examples=100)
def test_however_far_frames_overlap_each_sample_comes_once(advance, length, first):
    advance = min(advance, length)
    if length - advance < length // 4:
        advance = length  # so little overlap is taken for none
    samples = recording(20 * advance + length)
    taker, heard = OverlappingFrames(Notices(print)), []
    for k, frame in enumerate(frames(samples, advance, length)):
        stamp_ns, new = taker.push(first + k, START_NS, frame, RATE)
        assert not len(new) or stamp_ns == START_NS + len(heard) * SECOND // RATE
        heard.extend(new)
    np.testing.assert_array_equal(heard, samples[: 20 * advance + length])


@pytest.mark.parametrize("lost", [range(5, 6), range(5, 8), range(5, 30)])
def test_lost_frames_show_in_the_stamps(lost):
    samples, taker, at = recording(160 * 60), OverlappingFrames(Notices(print)), {}
    for k, frame in enumerate(frames(samples, 160, 512)):
        if k not in lost:
            stamp_ns, new = taker.push(k, START_NS, frame, RATE)
            at |= {round((stamp_ns - START_NS) * RATE / SECOND) + i: row for i, row in enumerate(new)}
    missing = set(range(len(samples) - 160)) - at.keys()
    assert missing == set(range(4 * 160 + 512, lost.stop * 160))  # what no frame has that came
    assert all((row == samples[i]).all() for i, row in at.items())


def test_frames_numbered_anew_start_anew_and_say_so(said, notices):
    taker, samples = OverlappingFrames(notices), recording(2000)
    for k, frame in enumerate(frames(samples, 160, 512)):
        taker.push(1000 + k, START_NS, frame, RATE)
    assert not len(taker.push(0, 2 * START_NS, samples[:512], RATE)[1])
    stamp_ns, new = taker.push(1, 3 * START_NS, samples[160:672], RATE)
    assert stamp_ns == 2 * START_NS
    np.testing.assert_array_equal(new, samples[:672])
    assert said == ["frame number 0 came after number 1009: listening starts anew"]


def test_a_frame_that_comes_twice_gives_nothing_the_second_time(said, notices):
    taker, heard, samples = OverlappingFrames(notices), [], recording(2000)
    for k, frame in enumerate(frames(samples, 160, 512)):
        for _ in range(2):
            heard.extend(taker.push(k, START_NS, frame, RATE)[1])
    np.testing.assert_array_equal(heard, samples[: len(heard)])
    assert len(heard) > 1900 and not said


def test_digital_silence_hides_the_overlap_and_that_is_said(said, notices):
    taker, silence = OverlappingFrames(notices), np.zeros((512, 2), np.float32)
    for k in range(10):
        assert not len(taker.push(k, START_NS, silence, RATE)[1])
    assert len(said) == 1
    assert "is the microphone muted?" in said[0]
    samples = recording(672)
    taker.push(10, START_NS, samples[:512], RATE)
    np.testing.assert_array_equal(taker.push(11, START_NS, samples[160:], RATE)[1], samples)


def test_frames_that_end_in_silence_do_not_show_how_far_they_lie_apart():
    click = np.zeros((672, 2), np.float32)
    click[:100] = recording(100)
    assert find_advance(click[:512], click[160:]) is None


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_frames_of_next_to_nothing_are_no_error(n):
    assert find_advance(recording(n), recording(2 * n)[n:]) in (None, n)


def test_a_small_overlap_may_be_chance():
    a = recording(64)
    b = np.concatenate([a[-8:], recording(120)[64:]])
    assert find_advance(a, b) == 64
