"""What a node publishes of the sounds that it hears: events, labels, their waveforms, the audio of each direction."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from seld_overlap.msg import LabelTable, SeparatedSource, SoundEventArray

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.hearing import HeardSource
from seld_overlap_ros.nodes import convert
from seld_overlap_ros.nodes.convert import AudioData, AudioDataStamped, AudioInfo
from seld_overlap_ros.streaming.overlap_add import Piece
from seld_overlap_ros.streaming.pcm import AudioFormat
from seld_overlap_ros.streaming.streams import DirectionStreams, Streams
from seld_overlap_ros.streaming.tracks import Tracks

OUT_QOS = QoSProfile(depth=50)  # a window may bring a dozen separated sounds at once
LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class SoundOutput:
    """Follows the sounds from window to window, and publishes them with a node's publishers."""

    def __init__(self, node: Node, config: SystemConfig, model: str, frame_id: str, class_threshold: float) -> None:
        self.tracks = Tracks(config, class_threshold)
        self._config = config
        self._streams = Streams(self.tracks)
        self._events = node.create_publisher(SoundEventArray, "events", OUT_QOS)
        self._separated = node.create_publisher(SeparatedSource, "separated", OUT_QOS)
        self._labels = node.create_publisher(LabelTable, "labels", LATCHED_QOS)
        self._labels.publish(convert.to_label_table(node.get_clock().now().nanoseconds, frame_id, model, config))
        self._directions = DirectionAudio(node, config)

    def publish(self, window_ns: int, frame_id: str, sources: Sequence[HeardSource]) -> None:
        """All that the sources of the window that starts at window_ns [ns] amount to."""
        header = convert.to_header(window_ns, frame_id)
        sounds = self.tracks.update(window_ns, sources)
        self._events.publish(convert.to_event_array(header, sounds, self.tracks.ended, self._config))
        for chunk in self._streams.update(window_ns, sounds):
            self._separated.publish(convert.to_separated(header, chunk, self._config))
        self._directions.publish(window_ns, frame_id, sources)


class DirectionAudio:
    """`separated_audio/direction_D` for every direction D of the `labels`, like the namespace of a capture node.

    `audio_stamped`, `audio` and `audio_info` in there carry one channel of S16LE, silence included; of a direction that
    nobody listens to, nothing is made or sent.
    """

    def __init__(self, node: Node, config: SystemConfig) -> None:
        self._streams = DirectionStreams(config.front_end)
        self._format = AudioFormat(channels=1, sample_rate=config.front_end.sample_rate)
        self._publishers = [
            tuple(
                node.create_publisher(kind, f"separated_audio/direction_{direction}/{name}", qos)
                for kind, name, qos in (
                    (AudioDataStamped, "audio_stamped", OUT_QOS),
                    (AudioData, "audio", OUT_QOS),
                    (AudioInfo, "audio_info", LATCHED_QOS),
                )
            )
            for direction in range(len(config.azimuths))
        ]

    def publish(self, window_ns: int, frame_id: str, sources: Sequence[HeardSource]) -> None:
        """What the sources of the window that starts at window_ns [ns] add to each direction."""
        wanted = [
            direction
            for direction, (stamped, plain, _) in enumerate(self._publishers)
            if stamped.get_subscription_count() or plain.get_subscription_count()
        ]
        for direction, piece in self._streams.update(window_ns, sources, wanted).items():
            self._send(*self._publishers[direction], frame_id, piece)

    def _send(self, stamped: Publisher, plain: Publisher, info: Publisher, frame_id: str, piece: Piece) -> None:
        info.publish(convert.to_audio_info(self._format))  # each time, as not every player asks for a latched one
        message = convert.to_audio(piece.stamp_ns, frame_id, piece.samples[:, None], self._format.sample_format)
        stamped.publish(message)
        plain.publish(message.audio)
