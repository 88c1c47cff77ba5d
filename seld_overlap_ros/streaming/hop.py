"""The hop that fits a machine: the shortest one at which windows take less than half of the time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.streaming.health import WARN, Status, status

FRAMES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192)  # hops to choose from, in frames of the STFT: 0.128 to 3.072 s
START = 32  # of FRAMES, where nothing has been measured
MOST = 0.5  # real-time factor
SOON_S, SOON = 10.0, 8  # three in four of the windows of that long, or of so many, make the hop longer,
BUSY_S = 2.0  # if all of these took so long together: a stall of the machine is no reason
CALM_S = 60.0  # no window of that long spoke against it, and the hop gets shorter


class AutoHop:
    """Starts with the hop that a measurement asks for; longer while windows take too long, never shorter than at first.

    Used from several threads.
    """

    def __init__(self, front_end: FrontEnd, cost_s: float | None, say: Callable[[str], object],
                 clock: Callable[[], float] = time.monotonic) -> None:
        """cost_s: what a window takes, measured beforehand; None: unknown, and a minute will show. `say`: each hop."""
        self._hops_s = [frames * front_end.hop / front_end.sample_rate for frames in FRAMES]
        self._say, self._clock, self._lock = say, clock, threading.Lock()
        self._least_s = self._hops_s[0] if cost_s is None else self._shortest(cost_s)
        self._costs: deque[tuple[float, float]] = deque()  # when [s], what a window took [s]
        self._n_changes = -1
        self._set(self._hops_s[FRAMES.index(START)] if cost_s is None else self._least_s, cost_s)

    def took(self, cost_s: float) -> bool:
        """What a window took [s]. True if that changes `hop_s`."""
        with self._lock:
            now_s = self._clock()
            self._costs.append((now_s, cost_s))
            while now_s - self._costs[0][0] > CALM_S:
                self._costs.popleft()
            soon = [cost for when, cost in self._costs if now_s - when <= SOON_S]
            if len(soon) < SOON:
                soon = [cost for _, cost in list(self._costs)[-SOON:]]
            if len(soon) >= SOON and sum(soon) >= BUSY_S:
                usual = float(np.percentile(soon, 75))
                if (needed := self._shortest(usual)) > self.hop_s:
                    self._set(needed, usual)
                    return True
            if now_s - self._since_s >= CALM_S:
                high = float(np.percentile([cost for _, cost in self._costs], 95))
                if (enough := max(self._least_s, self._shortest(high))) < self.hop_s:
                    self._set(enough, high)
                    return True
            return False

    def status(self) -> Status:
        """For /diagnostics."""
        with self._lock:
            cost_s = float(np.mean([cost for _, cost in self._costs])) if self._costs else self._cost_s
            troubles = []
            if cost_s and cost_s > MOST * self._hops_s[-1]:
                troubles = [(WARN, f"a window takes {cost_s:.2f} s, too long for any hop: give the machine less to do, "
                                   "or take a smaller model")]
            return status("hop", troubles, self._sentence, {
                "hop [s]": f"{self.hop_s:g}", "time for a window [s]": "unknown" if cost_s is None else f"{cost_s:.3f}",
                "changes": str(self._n_changes)})

    def _shortest(self, cost_s: float) -> float:
        return next((hop_s for hop_s in self._hops_s if cost_s < MOST * hop_s), self._hops_s[-1])

    def _set(self, hop_s: float, cost_s: float | None) -> None:
        """What was measured at the old hop counts no more: windows that wait for each other take longer."""
        self.hop_s, self._cost_s, self._since_s = hop_s, cost_s, self._clock()
        self._costs.clear()
        self._n_changes += 1
        why = "until it is known what a window takes" if cost_s is None else f"as a window takes {cost_s:.3f} s"
        self._sentence = f"a window every {hop_s:g} s, {why}"
        self._say(f"hop: auto: {self._sentence}")
