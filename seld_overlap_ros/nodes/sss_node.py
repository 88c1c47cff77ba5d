"""Separation (SSS): what sounds from each active direction, alone."""

from __future__ import annotations

import sys

import numpy as np
from seld_overlap.msg import AudioWindow, DirectionActivity, SeparatedSpectra
from std_msgs.msg import Header

from seld_overlap_ros.dsp.features import Analyser
from seld_overlap_ros.graphs import SSS_NODE
from seld_overlap_ros.hearing import Activity, Spectra, noise_window, separate
from seld_overlap_ros.models.checkpoint import read_checkpoint
from seld_overlap_ros.nodes import convert
from seld_overlap_ros.nodes.managed import ManagedNode
from seld_overlap_ros.nodes.running import run
from seld_overlap_ros.nodes.window_parts import STAGE_QOS, NextStage, WindowParts


class SssNode(ManagedNode):
    """`window` and `activity` in; `spectra` out, or of a model with a gate `spectra_0` or `spectra_1`."""

    def __init__(self) -> None:
        super().__init__(SSS_NODE)

    def load(self) -> None:
        self._number = self.value("number")
        config = read_checkpoint(self.value("model"), networks=()).config
        if self._number >= config.n_sss:
            raise ValueError(f"the model {self.value('model')} ({config.system}) has no second SSS: start "
                             "the graph cascade, or load a model of the system overlap")
        self._engine = self.load_engine(f"sss.{self._number}")
        self._spectra = self.create_publisher(
            SeparatedSpectra, f"spectra_{self._number}" if config.n_sss > 1 else "spectra", STAGE_QOS
        )
        self._analyse = Analyser(config.front_end, config.array.n_microphones)
        # the first time takes longest
        self._separate(noise_window(config), Activity(np.ones(len(config.azimuths), np.float32), np.arange(1)))

    def start(self) -> None:
        config = self._engine.config
        self._next_stage = NextStage(
            self,
            f"nobody takes {self._spectra.topic_name}: is the next stage started, and is it for such a model "
            "(gate_node for overlap, else ssc_node)?",
        )
        self._parts = WindowParts(
            self,
            {
                "window": (AudioWindow, lambda message: convert.from_window(message, config)),
                "activity": (DirectionActivity, lambda message: convert.from_activity(message, config)),
            },
            self._on_window,
            config.front_end.window_s,
        )
        self.get_logger().info(f"separating into {self._spectra.topic_name}")

    def stop(self) -> None:
        self._parts.close()

    def free(self) -> None:
        del self._engine, self._analyse
        self.destroy_publisher(self._spectra)

    def _on_window(self, header: Header, samples: np.ndarray, activity: Activity) -> None:
        self._spectra.publish(convert.to_spectra(header, self._separate(samples, activity)))
        self._next_stage.look(self._spectra.get_subscription_count() > 0)

    def _separate(self, samples: np.ndarray, activity: Activity) -> Spectra:
        features, _ = self._analyse(samples)
        return separate(self._engine, features, activity, self._number)


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    return run(SssNode, args)


if __name__ == "__main__":
    sys.exit(main())
