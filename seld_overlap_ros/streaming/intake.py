"""What a node does with the messages of an audio topic until windows come out, bad messages included."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.streaming.counts import AudioCounts
from seld_overlap_ros.streaming.frames import OverlappingFrames
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.pcm import AudioError, AudioFormat, Description, decode, mend
from seld_overlap_ros.streaming.stream import AudioStream, Window

STILL = 10  # messages in a row with one stamp that tell that it means nothing
STILL_S = 1.0  # of audio in them, and fewer will do: long ones would have filled a window before there are so many
MAX_WAITING = 64 * 2**20  # [bytes] kept until the format is known


@dataclass(frozen=True)
class Chunk:
    """One message of audio."""

    stamp_ns: int  # of its first sample; 0: none
    data: bytes | np.ndarray  # raw samples, interleaved; an array is of uint8
    described: Description | None = None  # None: what `Intake.describe` was told last
    count: int | None = None  # number of the message, of a source whose messages overlap (OverlappingFrames)
    frame_id: str = ""


def stand_still(n_messages: int, seconds: float) -> bool:
    """Whether so many messages in a row with one stamp, with so much audio, tell that it means nothing."""
    return n_messages > STILL or (n_messages > 2 and seconds >= STILL_S)  # doubled audio makes pairs


class Intake:
    """Holds chunks until it is told their format, then turns them into windows. What is wrong goes to `notices`."""

    def __init__(
        self,
        front_end: FrontEnd,
        n_channels: int,
        hop_s: float,
        notices: Notices,
        channel_map: tuple[int, ...] = (),
    ) -> None:
        """n_channels: microphones of the model. channel_map: input channel of each, from 0; () takes them as they come.

        `stream` cuts the windows and takes another hop; `counts` says how the audio is.
        """
        self.stream = AudioStream(front_end, n_channels, hop_s, notices)
        self._n_channels = n_channels
        self._channel_map = list(channel_map)
        self._notices = notices
        self._frames = OverlappingFrames(notices)
        self._described: Description | None = None
        self._format: AudioFormat | None = None
        self._refusal: AudioError | None = None
        self._waiting: deque[Chunk] = deque()
        self._waiting_bytes = 0
        self._last_stamp_ns, self._last = 0, np.zeros((0, 0), np.float32)  # of the latest chunk
        self._n_alike, self._alike_s = 0, 0.0  # chunks in a row with its stamp, and how long they are

    @property
    def counts(self) -> AudioCounts:
        """What has come so far."""
        return self.stream.counts

    @property
    def knows_format(self) -> bool:
        """Whether the format has been told, be it one that can be used or not."""
        return self._described is not None

    @property
    def sample_rate(self) -> int:
        """Of the audio, as told [Hz]; 0 while no format is known that can be used."""
        return self._format.sample_rate if self._format else 0

    def describe(self, described: Description) -> list[Window]:
        """The format of the chunks to come, and of those that wait -> the newest window that the latter complete.

        All of them at once would be more than can be heard in time.
        """
        self._described, self._format, self._refusal = described, None, None
        try:
            self._format = self._checked(AudioFormat(*described))
        except AudioError as error:
            self._refusal = error
            self._say(error)
        waiting, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        return [window for chunk in waiting for window in self.push(chunk)][-1:]

    def forget_format(self) -> None:
        """Of what comes next the format is not known: chunks wait for it, unless they say it themselves.

        Those that wait for that of before are given up.
        """
        self._described, self._format, self._refusal = None, None, None
        self._waiting, self._waiting_bytes = deque(), 0

    def push(self, chunk: Chunk) -> list[Window]:
        """One message -> the windows that it completes."""
        if not len(chunk.data) and chunk.count is None:  # HARK counts its frames, and sends some without a source
            self.refuse(AudioError("empty", "a message without samples is left out: check the source"))
            return []
        if chunk.described is not None and chunk.described != self._described:
            self.describe(chunk.described)
        if self._described is None:
            self._wait(chunk)
            return []
        if self._refusal is not None:
            self.refuse(self._refusal)
            return []
        try:
            samples = self._decoded(chunk)
        except AudioError as error:
            self.refuse(error)
            return []
        return self._take(chunk, samples)

    def refuse(self, error: AudioError) -> None:
        """Count a message that cannot be used, and say why."""
        self.counts.refused += 1
        self.counts.refusal = self.counts.last_refusal = str(error)
        self._say(error)

    def _say(self, error: AudioError) -> None:
        self._notices(error.kind, f"audio refused: {error}")

    def _decoded(self, chunk: Chunk) -> np.ndarray:
        """Samples (n, M) of the microphones in the model's order. Raises AudioError."""
        samples = decode(chunk.data, self._format)
        samples, n_bad = mend(samples[:, self._channel_map] if self._channel_map else samples)
        if n_bad:
            self.counts.unusable += n_bad
            self._notices("unusable", f"{n_bad} samples of a chunk are NaN, infinite or absurdly large and count as 0")
        return samples

    def _take(self, chunk: Chunk, samples: np.ndarray) -> list[Window]:
        rate, stamp_ns, follows_ns = self._format.sample_rate, chunk.stamp_ns, self.stream.next_stamp_ns
        if chunk.count is None and self._came_twice(stamp_ns, samples):
            self.counts.overlaps += 1
            self.counts.overlap_s += len(samples) / rate
            self._notices("twice", "a message came twice and is left out the second time: let one source at a time "
                                   "publish the audio")
            return []
        self._last = samples
        if stamp_ns != self._last_stamp_ns:
            self._last_stamp_ns, self._n_alike, self._alike_s = stamp_ns, 0, 0.0
        self._n_alike, self._alike_s = self._n_alike + 1, self._alike_s + len(samples) / rate
        windows = []
        still = stamp_ns and stand_still(self._n_alike, self._alike_s)
        if still and chunk.count is None and follows_ns is not None:
            windows += self.stream.disregard_stamps()
            stamp_ns = self.stream.next_stamp_ns
            self._notices("still", "the audio's stamps stand still: it is taken for unbroken; let its source stamp "
                                   "each message with the time of its first sample")
        if stamp_ns == 0 and follows_ns is not None:
            stamp_ns = follows_ns
            if chunk.count is None:
                self._notices("unstamped", "the audio has no stamps: it is taken for unbroken, its time counts from 0")
        if chunk.count is not None:
            stamp_ns, samples = self._frames.push(chunk.count, stamp_ns, samples, rate)
        self.counts.add(samples, rate)
        return windows + self.stream.push(stamp_ns, samples, rate, exact=chunk.count is not None)

    def _came_twice(self, stamp_ns: int, samples: np.ndarray) -> bool:
        """Whether a message is the one before again, as from a relay; silence always looks the same."""
        return bool(stamp_ns and stamp_ns == self._last_stamp_ns and np.array_equal(samples, self._last)
                    and np.ptp(samples))

    def _checked(self, audio: AudioFormat) -> AudioFormat:
        if self._channel_map and max(self._channel_map) >= audio.channels:
            raise AudioError(
                "channels",
                f"channel_map asks for channel {max(self._channel_map)}, and the audio has {audio.channels}, counted "
                "from 0: set channel_map to channels that are there, or capture more",
            )
        if not self._channel_map and audio.channels != self._n_channels:
            raise AudioError(
                "channels",
                f"the audio has {audio.channels} channels and the model needs {self._n_channels}: capture all "
                "microphones of the array, name theirs in channel_map, or load a model for this array",
            )
        return audio

    def _wait(self, chunk: Chunk) -> None:
        self._waiting.append(chunk)
        self._waiting_bytes += len(chunk.data)
        while self._waiting_bytes > MAX_WAITING:
            self._waiting_bytes -= len(self._waiting.popleft().data)
