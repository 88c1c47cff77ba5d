"""The gate: two separations of the same window become one."""

from __future__ import annotations

import sys

from seld_overlap.msg import GateWeights, SeparatedSpectra
from std_msgs.msg import Header

from seld_overlap_ros.graphs import GATE_NODE
from seld_overlap_ros.hearing import Spectra, first_weights, join
from seld_overlap_ros.nodes import convert
from seld_overlap_ros.nodes.managed import ManagedNode
from seld_overlap_ros.nodes.running import run
from seld_overlap_ros.nodes.window_parts import STAGE_QOS, NextStage, WindowParts


class GateNode(ManagedNode):
    """`spectra_0` and `spectra_1` in; `spectra` out, and `gate_weights` while somebody looks at them.

    The gate has no weights of its own, so this node needs no model.
    """

    def __init__(self) -> None:
        super().__init__(GATE_NODE)

    def load(self) -> None:
        self._spectra = self.create_publisher(SeparatedSpectra, "spectra", STAGE_QOS)
        self._weights = self.create_publisher(GateWeights, "gate_weights", STAGE_QOS)

    def start(self) -> None:
        topics = {f"spectra_{n}": (SeparatedSpectra, convert.from_spectra) for n in (0, 1)}
        self._next_stage = NextStage(self, f"nobody takes {self._spectra.topic_name}: is ssc_node started?")
        self._parts = WindowParts(self, topics, self._on_window)
        self.get_logger().info(f"joining {' and '.join(topics)} into {self._spectra.topic_name}")

    def stop(self) -> None:
        self._parts.close()

    def free(self) -> None:
        self.destroy_publisher(self._spectra)
        self.destroy_publisher(self._weights)

    def _on_window(self, header: Header, first: Spectra, second: Spectra) -> None:
        try:
            joined = join([first, second])
        except ValueError as error:
            self.notices("unlike", f"a window is left out: {error}: let both sss_nodes load the same model")
            return
        self._spectra.publish(convert.to_spectra(header, joined))
        self._next_stage.look(self._spectra.get_subscription_count() > 0)
        if self._weights.get_subscription_count():
            self._weights.publish(convert.to_gate_weights(header, first.directions, first_weights([first, second])))


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    return run(GateNode, args)


if __name__ == "__main__":
    sys.exit(main())
