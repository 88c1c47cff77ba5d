"""Where a player's audio comes from: a sound file of any length, or a microphone."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile

from seld_overlap_ros.streaming.pcm import AudioError

# A listener with the default window of 4.112 s and a hop of up to a second has heard all of a file this long.
SHORTEST_S = 5.2


class SoundFile:
    """A WAV or FLAC file, read piece by piece. Raises AudioError if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = soundfile.SoundFile(path)
        except (soundfile.SoundFileError, OSError) as error:
            raise AudioError("file", f"{path} cannot be played ({error}): give a WAV or FLAC file") from error
        self.channels: int = self._file.channels
        self.sample_rate: int = self._file.samplerate  # [Hz]

    def chunks(self, chunk_s: float, tail_s: float) -> Iterator[np.ndarray]:
        """Samples (n, M) float32 of chunk_s each, then silence: tail_s, and what is missing to SHORTEST_S."""
        size = max(1, round(chunk_s * self.sample_rate))
        n_played = 0
        with self._file:
            while len(chunk := self._file.read(size, dtype="float32", always_2d=True)):
                n_played += len(chunk)
                yield chunk
        n_silent = max(round(tail_s * self.sample_rate), round(SHORTEST_S * self.sample_rate) - n_played)
        for start in range(0, n_silent, size):
            yield np.zeros((min(size, n_silent - start), self.channels), np.float32)


class Microphone:
    """A capture device through sounddevice (PortAudio). Raises AudioError if there is none or it cannot be opened."""

    def __init__(self, device: str, channels: int, sample_rate: int, chunk_s: float) -> None:
        try:
            import sounddevice
        except ImportError as error:
            raise AudioError("device", "no microphone without sounddevice: pip install sounddevice") from error
        except OSError as error:
            raise AudioError("device", "no microphone without PortAudio: sudo apt install libportaudio2") from error
        self.channels, self.sample_rate = channels, sample_rate
        self.n_overflows = 0
        self._chunks: queue.Queue[tuple[int, np.ndarray]] = queue.Queue()
        try:
            self._stream = sounddevice.InputStream(
                device=int(device) if device.isdigit() else device or None,
                channels=channels,
                samplerate=sample_rate,
                blocksize=max(1, round(chunk_s * sample_rate)),
                dtype="float32",
                callback=self._captured,
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            name = repr(device) if device else "the default device"
            raise AudioError(
                "device",
                f"{name} cannot capture {channels} channels at {sample_rate} Hz ({error}): "
                "`python -m sounddevice` lists the devices",
            ) from error

    def __enter__(self) -> Microphone:
        self._stream.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()

    def read(self, timeout_s: float) -> tuple[int, np.ndarray] | None:
        """Time of the first sample [ns since 1970] and samples (n, M) float32; None if nothing came in time."""
        try:
            return self._chunks.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def _captured(self, samples: np.ndarray, n: int, times: object, status: object) -> None:
        age_s = max(0.0, times.currentTime - times.inputBufferAdcTime)
        self.n_overflows += bool(status)
        self._chunks.put((time.time_ns() - round(age_s * 1e9), samples.copy()))
