"""A thread that works on the newest items, so that whoever hands them over never waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Worker(Generic[Item]):
    """Calls `handle` in a thread of its own, one item at a time; those that came together wait, until newer ones come.

    `on_drop` is called for an item that lost its place, `on_failure` once, in the thread, if `handle` raises.
    """

    def __init__(
        self,
        handle: Callable[[Item], None],
        on_drop: Callable[[Item], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._handle, self._on_drop, self._on_failure = handle, on_drop, on_failure
        self._waiting: list[Item] = []
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    def put(self, *items: Item) -> None:
        """Hand over what has come at once, the oldest first. Returns at once."""
        with self._changed:
            dropped, self._waiting = self._waiting, list(items)
            self._changed.notify()
        for old in dropped:
            self._on_drop(old)

    def close(self) -> None:
        """End the thread after the item that it works on; what waits is left."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _next(self) -> Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return None if self._closed else self._waiting.pop(0)

    def _run(self) -> None:
        try:
            while (item := self._next()) is not None:
                self._handle(item)
        except Exception as error:  # a thread has no caller to raise to
            self._on_failure(error)
