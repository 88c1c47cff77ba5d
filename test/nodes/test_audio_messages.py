"""Every audio message type to chunks.

Only ros-drivers' audio_common_msgs are surely installed: the others are stood for by plain objects with exactly the
fields that their packages document, in the array types that rclpy gives.
"""

import array
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="needs ROS 2")

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.graphs import AUDIO_TYPES
from seld_overlap_ros.messages import ARRAYS, AUDIO_KINDS, FRAME_FORMATS, from_audio_info
from seld_overlap_ros.nodes import audio_messages
from seld_overlap_ros.streaming.intake import Intake
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.pcm import (
    SAMPLE_FORMATS,
    AudioError,
    AudioFormat,
    Description,
    decode,
    encode,
)

STAMP = Time(sec=1_700_000_000, nanosec=123)
STAMP_NS = 1_700_000_000_000_000_123
HEADER = Header(stamp=STAMP, frame_id="head")
TOLD = Description(8, 44100, "S24LE")
KINDS = {kind.name: kind for kind in AUDIO_KINDS}


@pytest.fixture()
def samples() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 0.99, (100, 4)).astype(np.float32)


def heard(name: str, message) -> np.ndarray:
    """Samples of a message that says its format, having checked what else it says."""
    chunk = KINDS[name].read(message, TOLD)
    assert chunk.stamp_ns == STAMP_NS
    assert chunk.frame_id == ("" if name == "RawAudio" else "head")
    audio = AudioFormat(*chunk.described)
    assert (audio.channels, audio.sample_rate) == (4, 44100 if name == "HarkWave" else 48000)
    return decode(chunk.data, audio)


def audio_stamped(samples, flag, field, dtype, sample_format):
    numbers = array.array(np.dtype(dtype).char, encode(samples, sample_format))
    data = SimpleNamespace(**{name: array.array(np.dtype(d).char) for name, d, _ in ARRAYS.values()})
    setattr(data, field, numbers)
    info = SimpleNamespace(format=flag, channels=samples.shape[1], rate=48000, chunk=len(samples))
    return SimpleNamespace(header=HEADER, audio=SimpleNamespace(audio_data=data, info=info))


@pytest.mark.parametrize("flag", ARRAYS)
def test_audio_stamped_is_read_in_all_its_formats(samples, flag):
    field, dtype, sample_format = ARRAYS[flag]
    got = heard("AudioStamped", audio_stamped(samples, flag, field, dtype, sample_format))
    np.testing.assert_allclose(got, samples, atol=2**-7 if "8" in sample_format else 2**-15)


@pytest.mark.parametrize("name", FRAME_FORMATS)
def test_audio_frame_is_read_in_all_its_formats(samples, name):
    assert FRAME_FORMATS[name] in SAMPLE_FORMATS
    data = array.array("B", encode(samples, FRAME_FORMATS[name]))
    message = SimpleNamespace(header=HEADER, format=name, channel_count=4, sampling_frequency=48000,
                              frame_sample_count=100, data=data)
    np.testing.assert_allclose(heard("AudioFrame", message), samples, atol=2**-7 if "8" in name else 2**-15)


def test_raw_audio_is_read(samples):
    message = SimpleNamespace(timestamp=STAMP, data=array.array("B", encode(samples, "S16LE")), format="pcm-s16",
                              sample_rate=48000, number_of_channels=4)
    np.testing.assert_allclose(heard("RawAudio", message), samples, atol=2**-15)


def hark_wave(samples, count=7):
    waves = [SimpleNamespace(wavedata=array.array("f", wave.tobytes())) for wave in (samples * 2**15).T]
    return SimpleNamespace(header=HEADER, count=count, nch=4, length=len(samples), data_bytes=0, src=waves)


def test_hark_wave_is_read_with_its_number_and_at_the_rate_of_the_parameter(samples):
    np.testing.assert_allclose(heard("HarkWave", hark_wave(samples)), samples, atol=1e-6)
    assert KINDS["HarkWave"].read(hark_wave(samples), TOLD).count == 7


@pytest.mark.parametrize(
    ("name", "message", "sentence"),
    [
        ("AudioStamped", audio_stamped(np.zeros((3, 4)), 4, "int32_data", "<i4", "S32LE"), "unknown sample format 4"),
        ("RawAudio", SimpleNamespace(format="opus"), "unknown audio format 'opus': let the source send pcm-s16"),
        ("HarkWave", SimpleNamespace(src=[SimpleNamespace(wavedata=[0.0] * n) for n in (5, 6)]),
         r"whose microphones have \[5, 6\] samples"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(name, message, sentence):
    with pytest.raises(AudioError, match=sentence):
        KINDS[name].read(message, TOLD)


def test_a_frame_of_no_microphone_says_so():
    chunk = KINDS["HarkWave"].read(SimpleNamespace(header=HEADER, count=1, src=[]), TOLD)
    with pytest.raises(AudioError, match="audio with 0 channels"):
        AudioFormat(*chunk.described)


def test_an_unknown_frame_format_is_refused_by_name():
    message = SimpleNamespace(header=HEADER, format="vorbis", channel_count=4, sampling_frequency=48000, data=b"")
    with pytest.raises(AudioError, match="unknown sample format 'VORBIS'"):
        AudioFormat(*KINDS["AudioFrame"].read(message, TOLD).described)


@pytest.mark.parametrize("sample_format", SAMPLE_FORMATS)
def test_what_the_player_writes_is_read_back(samples, sample_format):
    kind, audio = KINDS["AudioDataStamped"], AudioFormat(4, 48000, sample_format)
    message = audio_messages.WRITERS[kind.name](STAMP_NS, "head", samples, audio)
    chunk = kind.read(message, TOLD)
    assert (chunk.stamp_ns, chunk.frame_id, chunk.described) == (STAMP_NS, "head", None)
    assert bytes(chunk.data) == encode(samples, sample_format)
    assert from_audio_info(audio_messages.to_audio_info(audio)) == (4, 48000, sample_format, "wave")


FLAGS = st.sampled_from([*ARRAYS, 0, -1, 4, 2**31 - 1])
NUMBERS = st.sampled_from([2, 2, 2, 0, 1, 3, 2**32 - 1, 2**31 - 1])
RATES = st.sampled_from([16000, 16000, 48000, 0, 3, 2**31 - 1])
BYTES = st.binary(max_size=64).map(lambda data: array.array("B", data))
FLOATS = st.lists(st.floats(width=32), max_size=20).map(lambda values: array.array("f", values))
INTS = st.lists(st.integers(-128, 127), max_size=20)
HEADERS = st.builds(Header, stamp=st.builds(Time, sec=st.integers(-(2**31), 2**31 - 1),
                                            nanosec=st.integers(0, 2**32 - 1)), frame_id=st.text(max_size=3))
built = partial(st.builds, SimpleNamespace)
MESSAGES = {
    "AudioStamped": built(header=HEADERS, audio=built(
        info=built(format=FLAGS, channels=NUMBERS, rate=RATES, chunk=NUMBERS),
        audio_data=built(float32_data=FLOATS, int32_data=INTS.map(lambda x: array.array("i", x)),
                         int16_data=INTS.map(lambda x: array.array("h", x)),
                         int8_data=INTS.map(lambda x: array.array("b", x)), uint8_data=BYTES))),
    "AudioFrame": built(header=HEADERS, format=st.sampled_from([*FRAME_FORMATS, "", "x"]), channel_count=NUMBERS,
                        sampling_frequency=RATES, frame_sample_count=NUMBERS, data=BYTES),
    "RawAudio": built(timestamp=HEADERS.map(lambda header: header.stamp),
                      format=st.sampled_from(["pcm-s16", "", "opus"]), sample_rate=RATES,
                      number_of_channels=NUMBERS, data=BYTES),
    "HarkWave": built(header=HEADERS, count=st.integers(-(2**31), 2**31 - 1), nch=NUMBERS, length=NUMBERS,
                      data_bytes=NUMBERS, src=st.lists(built(wavedata=FLOATS), max_size=3)),
    "AudioDataStamped": built(header=HEADERS, audio=built(data=BYTES)),
    "AudioData": built(data=BYTES),
}


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
@settings(deadline=None, max_examples=100)
def test_whatever_a_message_holds_it_is_taken_or_refused_in_a_sentence(name, data):
    said = []
    intake = Intake(FrontEnd(n_frames=15), 2, 0.25, Notices(said.append, clock=lambda: 1e9 * len(said)))
    intake.describe(Description(2, 16000, "S16LE"))
    for message in data.draw(st.lists(MESSAGES[name], max_size=20)):
        n_said, n_refused = len(said), intake.counts.refused
        try:
            intake.push(KINDS[name].read(message, TOLD))
        except AudioError as error:
            intake.refuse(error)
        assert intake.counts.refused == n_refused or len(said) > n_said


def with_only(monkeypatch, *names):
    """As if only messages of these names were installed."""
    real = audio_messages.find_message
    monkeypatch.setattr(
        audio_messages, "find_message",
        lambda package, name: (real(package, name) or SimpleNamespace) if name in names else None,
    )


def test_with_the_other_audio_common_msgs_the_player_sends_those(monkeypatch, samples):
    with_only(monkeypatch, "AudioStamped", "AudioData", "AudioInfo")
    assert [kind.name for kind in audio_messages.installed_kinds()] == ["AudioStamped"]
    kind = audio_messages.kind_to_send()
    assert (kind.name, kind.topic) == ("AudioStamped", "audio")
    monkeypatch.setattr(
        audio_messages, "find_message",
        lambda package, name: lambda header: SimpleNamespace(
            header=header, audio=SimpleNamespace(info=SimpleNamespace(), audio_data=SimpleNamespace())),
    )
    for sample_format in ("S16LE", "S32LE", "F32LE", "S8", "U8"):
        message = audio_messages.WRITERS[kind.name](STAMP_NS, "head", samples, AudioFormat(4, 48000, sample_format))
        assert message.audio.info.chunk == 100
        np.testing.assert_allclose(heard("AudioStamped", message), samples, atol=2**-7)
    with pytest.raises(AudioError, match="holds no S24LE: set sample_format to one of F32LE, S32LE, S16LE, S8, U8"):
        audio_messages.WRITERS[kind.name](STAMP_NS, "head", samples, AudioFormat(4, 48000, "S24LE"))


def test_without_any_messages_it_is_said_which_are_missing(monkeypatch):
    with_only(monkeypatch)
    with pytest.raises(AudioError, match="no audio messages .*audio_utils_msgs/msg/AudioFrame.* are installed here"):
        audio_messages.installed_kinds()
    with pytest.raises(AudioError, match=r"no audio messages \(hark_msgs/msg/HarkWave\) are installed here"):
        audio_messages.installed_kinds("HarkWave")
    with pytest.raises(AudioError, match="no audio_common_msgs to send"):
        audio_messages.kind_to_send()


def test_a_name_that_is_no_type_is_refused_with_those_that_are():
    with pytest.raises(AudioError, match="unknown audio_type 'wav': set it to one of auto, AudioDataStamped"):
        audio_messages.installed_kinds("wav")
    assert set(AUDIO_TYPES) == {"auto", *KINDS}


def test_more_channels_than_audio_info_holds_are_refused():
    with pytest.raises(AudioError, match="AudioInfo holds 255 channels at most, and there are 264"):
        audio_messages.to_audio_info(AudioFormat(264, 16000, "S16LE"))
