"""What comes from each direction as the audio of a capture node, for players and whoever else knows only such audio."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Header

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.hearing import HeardSource
from seld_overlap_ros.nodes import convert
from seld_overlap_ros.nodes.audio_messages import find_message, to_audio_data_stamped, to_audio_info
from seld_overlap_ros.streaming.overlap_add import Piece
from seld_overlap_ros.streaming.pcm import AudioFormat
from seld_overlap_ros.streaming.streams import DirectionStreams

AUDIO_QOS = QoSProfile(depth=50)
INFO_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class DirectionAudio:
    """`separated_audio/direction_D` for every direction D of the `labels`, like the namespace of a capture node.

    `audio_stamped`, `audio` and `audio_info` in there carry one channel of S16LE, silence included, with the delay of
    `separated`. Of a direction whose audio has no subscriber, nothing is made or sent. Without ros-drivers'
    audio_common_msgs there are none of them.
    """

    def __init__(self, node: Node, config: SystemConfig) -> None:
        self._node = node
        self._streams = DirectionStreams(config.front_end)
        self._format = AudioFormat(channels=1, sample_rate=config.front_end.sample_rate)
        n_directions = len(config.azimuths) if find_message("audio_common_msgs", "AudioDataStamped") else 0
        self._publishers = [self._make(f"separated_audio/direction_{d}") for d in range(n_directions)]

    def _make(self, namespace: str) -> tuple[Publisher, Publisher, Publisher]:
        kinds = (("AudioDataStamped", "audio_stamped", AUDIO_QOS), ("AudioData", "audio", AUDIO_QOS),
                 ("AudioInfo", "audio_info", INFO_QOS))
        return tuple(
            self._node.create_publisher(find_message("audio_common_msgs", kind), f"{namespace}/{topic}", qos)
            for kind, topic, qos in kinds
        )

    def publish(self, header: Header, sources: Sequence[HeardSource]) -> None:
        """What the sources of the window whose stamp and frame the header carries add to each direction."""
        wanted = [
            direction
            for direction, (stamped, plain, _) in enumerate(self._publishers)
            if stamped.get_subscription_count() or plain.get_subscription_count()
        ]
        pieces = self._streams.update(convert.to_ns(header.stamp), sources, wanted)
        for direction, piece in pieces.items():
            self._send(self._publishers[direction], header.frame_id, piece)

    def _send(self, publishers: tuple[Publisher, Publisher, Publisher], frame_id: str, piece: Piece) -> None:
        stamped, plain, info = publishers
        info.publish(to_audio_info(self._format))  # each time, as not every player asks for a latched one
        message = to_audio_data_stamped(piece.stamp_ns, frame_id, piece.samples[:, None], self._format)
        stamped.publish(message)
        plain.publish(message.audio)

    def close(self) -> None:
        """Say no more."""
        for publishers in self._publishers:
            for publisher in publishers:
                self._node.destroy_publisher(publisher)
