"""What a graph says about the sounds that it hears: `events`, `separated`, the latched `labels`, audio for players."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.qos import DurabilityPolicy, QoSProfile
from seld_overlap.msg import LabelTable, SeparatedSource, SoundEventArray
from std_msgs.msg import Header

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.hearing import HeardSource
from seld_overlap_ros.nodes import convert
from seld_overlap_ros.nodes.direction_audio import DirectionAudio
from seld_overlap_ros.nodes.running import RunnableNode
from seld_overlap_ros.streaming.streams import Streams
from seld_overlap_ros.streaming.tracks import Tracks

LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
OUT_QOS = QoSProfile(depth=50)  # a window may bring a dozen separated sounds at once


class EventOutput:
    """Follows the sounds from window to window and publishes them.

    For a node that has `model`, `frame_id` and `class_threshold`.
    """

    def __init__(self, node: RunnableNode, config: SystemConfig) -> None:
        self._node, self._config = node, config
        self._tracks = Tracks(config)
        self._streams = Streams(self._tracks)
        self._directions = DirectionAudio(node, config)
        self._events = node.create_publisher(SoundEventArray, "events", OUT_QOS)
        self._separated = node.create_publisher(SeparatedSource, "separated", OUT_QOS)
        self._labels = node.create_publisher(LabelTable, "labels", LATCHED_QOS)
        now_ns = node.get_clock().now().nanoseconds
        self._labels.publish(convert.to_label_table(now_ns, node.value("frame_id"), node.value("model"), config))

    def publish(self, header: Header, sources: Sequence[HeardSource]) -> None:
        """The sources of the window whose stamp and frame the header carries."""
        window_ns = convert.to_ns(header.stamp)
        self._tracks.class_threshold = self._node.value("class_threshold")
        sounds = self._tracks.update(window_ns, sources)
        self._events.publish(convert.to_event_array(header, sounds, self._tracks.ended, self._config))
        for chunk in self._streams.update(window_ns, sounds):
            self._separated.publish(convert.to_separated(header, chunk, self._config))
        self._directions.publish(header, sources)

    def close(self) -> None:
        """Say no more."""
        self._directions.close()
        for publisher in (self._events, self._separated, self._labels):
            self._node.destroy_publisher(publisher)
