"""Localization (SSL): cuts the audio into windows and says in which directions something sounds."""

from __future__ import annotations

import sys

import numpy as np
from seld_overlap.msg import AudioWindow, DirectionActivity, SoundEventArray

from seld_overlap_ros.dsp.features import Analyser
from seld_overlap_ros.graphs import SSL_NODE
from seld_overlap_ros.hearing import Activity, is_silent, localize, noise_window, silence
from seld_overlap_ros.nodes import convert
from seld_overlap_ros.nodes.listener import Listener
from seld_overlap_ros.nodes.managed import ManagedNode
from seld_overlap_ros.nodes.running import run
from seld_overlap_ros.nodes.window_parts import STAGE_QOS, NextStage
from seld_overlap_ros.streaming.in_flight import InFlight
from seld_overlap_ros.streaming.stream import Window


class SslNode(ManagedNode):
    """Audio in; `window` and `activity` out.

    It listens to `events` too: what comes back there has gone through all stages. While two windows are under way it
    sends out no more, so that where the stages are too slow, whole windows are left out here, and said, and none of
    the stages leaves out others than its partner does.
    """

    def __init__(self) -> None:
        super().__init__(SSL_NODE)
        self.offer_enable()

    def load(self) -> None:
        self._engine = self.load_engine("ssl")
        config = self._engine.config
        self._analyse = Analyser(config.front_end, config.array.n_microphones)
        self._known: list[int] = []  # the directions of the window before
        self._localize(noise_window(config))  # the first time takes longest
        self._window = self.create_publisher(AudioWindow, "window", STAGE_QOS)
        self._activity = self.create_publisher(DirectionActivity, "activity", STAGE_QOS)

    def start(self) -> None:
        self._in_flight = InFlight()
        self._listener = Listener(
            self, self._engine.config, self._hear,
            "windows come faster than they come through all stages: set a longer hop, unless a stage is missing",
        )
        self._events = self.create_subscription(SoundEventArray, "events", self._on_events, STAGE_QOS)
        self._next_stage = NextStage(
            self, f"nobody publishes {self._events.topic_name}, so nothing comes of what is localized: is ssc_node "
                  "started?",
        )
        self.get_logger().info(f"listening to {self._listener.topic_name}")

    def stop(self) -> None:
        self._in_flight.close()
        self._listener.close()
        self.destroy_subscription(self._events)

    def free(self) -> None:
        del self._engine, self._analyse
        self.destroy_publisher(self._window)
        self.destroy_publisher(self._activity)

    def _only_localizes(self) -> bool:
        """Whether somebody wants to know where something sounds, and there are no other stages."""
        return self._activity.get_subscription_count() > 0 and not self._window.get_subscription_count()

    def _on_events(self, message: SoundEventArray) -> None:
        took_s = self._in_flight.came_back(convert.to_ns(message.header.stamp))
        if took_s is not None:
            self._listener.took(took_s)

    def _hear(self, window: Window, frame_id: str) -> None:
        answered = self.count_publishers(self._events.topic_name) > 0
        if answered and not self._in_flight.wait():
            self.notices("lost", f"no {self._events.topic_name} came for the latest windows: are all stages there?")
        self._next_stage.look(answered or self._only_localizes())
        self._in_flight.send(window.stamp_ns)
        with self._listener.work.window(window.stamp_ns):
            header = convert.to_header(window.stamp_ns, frame_id)
            self._window.publish(convert.to_window(header, window.samples, self._engine.config))
            activity = self._localize(window.samples)
            self._known = activity.directions.tolist()
            self._activity.publish(convert.to_activity(header, activity))

    def _localize(self, samples: np.ndarray) -> Activity:
        if is_silent(samples):
            return silence(self._engine.config)
        features, _ = self._analyse(samples)
        return localize(self._engine, features, self.value("direction_threshold"), known=self._known)


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    return run(SslNode, args)


if __name__ == "__main__":
    sys.exit(main())
