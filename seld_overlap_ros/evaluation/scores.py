"""How well a system hears stored mixtures: the paper's count, and what lies behind it (reference spec, "Table 1")."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio as si_sdr

from seld_overlap_ros.hearing import HeardSource, Hearing
from seld_overlap_ros.simulation.rooms import scene_rng
from seld_overlap_ros.simulation.store import MixtureStore


@dataclass(frozen=True)
class Scores:
    """Shares in [0, 1], except the SI-SDR improvement [dB], which is NaN when no source was found."""

    n_mixtures: int
    count: float  # one source a mixture, drawn once: its direction is asked and its class right, the paper's n/1000
    all_sources: float  # the same over every source
    class_given_direction: float  # class accuracy of the sources whose direction was asked
    direction_precision: float
    direction_recall: float
    direction_f1: float
    si_sdr_improvement: float  # mean over the sources whose direction was asked [dB]

    def to_dict(self) -> dict:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Source:
    """How one true source fared."""

    found: bool
    named: bool
    gain_db: float  # SI-SDR of the separated signal over that of the mixture; NaN if not found


def score(hearing: Hearing, store: MixtureStore, track: Callable[[Iterable], Iterable] = iter) -> Scores:
    """Score a system on every mixture of a store. `track` wraps the iterable of indices (progress bars).

    Raises ValueError if the store holds classes that the system does not know.
    """
    labels = hearing.config.labels
    unknown = {event["label"] for truth in store.truth for event in truth["events"]} - set(labels)
    if unknown:
        raise ValueError(f"the model does not know {', '.join(sorted(unknown))}: score it on mixtures of its classes")
    drawn, every, n_heard = [], [], 0
    for index in track(range(len(store))):
        scene = store[index]
        heard = hearing(scene.mixture)
        sources = [
            _fare(scene.mixture[0], stem, event.direction, labels.index(event.label), heard)
            for stem, event in zip(scene.stems, scene.events, strict=True)
        ]
        drawn.append(sources[scene_rng("count", index).integers(len(sources))].named)
        every += sources
        n_heard += len(heard)
    found = [source for source in every if source.found]
    precision, recall = len(found) / max(n_heard, 1), len(found) / len(every)
    return Scores(
        n_mixtures=len(store),
        count=float(np.mean(drawn)),
        all_sources=float(np.mean([source.named for source in every])),
        class_given_direction=float(np.mean([source.named for source in found])) if found else 0.0,
        direction_precision=precision,
        direction_recall=recall,
        direction_f1=2 * precision * recall / max(precision + recall, 1e-9),
        si_sdr_improvement=float(np.mean([source.gain_db for source in found])) if found else float("nan"),
    )


def _fare(mixture: np.ndarray, stem: np.ndarray, direction: int, label: int, heard: list[HeardSource]) -> _Source:
    answer = next((source for source in heard if source.direction == direction), None)
    if answer is None:
        return _Source(False, False, float("nan"))
    separated, before, target = (torch.from_numpy(np.ascontiguousarray(x)) for x in (answer.samples, mixture, stem))
    gain_db = float(si_sdr(separated, target) - si_sdr(before, target))
    return _Source(True, int(answer.class_scores.argmax()) == label, gain_db)
