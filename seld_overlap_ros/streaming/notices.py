"""Sentences for the log that neither flood it nor stay away: each kind at most once in a while, with its count."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

PAUSE_S = 10.0  # between two sentences of one kind


class Notices:
    """Counts what happened by kind, and says the first of each kind at once and the others now and then."""

    def __init__(self, say: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self._say = say
        self._clock = clock
        self._last: dict[str, tuple[float, int]] = {}  # kind -> when it was said, and the count then

    def __call__(self, kind: str, sentence: str) -> None:
        """Count one `kind`, and say `sentence` unless another of its kind was said less than PAUSE_S ago."""
        self.counts[kind] += 1
        now, count = self._clock(), self.counts[kind]
        when, said = self._last.get(kind, (-PAUSE_S, 0))
        if said and now - when < PAUSE_S:
            return
        self._last[kind] = (now, count)
        unsaid = count - said - 1
        self._say(f"{sentence} ({unsaid} more since last said)" if unsaid else sentence)
