"""A file is played as it is, in time, to its end and a little further."""

import sys

import numpy as np
import pytest
import soundfile

from seld_overlap_ros.streaming.pcm import AudioError
from seld_overlap_ros.streaming.sources import SHORTEST_S, FilePlayer, Microphone, SoundFile
from seld_overlap_ros.streaming.stream import SECOND

RATE = 8000


@pytest.fixture()
def scene(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (6 * RATE + 123, 3)).astype(np.float32)
    soundfile.write(tmp_path / "scene.wav", samples, RATE, subtype="FLOAT")
    return tmp_path / "scene.wav", samples


def test_a_file_comes_whole_and_silence_after_it(scene):
    path, samples = scene
    file = SoundFile(path)
    assert (file.channels, file.sample_rate) == (3, RATE)
    played = np.concatenate(list(file.chunks(0.1, tail_s=1.0)))
    np.testing.assert_array_equal(played[: len(samples)], samples)
    assert len(played) == len(samples) + RATE
    assert not played[len(samples) :].any()


def test_a_short_file_is_long_enough_for_a_window(tmp_path):
    soundfile.write(tmp_path / "short.flac", np.zeros((100, 2)), RATE)
    assert sum(map(len, SoundFile(tmp_path / "short.flac").chunks(0.1, tail_s=1.0))) == round(SHORTEST_S * RATE)


@pytest.mark.parametrize(("name", "content"), [
    ("scene.wav", None), ("scene.wav", b""), ("scene.wav", b"no sound at all"), ("scene.raw", bytes(1000))])
def test_what_is_no_sound_file_is_refused_in_a_sentence(tmp_path, name, content):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioError, match=rf"{name} cannot be played .*: give a WAV or FLAC file"):
        SoundFile(path)


@pytest.mark.parametrize("rate", [1.0, 4.0])
def test_chunks_are_due_when_they_have_sounded_and_stamped_by_their_samples(scene, rate):
    path, samples = scene
    now = [50.0]
    player = FilePlayer(SoundFile(path), 0.1, 1.0, rate, clock=lambda: now[0])
    player.start(7 * SECOND)
    assert not list(player.due())
    now[0] += 1.05 / rate
    due = list(player.due())
    assert [stamp_ns for stamp_ns, _ in due] == [7 * SECOND + k * SECOND // 10 for k in range(10)]
    np.testing.assert_array_equal(np.concatenate([chunk for _, chunk in due]), samples[:RATE])
    now[0] += 100
    assert len(list(player.due())) > 50
    assert player.finished


def test_what_has_sounded_for_a_while_is_due_earlier(scene):
    now = [50.0]
    player = FilePlayer(SoundFile(scene[0]), 0.1, 1.0, clock=lambda: now[0])
    player.start(7 * SECOND, 0.03)
    now[0] += 0.069
    assert not list(player.due())
    now[0] += 0.002
    assert [stamp_ns for stamp_ns, _ in player.due()] == [7 * SECOND]


def test_no_microphone_is_said_in_a_sentence(notices, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # as if it were not installed
    with pytest.raises(AudioError, match="pip install sounddevice"):
        Microphone("default", 8, 16000, 0.1, notices)


class FakeSoundDevice:
    """A sounddevice with one microphone."""

    PortAudioError = RuntimeError

    class InputStream:
        def __init__(self, device, channels, samplerate, blocksize, dtype, callback):
            if device not in (None, 3):
                raise ValueError(f"No input device matching {device!r}")
            self.callback = callback
            self.active = False

        def start(self):
            self.active = True

        def close(self):
            self.active = False


class Times:
    """What PortAudio says about a block: captured 0.25 s ago."""

    currentTime, inputBufferAdcTime = 10.0, 9.75


def test_a_microphone_stamps_when_the_first_sample_was_captured(notices, said, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice)
    monkeypatch.setattr("seld_overlap_ros.streaming.sources.time.time_ns", lambda: 5 * SECOND)
    microphone = Microphone("3", 2, RATE, 0.1, notices)
    microphone.start(0)
    block = np.full((10, 2), 0.5, np.float32)
    microphone._stream.callback(block, 10, Times, None)
    microphone._stream.callback(block, 10, Times, "input overflow")
    (stamp_ns, samples), _ = microphone.due()
    assert stamp_ns == 4.75 * SECOND
    np.testing.assert_array_equal(samples, block)
    assert not list(microphone.due())
    assert said == ["the microphone was read too late and audio is lost: set a longer chunk"]
    microphone.close()


def test_a_microphone_that_stops_is_said_in_a_sentence(notices, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice)
    microphone = Microphone("3", 2, RATE, 0.1, notices)
    microphone.start(0)
    assert not list(microphone.due())
    microphone._stream.active = False  # it was pulled out
    with pytest.raises(AudioError, match="still plugged in"):
        list(microphone.due())


def test_a_microphone_that_does_not_start_is_said_in_a_sentence(notices, monkeypatch):
    def refuse(self):
        raise FakeSoundDevice.PortAudioError("busy")

    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice)
    monkeypatch.setattr(FakeSoundDevice.InputStream, "start", refuse)
    with pytest.raises(AudioError, match=f"'3' cannot capture 2 channels at {RATE} Hz .busy."):
        Microphone("3", 2, RATE, 0.1, notices).start(0)


def test_an_unknown_microphone_is_said_in_a_sentence(notices, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice)
    with pytest.raises(AudioError, match="'studio' cannot capture 2 channels at 8000 Hz .*: `python -m sounddevice`"):
        Microphone("studio", 2, RATE, 0.1, notices)
