"""Bytes to samples and back, and the sentences about bytes that are none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from seld_overlap_ros.streaming.pcm import (
    SAMPLE_FORMATS,
    AudioError,
    AudioFormat,
    decode,
    encode,
    mend,
    read_channel_map,
)

BITS = {"8": 8, "16LE": 16, "24LE": 24, "24_32LE": 24, "32LE": 32}
STEP = {f"{sign}{name}": 2.0 ** (1 - bits) for sign in "SU" for name, bits in BITS.items()} | {"F32LE": 0, "F64LE": 0}
SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=9)
SAMPLES = arrays(np.float32, SHAPES, elements=st.floats(-1, 1, width=32))


def pcm(channels: int, sample_format: str) -> AudioFormat:
    return AudioFormat(channels, 16000, sample_format)


@pytest.mark.parametrize("sample_format", SAMPLE_FORMATS)
@given(SAMPLES)
def test_samples_come_back_to_within_a_step(sample_format, samples):
    back = decode(encode(samples, sample_format), pcm(samples.shape[1], sample_format))
    step = STEP[sample_format]
    expected = np.clip(samples, -1, 1 - step)  # integers reach full scale below zero only
    assert back.dtype == np.float32
    assert back.shape == samples.shape
    np.testing.assert_allclose(back, expected, atol=step / 2, rtol=1e-7)


@pytest.mark.parametrize("sample_format", ["S16LE", "S24LE", "S8", "U8", "U16LE", "U24LE"])
@given(st.data())
def test_bytes_come_back_exactly(sample_format, data):
    raw = data.draw(st.binary(min_size=12, max_size=12))
    assert encode(decode(raw, pcm(2, sample_format)), sample_format) == raw


def test_channels_are_interleaved():
    raw = np.array([[1, -1], [2, -2]], "<i2").tobytes()
    np.testing.assert_array_equal(decode(raw, pcm(2, "S16LE")) * 2**15, [[1, -1], [2, -2]])


@pytest.mark.parametrize(
    ("sample_format", "values"),
    [
        ("S8", np.array([-128, 0, 64], "<i1")),
        ("U8", np.array([0, 128, 192], "<u1")),
        ("U16LE", np.array([0, 2**15, 3 * 2**14], "<u2")),
        ("U24LE", np.array([[0, 0, 0], [0, 0, 0x80], [0, 0, 0xC0]], "<u1")),
        ("U24_32LE", np.array([0xAB_00_00_00, 0xCD_80_00_00, 0xC0_00_00], "<u4")),
        ("U32LE", np.array([0, 2**31, 3 * 2**30], "<u4")),
        ("F64LE", np.array([-1, 0, 0.5], "<f8")),
    ],
)
def test_every_format_puts_silence_at_0_and_full_scale_at_1(sample_format, values):
    np.testing.assert_array_equal(decode(values.tobytes(), pcm(1, sample_format))[:, 0], [-1, 0, 0.5])


def test_padding_byte_of_24_in_32_bits_means_nothing():
    clean = np.array([[0x00_7F_00_01]], "<u4").tobytes()
    dirty = np.array([[0xAB_7F_00_01]], "<u4").tobytes()
    np.testing.assert_array_equal(decode(dirty, pcm(1, "S24_32LE")), decode(clean, pcm(1, "S24_32LE")))


def test_what_is_too_loud_is_clipped_not_wrapped():
    loud = np.array([[2.0], [-2.0]], np.float32)
    np.testing.assert_allclose(decode(encode(loud, "S16LE"), pcm(1, "S16LE")), [[1], [-1]], atol=1e-4)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ((8, 16000, "S16LE", "mp3"), "'mp3' is not understood: start audio_capture with format:=wave"),
        ((8, 16000, "U16BE", "wave"), "unknown sample format 'U16BE': let the source send one of S16LE"),
        ((0, 16000, "S16LE", "wave"), "0 channels"),
        ((8, 0, "S16LE", "wave"), "sample rate of 0 Hz is not possible"),
    ],
)
def test_what_is_not_understood_is_refused_in_a_sentence(values, sentence):
    with pytest.raises(AudioError, match=sentence):
        AudioFormat(*values)


def test_case_and_an_empty_coding_do_not_matter():
    assert AudioFormat(8, 16000, "s16le", "").frame_bytes == 16
    assert AudioFormat(8, 16000, "S16LE", "WAVE").frame_bytes == 16


def test_odd_bytes_are_refused_in_a_sentence():
    with pytest.raises(AudioError, match="17 bytes is no whole number of 8-channel S16LE frames of 16 bytes"):
        decode(bytes(17), pcm(8, "S16LE"))


def test_what_is_no_number_is_mended():
    samples, n_bad = mend(np.array([[0.5, np.nan, np.inf, -1e30]], np.float32))
    assert n_bad == 3
    np.testing.assert_array_equal(samples, [[0.5, 0, 0, 0]])


def test_a_double_beyond_float_is_mended():
    samples, n_bad = mend(decode(np.array([1e300, 0.25], "<f8").tobytes(), pcm(1, "F64LE")))
    assert n_bad == 1
    np.testing.assert_array_equal(samples, [[0], [0.25]])


@pytest.mark.parametrize("text", ["4,3,2,1", "4, 3, 2, 1", "4 3 2 1", "[4, 3, 2, 1]"])
def test_a_channel_map_is_read_as_people_write_it(text):
    assert read_channel_map(text, 4) == (4, 3, 2, 1)
    assert read_channel_map(" ", 4) == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("front,left", "'front,left' is no list of channels, counted from 0: write it like 0,1,2,3"),
        ("-1,0,1,2", "is no list of channels"),
        ("0,1,2,999", "is no list of channels"),
        ("0.5,1,2,3", "is no list of channels"),
        ("1,2", "names 2 channels and the model has 4 microphones"),
        ("1,2,3,3", "names a channel twice"),
    ],
)
def test_a_channel_map_that_cannot_be_followed_is_refused_in_a_sentence(text, sentence):
    with pytest.raises(AudioError, match=sentence):
        read_channel_map(text, 4)
