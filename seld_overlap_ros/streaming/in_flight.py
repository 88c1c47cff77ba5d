"""How many windows are on their way through other processes, so that the one that sends them out can wait."""

from __future__ import annotations

import threading
import time

KEPT = 16  # more are never on their way
MOST = 2  # one window in work while the next one is handed over
LOST_AFTER_S = 3.0  # of a window: a stage has left it out, or has died with it
PROBE_S = 1.0  # between windows while none comes back, so that the first that can come through soon does


class InFlight:
    """Windows sent out by stamp, until they come back as events or are taken for lost."""

    def __init__(self) -> None:
        self._sent: dict[int, float] = {}  # stamp -> when [s]
        self._changed = threading.Condition()
        self._closed = False
        self._silent = False  # none has come back since some were lost

    def send(self, stamp_ns: int) -> None:
        """A window goes out."""
        with self._changed:
            self._sent[stamp_ns] = time.monotonic()
            while len(self._sent) > KEPT:
                del self._sent[next(iter(self._sent))]

    def came_back(self, stamp_ns: int) -> float | None:
        """A window has come through, and those sent before it will not any more -> how long it was on its way [s]."""
        with self._changed:
            if stamp_ns not in self._sent:
                return None
            took_s = time.monotonic() - self._sent[stamp_ns]
            self._silent = False
            for earlier in list(self._sent):
                del self._sent[earlier]
                if earlier == stamp_ns:
                    break
            self._changed.notify_all()
            return took_s

    def wait(self) -> bool:
        """Until there is room for one more, which takes LOST_AFTER_S at most. False while none comes back."""
        with self._changed:
            if self._has_room():
                return True
            sent = self._sent.values()
            until = max(sent) + PROBE_S if self._silent else min(sent) + LOST_AFTER_S
            if self._changed.wait_for(self._has_room, max(0.0, until - time.monotonic())):
                return True
            self._silent = True
            return False

    def _has_room(self) -> bool:
        return self._closed or (len(self._sent) < MOST and not self._silent)

    def close(self) -> None:
        """Nobody need wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
