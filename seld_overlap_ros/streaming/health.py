"""How a node is, in lines for `/diagnostics`: a level, one sentence with the way out, and named values.

No ROS in here: whoever publishes them only converts. What only adds up (counts) is compared with how it stood RECENT_S
ago, so that a line says what is amiss now, and its values what has come in all.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from seld_overlap_ros.streaming.counts import AudioCounts
from seld_overlap_ros.streaming.pcm import SECOND

OK, WARN, ERROR = 0, 1, 2  # as in diagnostic_msgs/DiagnosticStatus
RECENT_S = 10.0
LEAST_S = 4.0  # of audio, before its rate is judged
RATE_OFF = 0.03  # two crystals differ by less than a thousandth, 44100 Hz and 48000 Hz by a twelfth
CLIPPED = 1e-4  # share of the samples; less may be one bang
FAR_DB = 20.0  # a microphone of a small array differs from the others by less
FAR_S = 5.0  # for so long; something may be close to one microphone for a moment
FAINT_DB = -60.0  # below, microphones differ by their own noise
LATENCY_S = 60.0  # how far back median and 95th percentile look; and more is no latency, but another clock
HOP_TO_SPARE = 1.2
DOUBLED = 1.5  # times the rate: then it is rather two sources than a wrong rate
STOPPED_S = 2.0  # without a message, the audio has stopped

Trouble = tuple[int, str]  # level and sentence


@dataclass(frozen=True)
class Status:
    """One line of /diagnostics."""

    subject: str  # what it is about, such as "audio"
    level: int  # OK, WARN or ERROR
    sentence: str
    values: dict[str, str] = field(default_factory=dict)


def status(subject: str, troubles: list[Trouble], well: str, values: dict[str, str]) -> Status:
    """A line that says the first of the worst troubles, or `well` if there is none."""
    level, sentence = max(troubles, key=lambda trouble: trouble[0], default=(OK, well))
    return Status(subject, level, sentence, values)


class AudioHealth:
    """Judges an input by what it has counted, look by look. It is to be asked once a second."""

    def __init__(self, counts: AudioCounts) -> None:
        self._counts = counts
        self._looks: deque[dict[str, float]] = deque()  # of the last RECENT_S
        self._far_since: float | None = None

    def status(self, now_s: float, last_s: float | None, rate: int, topic: str, absent: str) -> Status:
        """now_s, last_s: monotonic time, and that of the last message, None before the first [s].

        rate: of the audio as told [Hz]; 0: unknown. topic: where it is listened to. absent: sentence for no audio.
        """
        counts = self._counts
        if counts.seconds:
            self._look(now_s, last_s)
        measured = self._measured(rate)
        troubles = self._absence(now_s, last_s, rate, topic, absent)
        if not troubles:
            of_rate, of_stream = list(self._of_rate(rate, measured)), list(self._of_stream())
            of_input = [*of_stream, *of_rate] if measured and measured > DOUBLED * rate else [*of_rate, *of_stream]
            troubles = [*self._of_refusals(), *of_input, *self._of_microphones(now_s)]
        well = f"{counts.n_microphones} microphones at {rate} Hz on {topic}"
        return status("audio", troubles, well, self._values(topic, rate, measured))

    def _look(self, now_s: float, last_s: float) -> None:
        names = ("refused", "seconds", "samples", "gaps", "overlaps", "restarts", "odd_stamps", "unusable", "clipped")
        self._looks.append({name: getattr(self._counts, name) for name in names} | {"now": now_s, "last": last_s})
        while len(self._looks) > 2 and now_s - self._looks[1]["now"] >= RECENT_S:
            self._looks.popleft()

    def _recent(self, name: str) -> float:
        return self._looks[-1][name] - self._looks[0][name] if self._looks else 0.0

    def _measured(self, rate: int) -> float | None:
        """Samples that came in a second of time [Hz], counted from message to message; None while that is not known.

        Since the audio last went on after a pause, which says nothing of its rate.
        """
        looks = list(self._looks)
        begins = [n for n in range(1, len(looks)) if looks[n]["last"] - looks[n - 1]["last"] > STOPPED_S]
        looks = looks[begins[-1] if begins else 0 :]
        past_s = looks[-1]["last"] - looks[0]["last"] if looks else 0.0
        return rate * (looks[-1]["seconds"] - looks[0]["seconds"]) / past_s if rate and past_s >= LEAST_S else None

    def _absence(self, now_s: float, last_s: float | None, rate: int, topic: str, absent: str) -> list[Trouble]:
        if last_s is None:
            return [(ERROR, absent)]
        if now_s - last_s > STOPPED_S:
            return [(ERROR, f"no more audio on {topic} for {now_s - last_s:.0f} s: is its source still running?")]
        if self._counts.refusal:
            return [(ERROR, f"audio refused: {self._counts.refusal}")]
        if self._counts.seconds:
            return []
        return [(WARN, f"no sound on {topic} yet: are the microphones muted?" if rate else
                 f"the format of the audio on {topic} is not known yet: does its source publish audio_info?")]

    def _of_refusals(self) -> Iterator[Trouble]:
        if times := int(self._recent("refused")):
            yield WARN, f"{times} messages were refused within {RECENT_S:g} s: {self._counts.last_refusal}"

    def _of_rate(self, rate: int, measured: float | None) -> Iterator[Trouble]:
        if measured is not None and abs(measured / rate - 1) > RATE_OFF:
            yield WARN, (f"audio said to have {rate} Hz comes at {measured:.0f} Hz: messages are lost, or its source "
                         "tells a wrong rate or plays at another pace")

    def _of_stream(self) -> Iterator[Trouble]:
        lost = (f"within {RECENT_S:g} s: give the machine or the network less to do, and let one source at a time "
                "publish the audio")
        for name, what in (("restarts", "listening started anew"), ("gaps", "audio was missing"),
                           ("overlaps", "audio came twice"), ("odd_stamps", "a stamp was wrong")):
            if times := int(self._recent(name)):
                yield WARN, f"{what}, {times} times {lost}"
        if self._recent("unusable"):
            yield WARN, "samples were NaN, infinite or absurdly large: check the source and its sample format"

    def _of_microphones(self, now_s: float) -> Iterator[Trouble]:
        """Dead, copied, clipped, silent, and much louder or quieter than the others."""
        counts = self._counts
        if dead := counts.dead():
            yield ERROR, f"{_microphones(dead)} dead, giving one and the same sample: check cable, gain and channel_map"
        for one, other in counts.twins()[:1]:
            yield ERROR, (f"microphones {one} and {other} give the very same samples: check channel_map, and that the "
                          "source captures each by itself")
        if counts.still_s.min() >= LEAST_S:
            yield WARN, "all microphones give nothing but one and the same sample: are they muted?"
        share = self._recent("clipped") / max(1.0, self._recent("samples") * counts.n_microphones)
        if share > CLIPPED:
            yield WARN, f"{100 * share:.2g} % of the samples are at full scale: turn down the gain"
        far = self._far()
        self._far_since = None if not far else self._far_since or now_s
        if far and now_s - self._far_since >= FAR_S:
            yield WARN, f"{far} than the others: check cable, gain and cover"

    def _far(self) -> str:
        """Which microphone is far from the middle of all, and by how much; empty if none."""
        levels = self._counts.levels_db
        alive = self._counts.still_s < 1.0
        if alive.sum() < 3 or levels.max() < FAINT_DB:
            return ""
        off = np.where(alive, levels - np.median(levels[alive]), 0.0)
        worst = int(np.abs(off).argmax())
        if abs(off[worst]) < FAR_DB:
            return ""
        return f"microphone {worst} is {abs(off[worst]):.0f} dB {'louder' if off[worst] > 0 else 'quieter'}"

    def _values(self, topic: str, rate: int, measured: float | None) -> dict[str, str]:
        counts = self._counts
        levels = counts.levels_db
        return {
            "topic": topic,
            "rate told [Hz]": str(rate or "unknown"),
            "rate measured [Hz]": "unknown" if measured is None else f"{measured:.0f}",
            "audio [s]": f"{counts.seconds:.1f}",
            "messages": str(counts.chunks),
            "messages refused": str(counts.refused),
            "gaps": f"{counts.gaps} ({counts.gap_s:.3f} s)",
            "overlaps": f"{counts.overlaps} ({counts.overlap_s:.3f} s)",
            "restarts": str(counts.restarts),
            "odd stamps": str(counts.odd_stamps),
            "clock steps": str(counts.clock_steps),
            "unusable samples": str(counts.unusable),
            "clipped samples": str(counts.clipped),
            "levels [dB]": " ".join(f"{level:.0f}" for level in levels),
            "dead microphones": _numbers(counts.dead()),
            "microphones alike": ", ".join(f"{one} and {other}" for one, other in counts.twins()) or "none",
        }


def _numbers(microphones: list[int]) -> str:
    return " ".join(map(str, microphones)) or "none"


def _microphones(numbers: list[int]) -> str:
    listed = " and ".join(map(str, numbers))
    return f"microphone {listed} is" if len(numbers) == 1 else f"microphones {listed} are"


class Work:
    """Windows that came, were done and were dropped, and how long they took. Used from several threads."""

    def __init__(self, window_s: float | None, now_ns: Callable[[], int],
                 clock: Callable[[], float] = time.monotonic) -> None:
        """window_s: length of a window, None if unknown. now_ns: time on the clock that should be the stamps' [ns]."""
        self._window_s, self._now_ns, self._clock = window_s, now_ns, clock
        self._lock = threading.Lock()
        self._came: deque[tuple[float, int]] = deque()  # when [s], stamp [ns]
        self._done: deque[tuple[float, float, float]] = deque()  # when, how long it took, latency
        self._dropped: deque[float] = deque()  # when
        self._hop_since_s = -math.inf
        self.n_done = self.n_dropped = 0

    def came(self, stamp_ns: int) -> None:
        """A window is there to be worked on."""
        with self._lock:
            self._came.append((self._clock(), stamp_ns))

    def hop_changed(self) -> None:
        """What has come so far says nothing of the time from window to window any more."""
        with self._lock:
            self._hop_since_s = self._clock()

    def dropped(self) -> None:
        """A window lost its place to a newer one."""
        with self._lock:
            self.n_dropped += 1
            self._dropped.append(self._clock())

    @contextmanager
    def window(self, stamp_ns: int) -> Iterator[None]:
        """The work on one window, up to the moment when its outcome has been published."""
        began_s = self._clock()
        yield
        latency_s = (self._now_ns() - stamp_ns) / SECOND - (self._window_s or 0.0)
        with self._lock:
            self.n_done += 1
            self._done.append((self._clock(), self._clock() - began_s, latency_s))

    def status(self) -> Status:
        """Of the last minute, and of the last RECENT_S as to what was dropped."""
        with self._lock:
            now_s = self._clock()
            self._forget(now_s)
            hop_s = self._hop_s()
            busy_s = [busy_s for _, busy_s, _ in self._done]
            late_s = [late_s for _, _, late_s in self._done if -1.0 < late_s < LATENCY_S]
            n_dropped = sum(now_s - when < RECENT_S for when in self._dropped)
            n_came = len(self._came)
        factor = float(np.mean(busy_s)) / hop_s if busy_s and hop_s else None
        values = {
            "windows done": str(self.n_done),
            "windows dropped": str(self.n_dropped),
            "time from window to window [s]": _number(hop_s),
            "busy per window [s]": _number(float(np.mean(busy_s)) if busy_s else None),
            "real-time factor": _number(factor),
            **self._latency(late_s, bool(busy_s)),
        }
        troubles: list[Trouble] = []
        if n_dropped:
            hint = f" of {_hop_for(float(np.mean(busy_s))):g} s or more" if factor and factor > 1 else ""
            troubles = [(WARN, f"windows are left out, {n_dropped} within {RECENT_S:g} s, as they come faster than "
                               f"they are worked on: set a longer hop{hint}, or give the machine less to do")]
        well = f"{self.n_done} windows done, none left out lately" if n_came else "no window has come within a minute"
        return status("windows", troubles, well, values)

    def _forget(self, now_s: float) -> None:
        for past in (self._came, self._done):
            while past and now_s - past[0][0] > LATENCY_S:
                past.popleft()
        while self._dropped and now_s - self._dropped[0] > LATENCY_S:
            self._dropped.popleft()

    def _hop_s(self) -> float | None:
        """Time from window to window: the least difference of two stamps, as a dropped one leaves a longer one."""
        stamps = [stamp_ns for when, stamp_ns in self._came if when >= self._hop_since_s]
        steps = [after - before for before, after in pairwise(stamps) if after > before]
        return min(steps) / SECOND if steps else None

    def _latency(self, late_s: list[float], has_worked: bool) -> dict[str, str]:
        """From the last sample of a window, by its stamp, to the end of the work on it."""
        if self._window_s is None:
            return {}
        if has_worked and not late_s:
            return {"latency": "unknown, as the audio's stamps are of another clock than this node's"}
        median, high = (np.percentile(late_s, (50, 95)) if late_s else (None, None))
        return {"latency, median [s]": _number(median), "latency, 95th percentile [s]": _number(high)}


def _hop_for(busy_s: float) -> float:
    """A hop for windows that take busy_s [s], with something to spare, in steps of 50 ms."""
    return math.ceil(HOP_TO_SPARE * busy_s * 20) / 20


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
