"""Brings together what belongs to one window and arrives apart: parts of several kinds with the same stamp."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MOST_WAITING = 6  # windows of which a part is there; more than ever are on the way at once


class Pairing:
    """Joins the parts of each window, in the order in which the windows come; memory for MOST_WAITING of them.

    The parts of one kind come in order, the kinds in any order to each other. When a window is complete, or too many
    wait, those that came before it will not be complete any more: `on_lost` is called with what was missing of each.
    """

    def __init__(self, kinds: Sequence[str], on_lost: Callable[[int, list[str]], object]) -> None:
        self._kinds = kinds
        self._on_lost = on_lost
        self._waiting: dict[int, dict[str, object]] = {}  # stamp -> kind -> part, by the arrival of the first part

    def put(self, kind: str, stamp_ns: int, part: object) -> tuple | None:
        """One part of the window with this stamp -> all its parts in the order of the kinds, if it was the last one."""
        parts = self._waiting.setdefault(stamp_ns, {})
        parts[kind] = part
        if len(parts) == len(self._kinds):
            while stamp_ns in self._waiting:
                self._give_up_first(but=stamp_ns)
            return tuple(parts[kind] for kind in self._kinds)
        while len(self._waiting) > MOST_WAITING:
            self._give_up_first()
        return None

    def _give_up_first(self, but: int | None = None) -> None:
        stamp_ns = next(iter(self._waiting))
        parts = self._waiting.pop(stamp_ns)
        if stamp_ns != but:
            self._on_lost(stamp_ns, [kind for kind in self._kinds if kind not in parts])
