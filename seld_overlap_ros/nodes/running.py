"""What every node here does alike: declare its parameters, run until done or told to end, fail in a sentence."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial

import rclpy
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.task import Future
from rclpy.timer import Timer

from seld_overlap_ros.evaluation.events import printable
from seld_overlap_ros.graphs import CRASHED, REFUSED, NodeKind, Parameter, Value
from seld_overlap_ros.streaming.pcm import AudioError
from seld_overlap_ros.up import undisturbed


class Refusal(ValueError):
    """What a user can mend and a callback finds out; the sentence says how."""


class RunnableNode(Node):
    """A node that may end by itself: `done` is set with the exit code then."""

    def __init__(self, kind: NodeKind) -> None:
        super().__init__(kind.name)
        self.done: Future = Future()
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.add_on_set_parameters_callback(partial(check_words, kind))
        for parameter in kind.parameters:
            self.declare_parameter(parameter.name, parameter.default, descriptor(parameter))

    def create_timer(self, period_s: float, callback: Callable[[], object]) -> Timer:
        """As a node does it, but by a steady clock: what a node looks after must not stop where `/clock` does."""
        return super().create_timer(period_s, callback, clock=self._steady)

    def close(self) -> None:
        """Let go of what is not ROS's, such as threads and files."""

    def value(self, name: str) -> Value:
        """Value of a declared parameter."""
        return self.get_parameter(name).value

    def crash(self, error: Exception) -> None:
        """End with a crash's exit code, for an error in a thread, which has no caller to raise to."""
        if self.context.ok():  # else it is the end that cut it short
            self.get_logger().fatal(f"{self.get_name()} failed: {error!r}")
            self.done.set_result(CRASHED)


def check_words(kind: NodeKind, parameters: list[rclpy.parameter.Parameter]) -> SetParametersResult:
    """ROS checks the bounds of numbers; what may be a word in place of one is checked here."""
    with_word = {parameter.name: parameter for parameter in kind.parameters if parameter.word}
    refusals = [with_word[each.name].refusal(each.value) for each in parameters if each.name in with_word]
    reason = " ".join(filter(None, refusals))
    return SetParametersResult(successful=not reason, reason=reason)


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """A parameter's description and bounds for ROS."""
    described = ParameterDescriptor(
        name=parameter.name, description=parameter.description, read_only=not parameter.run_time,
        dynamic_typing=bool(parameter.word),
    )
    if parameter.minimum is not None and isinstance(parameter.default, float):
        described.floating_point_range = [FloatingPointRange(from_value=parameter.minimum, to_value=parameter.maximum)]
    elif parameter.minimum is not None:
        described.integer_range = [IntegerRange(from_value=parameter.minimum, to_value=parameter.maximum, step=1)]
    return described


def run(make_node: Callable[[], RunnableNode], args: list[str] | None = None) -> int:
    """Run a node until it is done, or SIGINT or SIGTERM comes. Returns the exit code.

    What a user can mend (parameters, model, audio source) ends in one sentence and REFUSED: a ValueError while the node
    is made, a Refusal or an AudioError later. What is a mistake of the program ends in a traceback and CRASHED, and so
    does any other ValueError of a callback, such as one of numpy's.
    """
    try:
        rclpy.init(args=args)
    except RuntimeError as error:  # rcl's, about ROS arguments and parameter files
        return _refuse(error)
    node = None
    try:
        executor = SingleThreadedExecutor()  # first: one that a signal finds half made complains when it is collected
        node = make_node()
        executor.add_node(node)
        # Now and then it must look itself: rclpy's signal handler can wake it before it has shut the context down, and
        # then not again, so a node without timers would never end (seen on a busy machine).
        node.done.add_done_callback(lambda _: executor.wake())
        while rclpy.ok() and not node.done.done():
            executor.spin_once(timeout_sec=1.0)
        return node.done.result() if node.done.done() else 0
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except Exception as error:
        if not rclpy.ok():
            return 0  # it was told to end while it was busy with ROS, which then fails
        if isinstance(error, (ParameterException, ValueError) if node is None else (Refusal, AudioError)):
            return _refuse(error)
        traceback.print_exc()
        return CRASHED
    finally:
        with undisturbed():  # a second Ctrl-C would leave a thread at work in a process that ends
            if node is not None:
                node.close()
                node.destroy_node()
            rclpy.try_shutdown()


def one_line(error: Exception) -> str:
    """What an error says, in one line; it may name what stands in a file of others."""
    return printable(" ".join(str(error).split()))


def _refuse(error: Exception) -> int:
    get_logger("seld_overlap").fatal(one_line(error))
    return REFUSED
