"""Lifecycle nodes: configure loads, activate starts, deactivate stops, clean-up frees."""

from __future__ import annotations

from collections.abc import Callable

import torch
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState
from rclpy.lifecycle.node import TransitionCallbackReturn
from std_srvs.srv import SetBool

from seld_overlap_ros.graphs import NodeKind
from seld_overlap_ros.memory import keep_freed_memory
from seld_overlap_ros.nodes.running import RunnableNode
from seld_overlap_ros.streaming.notices import Notices

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class ManagedNode(LifecycleNodeMixin, RunnableNode):
    """Configures and activates itself unless `autostart` is false; what `load` refuses then ends it.

    Its nodes say in `load`, `start`, `stop` and `free` what to do in each transition.
    """

    def __init__(self, kind: NodeKind) -> None:
        RunnableNode.__init__(self, kind)
        LifecycleNodeMixin.__init__(self)
        self.notices = Notices(self.get_logger().warning)
        self.configured = self.active = False
        self._refusal: Exception | None = None
        use_cores_in_peace()
        keep_freed_memory()
        if self.value("autostart"):
            self.bring_up()

    def load(self) -> None:
        """Get ready. Raises ValueError for what a user can mend."""

    def start(self) -> None:
        """Begin to listen."""

    def stop(self) -> None:
        """End what `start` began."""

    def free(self) -> None:
        """Let go of what `load` made."""

    def bring_up(self) -> None:
        """Configure and activate, from whichever state. Raises what `load` or `start` raised."""
        for is_done, trigger in ((self.configured, self.trigger_configure), (self.active, self.trigger_activate)):
            if not is_done and trigger() != SUCCESS:
                raise self._refusal or ValueError(f"{self.get_name()} cannot be started in the state that it is in")

    def offer_enable(self) -> None:
        """Make the service `enable`: true brings the node up, false deactivates it."""
        self.create_service(SetBool, "enable", self._on_enable)

    def close(self) -> None:
        if self.active:
            self.stop()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.load, configured=True)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.start, active=True)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.stop, active=False)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.free, configured=False)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        self.active = False
        self.done.set_result(0)
        return SUCCESS

    def _transition(self, step: Callable[[], None], **becomes: bool) -> TransitionCallbackReturn:
        try:
            step()
        except Exception as error:  # rclpy would swallow it
            self._refusal = error
            if not self.value("autostart"):
                self.get_logger().error(" ".join(str(error).split()))
            return FAILURE
        for name, value in becomes.items():
            setattr(self, name, value)
        return SUCCESS

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        try:
            if request.data:
                self.bring_up()
            elif self.active:
                self.trigger_deactivate()
            response.success = self.active == request.data
            response.message = "listening" if self.active else "not listening"
        except Exception as error:
            response.success, response.message = False, " ".join(str(error).split())
        return response


def use_cores_in_peace() -> None:
    """Leave one core to the audio and to other nodes.

    torch's threads wait for each other by spinning: on two cores beside one busy process, a window of eight sounds
    took 2.5 s with two threads and 0.6 s with one.
    """
    torch.set_num_threads(max(1, torch.get_num_threads() - 1))
