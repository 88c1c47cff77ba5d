"""Waiting until lifecycle nodes are active."""

from __future__ import annotations

import math
import time

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from rclpy.task import Future

ANSWER_S = 5.0  # for a node to say its state; the answer of one that has died, or was only just found, never comes


class Awaited:
    """Lifecycle nodes that are waited for. One that was active once is not asked again."""

    def __init__(self, node: Node, names: str) -> None:
        """node: which asks them. names: with commas between them; empty: none."""
        self._not_yet = {name: node.create_client(GetState, f"{name}/get_state")
                         for name in names.replace(" ", "").split(",") if name}
        self._asked: dict[str, tuple[float, Future]] = {}  # when, and the answer to be

    def missing(self) -> list[str]:
        """Those that have not said yet that they are active; they are asked, so call it now and then."""
        for name, client in list(self._not_yet.items()):
            asked_s, answer = self._asked.get(name, (-math.inf, None))
            if answer is not None and answer.done():
                if answer.result().current_state.id == State.PRIMARY_STATE_ACTIVE:
                    del self._not_yet[name]
                del self._asked[name]
            elif time.monotonic() - asked_s > ANSWER_S and client.service_is_ready():
                self._asked[name] = time.monotonic(), client.call_async(GetState.Request())
        return list(self._not_yet)
