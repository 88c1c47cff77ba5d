"""What is timed, each in a process of its own (timing.Contestant): the shipped system, and PyTorch as it comes.

Their methods take the name of a model, and k, how many directions are asked; the models are steady ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, cached_property
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

from seld_overlap_ros.dsp.features import Analyser, analyse, resynthesise
from seld_overlap_ros.evaluation.classical import Classical
from seld_overlap_ros.hearing import Hearing, join, localize, separate
from seld_overlap_ros.memory import keep_freed_memory
from seld_overlap_ros.models.engine import load_engine
from seld_overlap_ros.models.gate import gate
from seld_overlap_ros.models.system import load_model
from seld_overlap_ros.speed.crnn import by_openvino, by_torch, crnn_features
from seld_overlap_ros.speed.steady import RATE, four_microphones, scene_samples, scene_windows, threshold_for
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.sources import CHUNK_S
from seld_overlap_ros.streaming.stream import SECOND, AudioStream
from seld_overlap_ros.streaming.streams import Streams
from seld_overlap_ros.streaming.tracks import Tracks

SHIPPED = "shipped"  # name of the model that stands for what is shipped
PRECISIONS = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


class Default:
    """The system as `full_node` runs it."""

    def __init__(self, models: dict[str, Path]) -> None:
        keep_freed_memory()
        self._hearing = cache(lambda name: Hearing(load_engine(models[name])))
        # backwards, as none is to find frames of the one before
        self._windows = cache(lambda name: cycle(scene_windows(self._hearing(name).config)[::-1]))
        self._stages = cache(self._make_stages)

    def engine(self) -> tuple[str, str]:
        """What computes the networks, and its precision, such as f32."""
        name, _, precision = self._hearing(SHIPPED).engine.title.rpartition(" in ")
        return name, precision

    def window(self, name: str, k: int) -> None:
        """One window, from samples to sounds."""
        hearing = self._hearing(name)
        hearing.direction_threshold = threshold_for(k)
        if len(hearing(next(self._windows(name)))) != k:
            raise RuntimeError(f"the model {name} did not ask {k} directions")

    @cached_property
    def _following(self) -> tuple[Hearing, cycle]:
        engine = self._hearing(SHIPPED).engine
        return Hearing(engine, threshold_for(1)), cycle(scene_windows(engine.config))

    def following(self) -> None:
        """One window with one query that follows the one before at the default hop, so that they share frames."""
        hearing, windows = self._following  # which no other work comes between
        hearing(next(windows))

    @cached_property
    def _analyse(self) -> Analyser:
        config = self._hearing(SHIPPED).config
        return Analyser(config.front_end, config.array.n_microphones)

    def stage(self, stage: str) -> None:
        """One stage of a window, of one query."""
        self._stages()[stage]()

    def stream(self, name: str, k: int, hop_s: float, audio_s: float) -> np.ndarray:
        """The scene round and round, in chunks as fast as it goes -> time of each hop [s], from samples to streams."""
        hearing = self._hearing(name)
        hearing.direction_threshold = threshold_for(k)
        return stream(hearing, hop_s, audio_s)

    def has_openvino(self) -> bool:
        """Whether it is installed; else one opponent is left out."""
        return find_spec("openvino") is not None

    @cached_property
    def _classical(self) -> Callable:
        return Classical(self._hearing(SHIPPED).engine)

    def classical(self) -> int:
        """A window through MUSIC, beams and our SSC, which hears as many sounds as it does -> how many."""
        return len(self._classical(next(self._windows(SHIPPED))))

    @cached_property
    def _crnn(self) -> tuple[np.ndarray, Callable]:
        samples = four_microphones()
        return samples, by_openvino(crnn_features(samples, RATE), self.engine()[1])

    def crnn(self) -> None:
        """A window through the CRNN, its features and the network, by OpenVINO."""
        samples, network = self._crnn
        network(crnn_features(samples, RATE))

    def _make_stages(self) -> dict[str, Callable[[], object]]:
        engine, samples = self._hearing(SHIPPED).engine, next(self._windows(SHIPPED))
        front_end = engine.config.front_end
        features, phase = analyse(samples, front_end)
        activity = localize(engine, features, threshold_for(1))
        separations = [separate(engine, features, activity, n) for n in range(engine.config.n_sss)]
        log_mag = separate(engine, features, activity).log_mag
        return {
            "features": lambda: self._analyse(next(self._windows(SHIPPED))),
            "ssl": lambda: localize(engine, features, threshold_for(1)),
            "sss": lambda: separate(engine, features, activity),
            "gate": lambda: join(separations),
            "ssc": lambda: engine.classify(log_mag),
            "resynthesis": lambda: resynthesise(log_mag, phase, front_end),
        }


def stream(hearing: Hearing, hop_s: float, audio_s: float) -> np.ndarray:
    """See Default.stream. The first window, which takes many chunks to fill, does not count."""
    front_end, n_mics = hearing.config.front_end, hearing.config.array.n_microphones
    scene, n = scene_samples(n_mics).T, round(CHUNK_S * front_end.sample_rate)
    audio = AudioStream(front_end, n_mics, hop_s, Notices(lambda sentence: None))
    tracks = Tracks(hearing.config)
    streams, known, costs, busy_s = Streams(tracks), [], [], 0.0
    for start in range(0, round(audio_s * front_end.sample_rate), n):
        chunk = scene[np.arange(start, start + n) % len(scene)]
        began = time.perf_counter()
        windows = audio.push(start * SECOND // front_end.sample_rate, chunk, front_end.sample_rate)
        for window in windows:
            sources = hearing(window.samples, known)
            known = [source.direction for source in sources]
            streams.update(window.stamp_ns, tracks.update(window.stamp_ns, sources))
        busy_s += time.perf_counter() - began
        if windows:
            costs += [busy_s / len(windows)] * len(windows)
            busy_s = 0.0
    return np.array(costs[1:])


class PyTorch:
    """PyTorch with the threads that it takes by itself: the networks as load_model gives them, a CRNN, the limits."""

    def __init__(self, models: dict[str, Path]) -> None:
        self._load = cache(lambda name: load_model(models[name]))
        self._windows = cache(lambda name: cycle(scene_windows(self._load(name).config)[::-1]))
        self._stages = cache(self._make_stages)
        self._matrices = cache(lambda precision, n: torch.randn(2, n, n).to(PRECISIONS[precision]))
        self._arrays = cache(lambda n: torch.ones(2, n))

    @torch.inference_mode()
    def window(self, name: str, k: int) -> None:
        """One window, from samples to sounds: the paper's steps."""
        system = self._load(name)
        features, phase = analyse(next(self._windows(name)), system.config.front_end)
        x = torch.from_numpy(features)[None]
        prob = system.localize(x)
        if k:
            asked = prob[0].argsort(descending=True)[:k]
            separated = system.separate(x.expand(k, -1, -1, -1), system.query(prob.expand(k, -1), asked))
            torch.softmax(system.ssc(separated), dim=1)
            resynthesise(separated.numpy(), phase, system.config.front_end)

    @torch.inference_mode()
    def stage(self, stage: str) -> None:
        """One stage of a window, of one query."""
        self._stages()[stage]()

    @cached_property
    def _crnn(self) -> tuple[np.ndarray, Callable]:
        return four_microphones(), by_torch()

    def crnn_features(self) -> None:
        """What the CRNN sees of a window."""
        crnn_features(self._crnn[0], RATE)

    def crnn(self) -> None:
        """A window through the CRNN, its features and the network."""
        samples, network = self._crnn
        network(crnn_features(samples, RATE))

    @torch.inference_mode()
    def product(self, precision: str, n: int) -> None:
        """Of two matrices of n x n numbers."""
        one, other = self._matrices(precision, n)
        torch.mm(one, other)

    def copy(self, n: int) -> None:
        """Of n numbers of 32 bits."""
        to, of = self._arrays(n)
        to.copy_(of)

    def _make_stages(self) -> dict[str, Callable[[], object]]:
        system, samples = self._load(SHIPPED), next(self._windows(SHIPPED))
        front_end = system.config.front_end
        features, phase = analyse(samples, front_end)
        x = torch.from_numpy(features)[None]
        gain = system.query(system.localize(x), torch.tensor([0]))
        both = torch.stack([sss(x, gain) for sss in system.sss], dim=1)
        source = system.separate(x, gain)
        return {
            "features": lambda: analyse(samples, front_end),
            "ssl": lambda: system.localize(x),
            "sss": lambda: system.separate(x, gain),
            "gate": lambda: gate(both),
            "ssc": lambda: torch.softmax(system.ssc(source), dim=1),
            "resynthesis": lambda: resynthesise(source.numpy(), phase, front_end),
        }
