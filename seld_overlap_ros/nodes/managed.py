"""Lifecycle nodes: configure loads, activate starts, deactivate stops, clean-up frees."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState
from rclpy.lifecycle.node import TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.qos import QoSCompatibility, qos_check_compatible, qos_policy_name_from_kind
from rclpy.subscription import Subscription
from std_srvs.srv import SetBool

from seld_overlap_ros.graphs import NodeKind
from seld_overlap_ros.memory import keep_freed_memory
from seld_overlap_ros.models.engine import Engine, load_engine, warm_up
from seld_overlap_ros.nodes.diagnostics import Diagnostics
from seld_overlap_ros.nodes.running import RunnableNode, one_line
from seld_overlap_ros.streaming.health import ERROR, WARN, Status, status
from seld_overlap_ros.streaming.notices import Notices

FORGIVEN_S = 5.0  # after which a mismatch of QoS is forgotten when its other side is gone
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class ManagedNode(LifecycleNodeMixin, RunnableNode):
    """Configures and activates itself unless `autostart` is false; what `load` refuses then ends it.

    Its nodes say in `load`, `start`, `stop` and `free` what to do in each transition. How they are goes to
    `/diagnostics`: the state of each, and what the parts of a node put into `watched`.
    """

    def __init__(self, kind: NodeKind) -> None:
        self._mismatches: dict[str, tuple[str, float]] = {}  # topic -> sentence, and when it was noticed
        RunnableNode.__init__(self, kind)
        LifecycleNodeMixin.__init__(self)
        self.notices = Notices(self.get_logger().warning)
        self.watched: dict[str, Callable[[], Status]] = {}
        self.configured = self.active = False
        self._refusal: Exception | None = None
        self._computed_by = "none"
        self._has_enable = False
        Diagnostics(self, lambda: [self._state(), *(look() for look in list(self.watched.values()))])
        keep_freed_memory()
        self._is_made = False
        if self.value("autostart"):
            try:
                self.bring_up()
            except BaseException:
                self.close()  # nobody else has the node yet
                raise
        self._is_made = True

    def load(self) -> None:
        """Get ready. Raises ValueError for what a user can mend."""

    def start(self) -> None:
        """Begin to listen."""

    def stop(self) -> None:
        """End what `start` began."""

    def free(self) -> None:
        """Let go of what `load` made."""

    def load_engine(self, *networks: str) -> Engine:
        """What computes the node's model, as its parameters say: those networks of it, or all. Raises ValueError."""
        engine = load_engine(self.value("model"), self.value("engine"), networks or None)
        warm_up(engine, networks or None)
        self.get_logger().info(f"the model {self.value('model')} is computed by {engine.title}")
        self._computed_by = engine.title
        return engine

    def bring_up(self) -> None:
        """Configure and activate, from whichever state. Raises what `load` or `start` raised."""
        for is_done, trigger in ((self.configured, self.trigger_configure), (self.active, self.trigger_activate)):
            if not is_done and trigger() != SUCCESS:
                raise self._refusal or ValueError(f"{self.get_name()} cannot be started in the state that it is in")

    def offer_enable(self) -> None:
        """Make the service `enable`: true brings the node up, false deactivates it."""
        self._has_enable = True
        self.create_service(SetBool, "enable", self._on_enable)

    def create_subscription(self, kind: type, topic: str, *args: object, **given: object) -> Subscription:
        """As a node does it; whoever offers QoS that does not match is said, here and in `/diagnostics`."""
        on_event = partial(self._on_mismatch, topic, "a publisher offers")
        given["event_callbacks"] = SubscriptionEventCallbacks(incompatible_qos=on_event)
        return super().create_subscription(kind, topic, *args, **given)

    def create_publisher(self, kind: type, topic: str, *args: object, **given: object) -> Publisher:
        """As `create_subscription`, for a subscriber who asks for what is not offered."""
        on_event = partial(self._on_mismatch, topic, "a subscriber asks for")
        given["event_callbacks"] = PublisherEventCallbacks(incompatible_qos=on_event)
        return super().create_publisher(kind, topic, *args, **given)

    def close(self) -> None:
        """Also free what was loaded: an engine is not to meet the end of the interpreter, and that of its libraries."""
        if self.active:
            self.stop()
        if self.configured:
            self.free()
        self.active = self.configured = False

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
        self.done.set_result(0)
        return SUCCESS

    def _transition(self, step: Callable[[], None], **becomes: bool) -> TransitionCallbackReturn:
        try:
            step()
        except Exception as error:  # rclpy would swallow it
            self._refusal = error
            if self._is_made or not self.value("autostart"):  # else `run` says it
                self.get_logger().error(one_line(error))
            return FAILURE
        self._refusal = None
        for name, value in becomes.items():
            setattr(self, name, value)
        return SUCCESS

    def _on_mismatch(self, topic: str, who: str, event: object) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        sentence = (f"nothing goes over {self.resolve_topic_name(topic)} where {who} other QoS, as to {policy}: set it "
                    "as in docs/graph.md")
        self._mismatches[topic] = sentence, time.monotonic()
        self.notices(f"QoS of {topic}", sentence)

    def _still_mismatched(self, topic: str, since: float) -> bool:
        """Whether somebody on the topic does not fit; also just after it was noticed, when not all is known of them."""
        name = self.resolve_topic_name(topic)
        givers, takers = self.get_publishers_info_by_topic(name), self.get_subscriptions_info_by_topic(name)
        return time.monotonic() - since < FORGIVEN_S or any(
            qos_check_compatible(giver.qos_profile, taker.qos_profile)[0] == QoSCompatibility.ERROR
            for giver in givers for taker in takers)

    def _state(self) -> Status:
        """Lifecycle, model and QoS."""
        state = "active" if self.active else "inactive" if self.configured else "unconfigured"
        self._mismatches = {topic: (sentence, since) for topic, (sentence, since) in self._mismatches.items()
                            if self._still_mismatched(topic, since)}
        troubles = [(WARN, sentence) for sentence, _ in self._mismatches.values()]
        if self._refusal and not self.active:
            troubles.append((ERROR, f"{state}, as it could not be started: {one_line(self._refusal)}"))
        elif not self.active:
            ways = "call the service enable with true, or " if self._has_enable else ""
            troubles.append((WARN, f"{state}: {ways}bring it up by its lifecycle, as `seld-overlap doctor` says"))
        has_model = self.has_parameter("model")
        loaded = (self.value("model") if self.configured else "none") if has_model else "needs none"
        return status("state", troubles[::-1], "active", {
            "state": state, "model loaded": loaded,
            "engine": self._computed_by, "QoS mismatches": " ".join(self._mismatches) or "none"})

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        try:
            if request.data:
                self.bring_up()
            elif self.active:
                self.trigger_deactivate()
            response.success = self.active == request.data
            response.message = "listening" if self.active else "not listening"
        except Exception as error:
            response.success, response.message = False, one_line(error)
        return response
