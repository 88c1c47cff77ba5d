"""What a node does with the messages of an audio topic until windows come out, bad messages included."""

from __future__ import annotations

from collections import deque

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.pcm import AudioError, AudioFormat, decode, mend
from seld_overlap_ros.streaming.stream import AudioStream, Window

MAX_WAITING = 64 * 2**20  # [bytes] kept until the format is known


class Intake:
    """Holds chunks until it is told their format, then turns them into windows. What is wrong goes to `notices`."""

    def __init__(self, front_end: FrontEnd, n_channels: int, hop_s: float, notices: Notices) -> None:
        self.stream = AudioStream(front_end, n_channels, hop_s, notices)
        self._n_channels = n_channels
        self._notices = notices
        self._format: AudioFormat | None = None
        self._refused = False
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._waiting_bytes = 0

    @property
    def knows_format(self) -> bool:
        """Whether the format has been told, be it one that can be used or not."""
        return self._format is not None or self._refused

    def describe(self, channels: int, sample_rate: int, sample_format: str, coding: str) -> list[Window]:
        """The format of the chunks to come, and of those that wait -> the windows that the latter complete."""
        self._format = None
        try:
            self._format = self._checked(AudioFormat(channels, sample_rate, sample_format, coding))
        except AudioError as error:
            self._notices(error.kind, f"audio refused: {error}")
        self._refused = self._format is None
        waiting, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        return [window for stamp_ns, data in waiting for window in self.push(stamp_ns, data)]

    def push(self, stamp_ns: int, data: bytes) -> list[Window]:
        """One message: stamp of its first sample, 0 for none, and its bytes -> the windows that it completes."""
        if self._format is None:
            if not self._refused:
                self._wait(stamp_ns, data)
            return []
        try:
            samples = decode(data, self._format)
        except AudioError as error:
            self._notices(error.kind, f"audio refused: {error}")
            return []
        samples, n_bad = mend(samples)
        if n_bad:
            self._notices("unusable", f"{n_bad} samples of a chunk are NaN, infinite or absurdly large and count as 0")
        follows_ns = self.stream.next_stamp_ns
        if stamp_ns == 0 and follows_ns is not None:
            self._notices("unstamped", "the audio has no stamps: it is taken for unbroken, its time counts from 0")
            stamp_ns = follows_ns
        return self.stream.push(stamp_ns, samples, self._format.sample_rate)

    def _checked(self, audio: AudioFormat) -> AudioFormat:
        if audio.channels != self._n_channels:
            raise AudioError(
                "channels",
                f"the audio has {audio.channels} channels and the model needs {self._n_channels}: "
                "capture all microphones of the array, or load a model for this one",
            )
        return audio

    def _wait(self, stamp_ns: int, data: bytes) -> None:
        self._waiting.append((stamp_ns, data))
        self._waiting_bytes += len(data)
        while self._waiting_bytes > MAX_WAITING:
            self._waiting_bytes -= len(self._waiting.popleft()[1])
