"""One input for every audio message type: finds it, listens to it, and hands out analysis windows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.messages import AUDIO_KINDS, AudioKind, from_audio_info
from seld_overlap_ros.nodes.audio_messages import find_message, installed_kinds, message_type
from seld_overlap_ros.nodes.running import RunnableNode
from seld_overlap_ros.streaming.health import AudioHealth, Status
from seld_overlap_ros.streaming.intake import Intake
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.pcm import AudioError, AudioFormat, Description, read_channel_map
from seld_overlap_ros.streaming.stream import Window

LOOK_EVERY_S = 0.5
LATCHED_AFTER_S = 2.0  # of audio without audio_info; less than a window, so that nothing is lost
INFO_WAIT_S = 6.0  # capture nodes repeat audio_info every 5 s
AUDIO_WAIT_S = 10.0
SETTLE_S = 1.0  # without audio; then a chunk that waits for the next one has waited long enough
# Best effort hears reliable and best-effort sources alike. The depth bridges a busy moment of some seconds.
AUDIO_QOS = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
INFO_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.VOLATILE)  # old capture nodes do not latch
LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)  # and would send this nothing


class AudioTopic:
    """Subscribes to the audio that there is: `on_message` gets each message with its kind.

    It listens to the first kind that is installed, and where that is not published, goes over to the first that is.
    What it hears, it leaves only for a better kind: one with stamps for one without, say.
    """

    def __init__(self, node: RunnableNode, wanted: str, on_message: Callable[[AudioKind, Any], None]) -> None:
        """`wanted`: one of graphs.AUDIO_TYPES. Raises AudioError if its messages are not installed."""
        self._node = node
        self._kinds = installed_kinds(wanted)
        self._on_message = on_message
        self.kind: AudioKind  # that it listens to
        self._heard = False  # whether anything has come of that
        self._seen: AudioKind | None = None  # at the last look
        self._refused: set[AudioKind] = set()  # by DDS
        self._subscription = None
        self._listen(self._kinds[0])
        self._timer = node.create_timer(LOOK_EVERY_S, self._look) if len(self._kinds) > 1 else None

    @property
    def name(self) -> str:
        """Of the topic that it listens to, as ROS resolves it."""
        return self._subscription.topic_name

    def strangers(self) -> list[str]:
        """What is published on topics of audio and not listened to, as "type on topic, which" and why."""
        known, others = ({(kind.topic, kind.type_name) for kind in kinds} for kinds in (self._kinds, installed_kinds()))
        topics = sorted({kind.topic for kind in AUDIO_KINDS})
        there = [(topic, type_name) for topic in topics for type_name in self._types(topic)]
        return [
            f"{type_name} on {self._node.resolve_topic_name(topic)}, which "
            + ("audio_type:=auto would listen to" if (topic, type_name) in others else "cannot be listened to")
            for topic, type_name in there
            if (topic, type_name) not in known
        ]

    def _types(self, topic: str) -> list[str]:
        return sorted({publisher.topic_type for publisher in self._node.get_publishers_info_by_topic(topic)})

    def close(self) -> None:
        """Listen no more."""
        self._node.destroy_subscription(self._subscription)
        if self._timer is not None:
            self._node.destroy_timer(self._timer)

    def _listen(self, kind: AudioKind) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)

        def on_message(message: Any) -> None:
            self._heard = True
            self._on_message(kind, message)

        self.kind, self._heard = kind, False
        self._subscription = self._node.create_subscription(message_type(kind), kind.topic, on_message, AUDIO_QOS)

    def _look(self) -> None:
        """Two looks must agree, as the topics of one source are not found all at once.

        What has been heard gives way to a better kind, or to any when its source is gone.
        """
        is_there = self._heard and self.kind.type_name in self._types(self.kind.topic)
        better = self._kinds[: self._kinds.index(self.kind)] if is_there else self._kinds
        best = next((kind for kind in better if kind not in self._refused
                     and kind.type_name in self._types(kind.topic)), None)
        if best is not None and best is self._seen and best is not self.kind:
            self._go_over_to(best)
        self._seen = best

    def _go_over_to(self, kind: AudioKind) -> None:
        before = self.kind
        try:
            self._listen(kind)
        except RuntimeError as error:  # rcl's: DDS lets a process have one type a topic, and a node beside has another
            self._refused.add(kind)
            self._node.get_logger().warning(f"{kind.type_name} on {kind.topic} cannot be listened to: {error}")
            self._listen(before)
            return
        self._node.get_logger().info(f"found {kind.type_name} on {self.name}: listening to that")


class AudioInput:
    """Audio of any kind in, `on_windows(windows, frame_id)` out. Its parameters are graphs.AUDIO_INPUT.

    `intake.stream.set_hop` sets another hop, and `intake.counts` says how the audio is.
    """

    def __init__(
        self,
        node: RunnableNode,
        front_end: FrontEnd,
        n_channels: int,
        hop_s: float,
        notices: Notices,
        on_windows: Callable[[list[Window], str], None],
    ) -> None:
        """n_channels: microphones of the model. Raises AudioError on parameters that cannot be followed."""
        self._node, self._n_channels = node, n_channels
        self._notices, self._on_windows = notices, on_windows
        channel_map = read_channel_map(node.value("channel_map"), n_channels)
        self.intake = Intake(front_end, n_channels, hop_s, notices, channel_map)
        self._health = AudioHealth(self.intake.counts)
        self._frame_id = node.value("frame_id")
        self._started = self._last_audio = time.monotonic()
        self._first_audio: float | None = None
        AudioFormat(*self._told())  # refuses now what no audio could be taken for
        self.topic = AudioTopic(node, node.value("audio_type"), self._on_audio)
        self._info_in, self._info, self._info_qos = None, None, INFO_QOS
        self._kind = self.topic.kind  # of the latest message
        if find_message("audio_common_msgs", "AudioDataStamped"):  # the package whose AudioInfo is meant
            self._listen_for_info(INFO_QOS)
        self._watch = node.create_timer(1.0, self._on_watch)

    def status(self) -> Status:
        """How the audio is, for /diagnostics; to be asked once a second."""
        last_s = None if self._first_audio is None else self._last_audio
        return self._health.status(
            time.monotonic(), last_s, self.intake.sample_rate, self.topic.name, self._no_audio())

    def close(self) -> None:
        """Listen no more."""
        self.topic.close()
        self._node.destroy_timer(self._watch)
        if self._info_in is not None:
            self._node.destroy_subscription(self._info_in)

    def _listen_for_info(self, qos: QoSProfile) -> None:
        if self._info_in is not None:
            self._node.destroy_subscription(self._info_in)
        info_type, self._info_qos = find_message("audio_common_msgs", "AudioInfo"), qos
        self._info_in = self._node.create_subscription(info_type, "audio_info", self._on_info, qos)

    def _look_for_latched_info(self) -> None:
        """Ask for what was said before it listened, where all who say it keep it."""
        if self._info_in is None:
            return
        name = self._node.resolve_topic_name("audio_info")
        kept = {giver.qos_profile.durability for giver in self._node.get_publishers_info_by_topic(name)}
        qos = LATCHED_QOS if kept == {DurabilityPolicy.TRANSIENT_LOCAL} else INFO_QOS
        if qos is not self._info_qos:
            self._listen_for_info(qos)

    def _on_info(self, message: Any) -> None:
        self._info = from_audio_info(message)
        if self.topic.kind.info:
            self._take(self.intake.describe(self._info))

    def _on_audio(self, kind: AudioKind, message: Any) -> None:
        self._last_audio = time.monotonic()
        if self._first_audio is None or kind is not self._kind:
            self._first_audio = self._last_audio
        if kind is not self._kind:
            self._kind = kind
            self.intake.forget_format()  # which was that of another source
            if kind.info and self._info:
                self.intake.describe(self._info)
        try:
            chunk = kind.read(message, self._told())
        except AudioError as error:
            self.intake.refuse(error)
            return
        self._frame_id = chunk.frame_id or self._node.value("frame_id")
        self._take(self.intake.push(chunk))

    def _told(self) -> Description:
        """The format as the parameters tell it, for audio that does not say."""
        channels = self._node.value("input_channels") or self._n_channels
        return Description(channels, self._node.value("sample_rate"), self._node.value("sample_format"))

    def _on_watch(self) -> None:
        """Say what is amiss if nothing can be heard, and do without audio_info if none comes."""
        now = time.monotonic()
        quiet_s = now - self._last_audio
        if self._first_audio is None:
            if quiet_s > AUDIO_WAIT_S:
                self._notices("no audio", self._no_audio())
            return
        if quiet_s > SETTLE_S:
            self._take(self.intake.stream.settle())
        waits_s = now - self._first_audio if self.topic.kind.info and not self.intake.knows_format else 0.0
        if waits_s > LATCHED_AFTER_S:
            self._look_for_latched_info()
        if waits_s > INFO_WAIT_S:
            self._do_without_info()
        elif quiet_s > AUDIO_WAIT_S:
            self._notices(
                "no audio", f"no more audio on {self.topic.name} for {quiet_s:.0f} s: is its source still running?"
            )

    def _no_audio(self) -> str:
        there = self.topic.strangers()
        hint = f" There is {', and '.join(there)}." if there else ""
        return f"no audio on {self.topic.name} yet: is its source started, and there?{hint}"

    def _do_without_info(self) -> None:
        told = self._told()
        self._notices(
            "no info",
            f"no {self._node.resolve_topic_name('audio_info')}: the audio is taken for {told.channels} channels of "
            f"{told.sample_format} at {told.sample_rate} Hz, as the parameters input_channels, sample_rate and "
            "sample_format say",
        )
        self._take(self.intake.describe(told))

    def _take(self, windows: list[Window]) -> None:
        if windows:  # of one message, or of a gap that it shows
            self._on_windows(windows, self._frame_id)
