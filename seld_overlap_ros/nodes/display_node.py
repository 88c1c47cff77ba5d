"""Shows the sounds to people, as markers and poses for RViz and Foxglove, and tells them to nodes that speak HARK."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from geometry_msgs.msg import PoseArray
from rclpy.qos import QoSProfile
from seld_overlap.msg import SeparatedSource, SoundEventArray
from visualization_msgs.msg import MarkerArray

from seld_overlap_ros.graphs import DISPLAY_NODE
from seld_overlap_ros.nodes import convert_display as convert
from seld_overlap_ros.nodes.running import RunnableNode, run
from seld_overlap_ros.streaming.notices import Notices

QOS = QoSProfile(depth=50)


class DisplayNode(RunnableNode):
    """`events` in; `sound_markers` and `sound_poses` out, in the frame of the events.

    Where hark_msgs is installed, also `hark_source` and, of `separated`, `hark_src_wave`.
    """

    def __init__(self) -> None:
        super().__init__(DISPLAY_NODE)
        self._notices = Notices(self.get_logger().warning)
        self._shown: set[int] = set()  # ids that have markers
        self._markers = self.create_publisher(MarkerArray, "sound_markers", QOS)
        self._poses = self.create_publisher(PoseArray, "sound_poses", QOS)
        self._hark = hark_messages()
        self._n_windows = self._n_waves = 0
        if self._hark is not None:
            self._hark_source = self.create_publisher(self._hark.HarkSource, "hark_source", QOS)
            self._hark_src_wave = self.create_publisher(self._hark.HarkSrcWave, "hark_src_wave", QOS)
            self.create_subscription(SeparatedSource, "separated", self._on_separated, QOS)
        self.create_subscription(SoundEventArray, "events", self._on_events, QOS)

    def _on_events(self, message: SoundEventArray) -> None:
        sounds, faults = convert.sounding(message)
        for fault in faults:
            self._notices("event", f"an event is left out: {fault}")
        header, radius = convert.window_end(message), self.value("radius")
        ids = {sound.id for sound in sounds}
        self._markers.publish(convert.to_markers(header, sounds, self._shown - ids, radius))
        self._poses.publish(convert.to_poses(header, sounds, radius))
        self._shown = ids
        if self._hark is not None:
            self._hark_source.publish(convert.to_hark_source(header, sounds, self._n_windows, self._hark))
            self._n_windows += 1

    def _on_separated(self, message: SeparatedSource) -> None:
        try:
            wave = convert.to_hark_src_wave(message, self._n_waves, self._hark)
        except ValueError as error:
            self._notices("separated", f"a separated sound is left out: {error}")
            return
        self._hark_src_wave.publish(wave)
        self._n_waves += 1


def hark_messages() -> ModuleType | None:
    """The module with HARK's messages, where they are installed."""
    try:
        return importlib.import_module("hark_msgs.msg")
    except ImportError:
        return None


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    return run(DisplayNode, args)


if __name__ == "__main__":
    sys.exit(main())
