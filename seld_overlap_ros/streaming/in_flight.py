"""How many windows are on their way through other processes, so that the one that sends them out can wait."""

from __future__ import annotations

import threading
import time

MOST = 2  # one window in work while the next one is handed over
LOST_AFTER_S = 3.0  # of a window: a stage has left it out, or has died with it


class InFlight:
    """Windows sent out by stamp, until they come back as events or are taken for lost."""

    def __init__(self) -> None:
        self._sent: dict[int, float] = {}  # stamp -> when [s]
        self._changed = threading.Condition()
        self._closed = False

    def send(self, stamp_ns: int) -> None:
        """A window goes out."""
        with self._changed:
            self._sent[stamp_ns] = time.monotonic()

    def came_back(self, stamp_ns: int) -> None:
        """A window has come through, and those sent before it will not any more."""
        with self._changed:
            if stamp_ns in self._sent:
                for earlier in list(self._sent):
                    del self._sent[earlier]
                    if earlier == stamp_ns:
                        break
                self._changed.notify_all()

    def wait(self) -> bool:
        """Until there is room for one more, which takes LOST_AFTER_S at most. False if windows were lost for that."""
        with self._changed:
            if len(self._sent) < MOST:
                return True
            rest_s = min(self._sent.values()) + LOST_AFTER_S - time.monotonic()
            if self._changed.wait_for(lambda: len(self._sent) < MOST or self._closed, max(0.0, rest_s)):
                return True
            self._sent.clear()
            return False

    def close(self) -> None:
        """Nobody need wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
