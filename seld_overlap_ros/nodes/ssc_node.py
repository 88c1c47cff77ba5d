"""Classification (SSC): separated spectra become sounds with a class, an id and a waveform."""

from __future__ import annotations

import sys

import numpy as np
from seld_overlap.msg import AudioWindow, SeparatedSpectra
from std_msgs.msg import Header

from seld_overlap_ros.dsp.features import Analyser
from seld_overlap_ros.graphs import SSC_NODE
from seld_overlap_ros.hearing import HeardSource, Spectra, classify, noise_window
from seld_overlap_ros.models.possible import Possible
from seld_overlap_ros.nodes import convert
from seld_overlap_ros.nodes.event_output import EventOutput
from seld_overlap_ros.nodes.managed import ManagedNode
from seld_overlap_ros.nodes.running import run
from seld_overlap_ros.nodes.window_parts import WindowParts


class SscNode(ManagedNode):
    """`window` and `spectra` in; `events`, `separated` and `labels` out, as full_node has them.

    The waveforms are made here, where class and id are known too: with the phase of the window's microphone 0.
    """

    def __init__(self) -> None:
        super().__init__(SSC_NODE)

    def load(self) -> None:
        self._engine = Possible(self.load_engine("ssc"), self.value("classes"))
        self._config = self._engine.config
        front_end = self._config.front_end
        self._analyse = Analyser(front_end, 1)  # for the phase of microphone 0
        nothing = np.zeros((1, front_end.n_bins, front_end.n_frames), np.float32)
        # the first time takes longest
        self._classify(noise_window(self._config), Spectra(np.arange(1), np.ones(1, np.float32), nothing))
        self._output = EventOutput(self, self._config)

    def start(self) -> None:
        self._parts = WindowParts(
            self,
            {
                "window": (AudioWindow, lambda message: convert.from_window(message, self._config)),
                "spectra": (SeparatedSpectra, lambda message: convert.from_spectra_of(message, self._config)),
            },
            self._on_window,
            self._config.front_end.window_s,
        )
        self.get_logger().info(f"classifying {self._engine.classes_in_words}")

    def stop(self) -> None:
        self._parts.close()

    def free(self) -> None:
        self._output.close()
        del self._engine, self._analyse, self._output

    def _on_window(self, header: Header, samples: np.ndarray, spectra: Spectra) -> None:
        self._output.publish(header, self._classify(samples, spectra))

    def _classify(self, samples: np.ndarray, spectra: Spectra) -> list[HeardSource]:
        _, phase = self._analyse(samples[:1])
        return classify(self._engine, phase, spectra)


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    return run(SscNode, args)


if __name__ == "__main__":
    sys.exit(main())
