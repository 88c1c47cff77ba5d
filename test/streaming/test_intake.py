"""Bad messages of an audio topic are refused in a sentence, and the next good ones are heard all the same."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.streaming.intake import Chunk, Intake, stand_still
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.pcm import SAMPLE_FORMATS, Description, encode
from seld_overlap_ros.streaming.stream import SECOND

GOOD = Description(2, 16000, "S16LE", "wave")
START_NS = 1_000 * SECOND


@pytest.fixture()
def intake(front_end, notices) -> Intake:
    return Intake(front_end, 2, 0.25, notices)


@pytest.fixture()
def samples(front_end) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (front_end.window_samples, 2)).astype(np.float32)


def hears_the_window(windows, samples) -> bool:
    return len(windows) == 1 and np.allclose(windows[0].samples, samples.T, atol=2**-15)


def test_chunks_wait_until_their_format_is_known(intake, samples, said):
    assert not intake.push(Chunk(START_NS, encode(samples, "S16LE")))
    assert not intake.knows_format
    assert hears_the_window(intake.describe(GOOD), samples)
    assert not said


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        ((6, 16000, "S16LE", "wave"), "the audio has 6 channels and the model needs 2: capture all microphones of the"),
        ((2, 16000, "S16LE", "mp3"), "start audio_capture with format:=wave"),
        ((2, 16000, "U16BE", "wave"), "unknown sample format 'U16BE'"),
        ((2, 0, "S16LE", "wave"), "sample rate of 0 Hz"),
    ],
)
def test_a_format_that_cannot_be_used_is_refused_until_a_good_one_comes(
    intake, samples, said, description, sentence
):
    assert not intake.describe(Description(*description))
    assert intake.knows_format
    assert not intake.push(Chunk(START_NS, encode(samples, "S16LE")))
    assert len(said) == 1
    assert sentence in said[0]
    intake.describe(GOOD)
    assert hears_the_window(intake.push(Chunk(START_NS + SECOND, encode(samples, "S16LE"))), samples)


def test_odd_bytes_are_left_out_and_the_rest_is_heard(intake, samples, said):
    intake.describe(GOOD)
    assert not intake.push(Chunk(START_NS, encode(samples, "S16LE")[:-1]))
    assert "no whole number of 2-channel S16LE frames" in said[0]
    assert hears_the_window(intake.push(Chunk(START_NS, encode(samples, "S16LE"))), samples)


def test_a_message_without_samples_is_refused_in_a_sentence(intake, samples, said):
    assert not intake.push(Chunk(START_NS, b""))
    assert intake.counts.refused == 1 and "a message without samples is left out" in intake.counts.refusal
    assert "a message without samples" in said[0]
    intake.describe(GOOD)
    assert not intake.push(Chunk(START_NS, b""))
    assert hears_the_window(intake.push(Chunk(START_NS, encode(samples, "S16LE"))), samples)
    assert not intake.counts.refusal


def test_after_the_format_of_another_source_was_forgotten_chunks_wait_for_their_own(intake, samples, said):
    intake.push(Chunk(START_NS, encode(samples[:100], "F32LE"), Description(2, 48000, "F32LE")))
    intake.forget_format()
    assert not intake.knows_format
    assert not intake.push(Chunk(START_NS + 10 * SECOND, encode(samples, "S16LE")))
    assert hears_the_window(intake.describe(GOOD), samples)


def test_what_waits_for_the_format_of_a_source_that_went_is_not_taken_for_that_of_the_next(intake, samples, said):
    intake.push(Chunk(START_NS, bytes(range(256)) * 4))
    intake.forget_format()
    intake.describe(Description(2, 16000, "S32LE"))
    assert intake.stream.next_stamp_ns is None and not said


def test_samples_that_are_no_numbers_count_as_silence(intake, samples, said):
    intake.describe(Description(2, 16000, "F32LE"))
    broken = samples.copy()
    broken[100:110] = np.nan
    broken[200] = np.inf
    windows = intake.push(Chunk(START_NS, encode(broken, "F32LE")))
    expected = np.where(np.isfinite(broken), broken, 0)
    np.testing.assert_array_equal(windows[0].samples, expected.T)
    assert said == ["22 samples of a chunk are NaN, infinite or absurdly large and count as 0"]


def test_audio_without_stamps_is_taken_for_unbroken(intake, samples, said):
    intake.describe(GOOD)
    half = len(samples) // 2
    assert not intake.push(Chunk(0, encode(samples[:half], "S16LE")))
    windows = intake.push(Chunk(0, encode(samples[half:], "S16LE")))
    assert hears_the_window(windows, samples)
    assert windows[0].stamp_ns == 0
    assert said == ["the audio has no stamps: it is taken for unbroken, its time counts from 0"]


def test_what_waits_for_a_format_does_not_grow_without_end(intake, monkeypatch):
    monkeypatch.setattr("seld_overlap_ros.streaming.intake.MAX_WAITING", 100_000)
    for k in range(1000):
        intake.push(Chunk(START_NS + k * SECOND, bytes(4000)))
    assert len(intake._waiting) == 25


def test_of_chunks_that_waited_for_their_format_only_the_newest_window_counts(intake, samples, front_end):
    long = np.concatenate([samples, samples])
    for first in range(0, len(long), 1600):
        chunk = encode(long[first : first + 1600], "S16LE")
        assert not intake.push(Chunk(START_NS + first * SECOND // 16000, chunk))
    windows = intake.describe(GOOD)
    assert [window.stamp_ns for window in windows] == [START_NS + 3 * 4096 * SECOND // 16000]
    assert intake.counts.windows == 4


def test_chunks_that_say_their_format_need_no_other_description(intake, samples, said):
    whole = Chunk(START_NS, encode(samples, "S32LE"), Description(2, 16000, "S32LE"))
    assert hears_the_window(intake.push(whole), samples)
    bad = Chunk(START_NS, bytes(100), Description(3, 16000, "S16LE"))
    for _ in range(5):
        assert not intake.push(bad)
    assert intake.counts.refused == 5
    assert len(said) == 1
    again = Chunk(START_NS + SECOND, encode(samples, "F32LE"), Description(2, 16000, "F32LE"))
    assert len(intake.push(again)) == 3


def test_audio_whose_stamps_stand_still_is_heard_and_said(front_end, intake, samples, said):
    intake.describe(GOOD)
    pieces = np.array_split(samples, 20)
    chunks = [Chunk(START_NS, encode(piece, "S16LE")) for _ in range(5) for piece in pieces]
    starts = [window.stamp_ns for chunk in chunks for window in intake.push(chunk)]
    assert len(starts) >= 3 * front_end.window_s / 0.25 and (np.diff(starts) > 0).all()
    assert any("the audio's stamps stand still" in sentence for sentence in said)


@pytest.mark.parametrize("n", [400, 800, 1024, 1280])
def test_where_stamps_stand_still_time_counts_from_the_first(intake, samples, n):
    intake.describe(GOOD)
    chunks = [Chunk(START_NS, encode(samples[first : first + n], "S16LE")) for first in range(0, len(samples), n)]
    windows = [window for chunk in chunks for window in intake.push(chunk)] + intake.stream.settle()
    assert hears_the_window(windows, samples)
    assert abs(windows[0].stamp_ns - START_NS) < SECOND // 1000


@pytest.mark.parametrize("n", [6400, 8000, 16000, 40000])
def test_where_stamps_of_long_messages_stand_still_nothing_is_lost_and_time_counts_from_the_first(notices, n):
    intake = Intake(FrontEnd(), 2, 0.512, notices)
    intake.describe(GOOD)
    samples = np.random.default_rng(0).uniform(-1, 1, (10 * 16000, 2)).astype(np.float32)
    windows = [window for first in range(0, len(samples), n)
               for window in intake.push(Chunk(START_NS, encode(samples[first : first + n], "S16LE")))]
    starts = range(0, len(samples) - FrontEnd().window_samples, 8192)
    assert [window.stamp_ns for window in windows] == [START_NS + start * SECOND // 16000 for start in starts]
    for window, start in zip(windows, starts, strict=True):
        np.testing.assert_allclose(window.samples.T, samples[start : start + FrontEnd().window_samples], atol=2**-15)


@pytest.mark.parametrize(("n_messages", "seconds", "expected"), [
    (2, 5.0, False), (3, 0.9, False), (3, 1.0, True), (10, 0.1, False), (11, 0.1, True)])
def test_a_pair_of_messages_or_a_few_short_ones_may_share_a_stamp(n_messages, seconds, expected):
    assert stand_still(n_messages, seconds) == expected


@pytest.mark.parametrize("n", [160, 512, 1600])
def test_messages_that_come_twice_count_once(intake, samples, said, n):
    intake.describe(GOOD)
    windows = []
    for first in range(0, len(samples), n):
        chunk = Chunk(START_NS + first * SECOND // 16000, encode(samples[first : first + n], "S16LE"))
        windows += intake.push(chunk) + intake.push(chunk)
    assert hears_the_window(windows, samples) and intake.counts.overlaps == -(-len(samples) // n)
    assert said[0].startswith("a message came twice and is left out the second time")


@pytest.mark.parametrize(("channel_map", "n_channels"), [((1, 2), 6), ((5, 0), 6), ((1, 0), 2)])
def test_a_channel_map_picks_the_microphones(front_end, notices, samples, channel_map, n_channels):
    intake = Intake(front_end, 2, 0.25, notices, channel_map)
    captured = np.random.default_rng(1).uniform(-1, 1, (len(samples), n_channels)).astype(np.float32)
    captured[:, channel_map] = samples
    intake.describe(Description(n_channels, 16000, "S16LE"))
    assert hears_the_window(intake.push(Chunk(START_NS, encode(captured, "S16LE"))), samples)


def test_a_channel_map_beyond_the_audio_is_refused_in_a_sentence(front_end, notices, said):
    Intake(front_end, 2, 0.25, notices, (1, 6)).describe(Description(6, 16000, "S16LE"))
    assert said == ["audio refused: channel_map asks for channel 6, and the audio has 6, counted from 0: set "
                    "channel_map to channels that are there, or capture more"]


def test_overlapping_frames_without_stamps_are_one_recording(intake, samples, said):
    described, windows = Description(2, 16000, "F32LE"), []
    for k, first in enumerate(range(0, len(samples) - 511, 160)):
        if 20 <= k < 23:  # lost: 3 x 160 samples, of which the frame before has 352
            continue
        data = encode(samples[first : first + 512], "F32LE")
        windows += intake.push(Chunk(0, data, described, count=7 + k))
    rest = Chunk(0, encode(np.zeros((512, 2)), "F32LE"), described, count=7 + k + 1)
    windows += intake.push(rest)
    expected = samples.copy()
    expected[19 * 160 + 512 : 23 * 160] = 0
    n = 160 * k + 512
    np.testing.assert_array_equal(windows[0].samples[:, :n], expected[:n].T)
    assert windows[0].stamp_ns == 0
    assert said == ["0.008 s of audio are missing and count as silence"]
    assert intake.counts.gaps == 1


ODD_NUMBERS = st.one_of(st.integers(-3, 9), st.sampled_from([16000, 48000, 44100, 2**31, 2**32 - 1, -(2**31)]))
DESCRIPTIONS = st.builds(
    Description,
    st.one_of(st.just(2), ODD_NUMBERS),
    st.one_of(st.sampled_from([16000, 48000]), ODD_NUMBERS),
    st.one_of(st.sampled_from(SAMPLE_FORMATS), st.text(max_size=5)),
    st.sampled_from(["wave", "wave", "wave", "", "mp3", "WAVE"]),
)
STAMPS = st.one_of(
    st.integers(START_NS, START_NS + 3 * SECOND),
    st.sampled_from([0, 1, -1, 2**31 * SECOND, -(2**31) * SECOND, 2**63]),
)
FLOATS = st.lists(st.floats(width=32), max_size=40).map(lambda values: np.array(values, "<f4").tobytes())
DATA = st.one_of(
    FLOATS, st.binary(max_size=200), st.integers(0, 3000).map(lambda n: bytes(range(256)) * (n // 256) + bytes(n % 256))
)
CHUNKS = st.builds(
    Chunk, STAMPS, DATA, st.one_of(st.none(), DESCRIPTIONS), st.one_of(st.none(), st.integers(-3, 9), ODD_NUMBERS)
)


@given(st.lists(st.one_of(CHUNKS, DESCRIPTIONS), max_size=60), st.sampled_from([(), (1, 0), (3, 5)]))
@settings(deadline=None, max_examples=300)
def test_nothing_that_comes_ends_it_and_good_audio_is_heard_after_it(messages, channel_map):
    said, front_end = [], FrontEnd(n_frames=15)
    intake = Intake(front_end, 2, 0.25, Notices(said.append, clock=lambda: 1e9 * len(said)), channel_map)
    for message in messages:
        refused, n_said = intake.counts.refused, len(said)
        windows = intake.describe(message) if isinstance(message, Description) else intake.push(message)
        for window in windows:
            assert window.samples.shape == (2, front_end.window_samples)
            assert np.isfinite(window.samples).all()
        assert intake.counts.refused == refused or len(said) > n_said  # nothing is refused in silence
    n_channels = 6 if channel_map else 2
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (8000, n_channels)).astype(np.float32)
    windows, described = [], Description(n_channels, 16000, "S16LE")
    for first in range(0, len(samples), 1600):
        data = encode(samples[first : first + 1600], "S16LE")
        windows += intake.push(Chunk(10**7 * SECOND + first * SECOND // 16000, data, described))
    wanted = samples[: front_end.window_samples, list(channel_map or (0, 1))].T
    assert any(np.allclose(window.samples, wanted, atol=1e-4) for window in windows)
    assert all(math.isfinite(level) for level in intake.counts.levels_db)
