"""Where a player's audio comes from: a sound file of any length, or a microphone.

Both are asked now and then for the chunks that are due: stamp of the first sample [ns since 1970] and samples (n, M)
float32.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import soundfile

from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.pcm import SECOND, AudioError

CHUNK_S = 0.1  # of one message, as scene_player sends them unless told otherwise
TAIL_S = 1.0  # of silence after a file: a listener whose hop is not longer has a window with its end
# A listener with the default window of 4.112 s and a hop of up to a second has heard all of a file this long.
SHORTEST_S = 5.2


def find_scene(name: str) -> Path:
    """Path of a file, or of the shipped scene `demo` where there is no file of that name."""
    path = Path(name).expanduser()
    shipped = Path(str(resources.files("seld_overlap_ros") / "scenes" / "demo.flac"))
    return shipped if name == "demo" and not path.is_file() else path


class SoundFile:
    """A WAV or FLAC file, read piece by piece. Raises AudioError if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = soundfile.SoundFile(path)
        except (soundfile.SoundFileError, OSError, TypeError) as error:  # a TypeError of files without a header
            raise self._unplayable(error) from error
        self.channels: int = self._file.channels
        self.sample_rate: int = self._file.samplerate  # [Hz]

    def chunks(self, chunk_s: float, tail_s: float) -> Iterator[np.ndarray]:
        """Samples (n, M) float32 of chunk_s each, then silence: tail_s, and what is missing to SHORTEST_S.

        Raises AudioError where the file cannot be read on.
        """
        size = max(1, round(chunk_s * self.sample_rate))
        n_played = 0
        with self._file:
            while len(chunk := self._read(size)):
                n_played += len(chunk)
                yield chunk
        n_silent = max(round(tail_s * self.sample_rate), round(SHORTEST_S * self.sample_rate) - n_played)
        for start in range(0, n_silent, size):
            yield np.zeros((min(size, n_silent - start), self.channels), np.float32)

    def _read(self, size: int) -> np.ndarray:
        try:
            return self._file.read(size, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, OSError) as error:
            raise self._unplayable(error) from error

    def _unplayable(self, error: Exception) -> AudioError:
        return AudioError("file", f"{self._path} cannot be played ({error}): give a WAV or FLAC file")


class FilePlayer:
    """Plays a sound file against the clock: a chunk is due when its last sample has sounded, as from a microphone."""

    def __init__(
        self,
        file: SoundFile,
        chunk_s: float,
        tail_s: float,
        rate: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rate`: how many times faster than real time; the stamps advance with the samples all the same."""
        self.channels, self.sample_rate = file.channels, file.sample_rate
        self._chunks = file.chunks(chunk_s, tail_s)
        self._rate, self._clock = rate, clock
        self._n_played = 0  # samples
        self._next = next(self._chunks, None)

    @property
    def finished(self) -> bool:
        """Whether all was played."""
        return self._next is None

    def start(self, stamp_ns: int, for_s: float = 0.0) -> None:
        """Begin, with this stamp for the first sample, which has sounded for so long by now."""
        self._start_ns, self._started = stamp_ns, self._clock() - for_s

    def due(self) -> Iterator[tuple[int, np.ndarray]]:
        """The chunks that have become due since the last call."""
        n_due = (self._clock() - self._started) * self._rate * self.sample_rate
        while self._next is not None and self._n_played + len(self._next) <= n_due:
            chunk, stamp_ns = self._next, self._start_ns + self._n_played * SECOND // self.sample_rate
            self._n_played += len(chunk)
            self._next = next(self._chunks, None)
            yield stamp_ns, chunk


class Microphone:
    """A capture device through sounddevice (PortAudio). Raises AudioError if there is none or it cannot be opened."""

    finished = False  # it never ends

    def __init__(self, device: str, channels: int, sample_rate: int, chunk_s: float, notices: Notices) -> None:
        """`device`: sounddevice's number or (part of the) name, or "default" for the system's."""
        try:
            import sounddevice
        except ImportError as error:
            raise AudioError("device", "no microphone without sounddevice: pip install sounddevice") from error
        except OSError as error:
            raise AudioError("device", "no microphone without PortAudio: sudo apt install libportaudio2") from error
        self.channels, self.sample_rate = channels, sample_rate
        self._name, self._error = device, sounddevice.PortAudioError
        self._notices = notices
        self._n_overflows = self._n_overflows_said = 0
        self._chunks: queue.SimpleQueue[tuple[int, np.ndarray]] = queue.SimpleQueue()
        try:
            self._stream = sounddevice.InputStream(
                device=None if device == "default" else int(device) if device.isdigit() else device,
                channels=channels,
                samplerate=sample_rate,
                blocksize=max(1, round(chunk_s * sample_rate)),
                dtype="float32",
                callback=self._captured,
            )
        except (self._error, ValueError) as error:
            raise self._cannot(error) from error

    def start(self, *_: float) -> None:
        """Begin now. The stamps are the capture times; those that players of files are given mean nothing here."""
        try:
            self._stream.start()
        except self._error as error:
            raise self._cannot(error) from error

    def close(self) -> None:
        """Let go of the device."""
        self._stream.close()

    def due(self) -> Iterator[tuple[int, np.ndarray]]:
        """The chunks that were captured since the last call. Raises AudioError if the device has stopped."""
        if self._n_overflows > self._n_overflows_said:
            self._n_overflows_said = self._n_overflows
            self._notices("overflow", "the microphone was read too late and audio is lost: set a longer chunk")
        while not self._chunks.empty():
            yield self._chunks.get()
        if not self._stream.active:
            raise AudioError("device", "the microphone has stopped: is it still plugged in?")

    def _cannot(self, error: Exception) -> AudioError:
        return AudioError(
            "device",
            f"{self._name!r} cannot capture {self.channels} channels at {self.sample_rate} Hz ({error}): "
            "`python -m sounddevice` lists the devices",
        )

    def _captured(self, samples: np.ndarray, n: int, times: object, status: object) -> None:
        age_s = max(0.0, times.currentTime - times.inputBufferAdcTime)
        self._n_overflows += bool(status)
        self._chunks.put((time.time_ns() - round(age_s * 1e9), samples.copy()))
