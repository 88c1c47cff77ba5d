"""The networks by OpenVINO, on the processor: several times as fast as torch, and small to install."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import openvino
from openvino import InferRequest, Model

from seld_overlap_ros.models.checkpoint import read_checkpoint
from seld_overlap_ros.models.openvino_networks import likeness_model, mel_model, ssc_model, ssl_model, sss_model

AT_ONCE = 4  # directions or sources in one go; more go in several
SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY",
    "ENABLE_CPU_PINNING": False,  # a thread that is bound to a core stands still while something else is busy there
}
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


@lru_cache
def _core() -> openvino.Core:
    """The one of this process, for good.

    It gives the thread that makes it a stack for signals, and takes the memory back in whichever thread it ends: had it
    ended in another one, the next signal (a Ctrl-C) would be a segmentation fault.
    """
    return openvino.Core()


class OpenVinoEngine:
    """An engine.Engine. Unless `exact`, it computes in 16 bits where the processor has instructions for them.

    Its graphs are made when they are first needed, one for each number of directions.
    """

    batches = range(1, AT_ONCE + 1)

    def __init__(self, name_or_path: str | Path, networks: Collection[str] | None, exact: bool) -> None:
        """See engine.load_engine."""
        checkpoint = read_checkpoint(name_or_path, networks)
        self.config, self._tensors = checkpoint.config, checkpoint.tensors
        self._settings = SETTINGS | (EXACT if exact else {})
        self._requests: dict[tuple, InferRequest] = {}
        precision = "f32" if exact else _core().get_property("CPU", "INFERENCE_PRECISION_HINT").get_type_name()
        self.title = f"OpenVINO {openvino.__version__.split('-')[0]} in {precision}"

    def localize(self, features: np.ndarray) -> np.ndarray:
        """(2M-1, F, T) -> (D,)."""
        return self._run(ssl_model, (), _channels_last(features))[0]

    def separate(self, features: np.ndarray, gains: np.ndarray, number: int | None = None) -> np.ndarray:
        """(2M-1, F, T) and (K, D) -> (K, F, T)."""
        if not len(gains):
            return np.zeros((0, *features.shape[1:]), np.float32)
        numbers = tuple(range(self.config.n_sss)) if number is None else (number,)
        seen, steering = _channels_last(features), []
        if self.config.steered:
            steering, seen = [self._hand_on(likeness_model, (), seen)], _channels_last(features[:1])
        parts = [self._run(sss_model, (numbers, len(part)), seen, part, *steering) for part in _parts(gains)]
        return np.swapaxes(np.concatenate(parts), -1, -2)

    def classify(self, log_mag: np.ndarray) -> np.ndarray:
        """(K, F, T) -> (K, C)."""
        if not len(log_mag):
            return np.zeros((0, len(self.config.labels)), np.float32)
        return np.concatenate([self._classify(part) for part in _parts(np.swapaxes(log_mag, -1, -2))])

    def _classify(self, planes: np.ndarray) -> np.ndarray:
        """(K, T, F), K at most AT_ONCE, -> (K, C)."""
        planes, about = np.ascontiguousarray(planes), (len(planes),)
        if self.config.mel_bands:
            planes = self._hand_on(mel_model, about, planes)
        return self._run(ssc_model, about, planes)

    def _run(self, make: Callable[..., Model], about: tuple, *inputs: np.ndarray) -> np.ndarray:
        """What the graph that `make` makes for `about` gives for inputs that lie in memory without gaps."""
        return self._request(make, about, {}).infer(list(inputs), share_inputs=True)[0]

    def _hand_on(self, make: Callable[..., Model], about: tuple, *inputs: np.ndarray) -> np.ndarray:
        """As `_run`, but exact, and what it gives is good until the next call: for what another graph takes at once."""
        return self._request(make, about, EXACT).infer(list(inputs), share_inputs=True, share_outputs=True)[0]

    def _request(self, make: Callable[..., Model], about: tuple, settings: dict) -> InferRequest:
        if (make, about) not in self._requests:
            model = make(self._tensors, self.config, *about)
            compiled = _core().compile_model(model, "CPU", self._settings | settings)
            self._requests[make, about] = compiled.create_infer_request()
        return self._requests[make, about]


def _channels_last(features: np.ndarray) -> np.ndarray:
    """(2M-1, F, T) -> (1, T, F, 2M-1), as dsp/features.py has them in memory."""
    return np.ascontiguousarray(np.transpose(features, (2, 1, 0)))[None]


def _parts(items: np.ndarray) -> Iterator[np.ndarray]:
    return (items[first : first + AT_ONCE] for first in range(0, len(items), AT_ONCE))
