"""How a system fares on stored mixtures, source by source, as arrays that every score is counted from.

What comes out is what `Hearing` with `always_strongest` says of each. Beside it stand two answers that show what is
lost where: the class when the true direction is asked (oracle, g = 1), and the class of the clean source alone, which
is the ceiling of any separation.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio as si_sdr

from seld_overlap_ros.config import FrontEnd, SystemConfig
from seld_overlap_ros.dsp.features import analyse, log_magnitude, resynthesise
from seld_overlap_ros.dsp.stft import stft
from seld_overlap_ros.evaluation.capi import capi_sdri
from seld_overlap_ros.hearing import is_silent, query_gains, query_set
from seld_overlap_ros.models.engine import Engine
from seld_overlap_ros.simulation.mixture import Scene
from seld_overlap_ros.simulation.store import MixtureStore
from seld_overlap_ros.streaming.tracks import FLOOR_DB, RANGE_DB, frame_levels

Track = Callable[[Iterable], Iterable]
THRESHOLD = 0.5  # of the query rule
NOT_ASKED = -1  # in place of a class
PART = 200  # mixtures that are evaluated between two savings
KIND = "outcomes/1"  # another number where the same model would get other outcomes


@dataclass(frozen=True)
class Outcomes:
    """N mixtures with S sources, in the order of the store."""

    mixture: np.ndarray  # (S,) which mixture it is in
    direction: np.ndarray  # (S,)
    azimuth: np.ndarray  # (S,) exact [rad]
    label: np.ndarray  # (S,) index into the model's labels
    onset_s: np.ndarray  # (S,)
    end_s: np.ndarray  # (S,)
    said_given_direction: np.ndarray  # (S,) class when its true direction is asked
    said_clean: np.ndarray  # (S,) class of the clean source
    si_sdri: np.ndarray  # (S,) SI-SDR of the separated signal over the mixture's [dB]; NaN where not found
    room: np.ndarray  # (N,) its name
    said: np.ndarray  # (N, D) class said of each asked direction, else NOT_ASKED
    heard_s: np.ndarray  # (N, D, 2) from when to when the separated signal sounds [s]; zeros where not asked or silent
    capi_sdri: np.ndarray  # (N,) [dB]

    def __len__(self) -> int:
        return len(self.room)

    @property
    def asked(self) -> np.ndarray:
        """Directions that were asked (N, D) bool."""
        return self.said != NOT_ASKED

    @property
    def true(self) -> np.ndarray:
        """Directions that hold a source (N, D) bool."""
        true = np.zeros(self.said.shape, bool)
        true[self.mixture, self.direction] = True
        return true

    @property
    def n_sources(self) -> np.ndarray:
        """K of the mixture that each source is in (S,)."""
        return np.bincount(self.mixture, minlength=len(self))[self.mixture]

    @property
    def said_of_source(self) -> np.ndarray:
        """Class said of each source (S,), NOT_ASKED where its direction was not."""
        return self.said[self.mixture, self.direction]

    @property
    def found(self) -> np.ndarray:
        """Sources whose direction was asked (S,) bool."""
        return self.said_of_source != NOT_ASKED

    @property
    def named(self) -> np.ndarray:
        """Sources that were found and given their class (S,) bool."""
        return self.said_of_source == self.label

    def save(self, path: Path) -> None:
        """Write an .npz file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file:
            np.savez_compressed(file, **vars(self))
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> Outcomes:
        """The reverse of `save`. Raises ValueError, OSError or KeyError for a file that is not whole."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
                return cls(**{field.name: saved[field.name] for field in fields(cls)})
        except (BadZipFile, zlib.error, EOFError) as error:
            raise ValueError(f"{path} is not whole: {error}") from error


def concatenate(parts: Iterable[Outcomes]) -> Outcomes:
    """Outcomes of parts of a store, in their order, as those of one."""
    shifted, n = [], 0
    for part in parts:
        shifted.append(replace(part, mixture=part.mixture + n))
        n += len(part)
    return Outcomes(**{field.name: np.concatenate([getattr(part, field.name) for part in shifted])
                       for field in fields(Outcomes)})


def check_fit(config: SystemConfig, store: MixtureStore) -> None:
    """Raises ValueError, one sentence, if a model cannot be scored on a store."""
    unknown = {event["label"] for truth in store.truth for event in truth["events"]} - set(config.labels)
    if unknown:
        raise ValueError(f"the model does not know {', '.join(sorted(unknown))}: score it on mixtures of its classes")
    n_samples, needed = store.mixtures.shape[-1], config.front_end.window_samples
    if n_samples != needed:
        raise ValueError(f"the mixtures are {n_samples} samples long and the model needs {needed}: "
                         "make them again with `seld-overlap data mix`")
    if not (_near(store.array.positions, config.array.positions) and _near(store.azimuths, config.azimuths)):
        raise ValueError("the mixtures are of another array or other directions than the model's: make them again with "
                         "`seld-overlap data rooms --array` and `data mix`")


def _near(a: tuple, b: tuple) -> bool:
    return np.shape(a) == np.shape(b) and np.allclose(a, b, atol=1e-6)


def evaluate(engine: Engine, store: MixtureStore, track: Track = iter) -> Outcomes:
    """Outcomes of every mixture of a store. Raises ValueError if they do not fit.

    `track` wraps the iterable of mixtures' numbers (progress bars).
    """
    check_fit(engine.config, store)
    return concatenate(_evaluate(store[index], engine) for index in track(range(len(store))))


def evaluate_saved(engine: Engine, model_key: str, store: MixtureStore, folder: Path, track: Track = iter) -> Outcomes:
    """As `evaluate`, but outcomes in `folder` are taken from there, and new ones are kept there part by part.

    `model_key` names the system's weights (SHA-256). `track` wraps the iterable of parts (progress bars).
    """
    check_fit(engine.config, store)
    outcomes = []
    for first in track(range(0, len(store), PART)):
        part = piece(store, first, first + PART)
        path = folder / f"{_key([model_key, engine.title], part)}.npz"
        try:
            outcomes.append(Outcomes.load(path))
        except (ValueError, OSError, KeyError):  # not there yet, or cut off
            outcomes.append(evaluate(engine, part))
            outcomes[-1].save(path)
    return concatenate(outcomes)


def piece(store: MixtureStore, first: int, end: int | None) -> MixtureStore:
    """Mixtures first to end - 1 of a store; to its last without an end."""
    return replace(store, truth=store.truth[first:end], mixtures=store.mixtures[first:end],
                   stems=store.stems[first:end])


def _key(heard_by: list[str], part: MixtureStore) -> str:
    """What the outcomes depend on: the model and its engine, the truth, and (of one mixture, to be quick) the samples.
    """
    about = [KIND, THRESHOLD, *heard_by, asdict(part.array), part.azimuths, part.truth]
    digest = hashlib.sha256(json.dumps(about).encode())
    digest.update(np.ascontiguousarray(part.mixtures[0]))
    digest.update(np.ascontiguousarray(part.stems[0]))
    return digest.hexdigest()[:32]


def _evaluate(scene: Scene, engine: Engine) -> Outcomes:
    """Outcomes of one mixture. Q queries are asked, S sources are true."""
    config = engine.config
    features, phase = analyse(scene.mixture, config.front_end)  # (2M-1, F, T), (F, T)
    truth = _truth(scene, config.labels)
    prob = engine.localize(features)  # (D,)
    asked = query_set(prob, THRESHOLD, always_strongest=True)[: 0 if is_silent(scene.mixture) else None]  # (Q,)
    certain = np.eye(len(prob), dtype=np.float32)[truth["direction"]]  # (S, D), g = 1
    separated, classes = _answer(engine, features, np.concatenate([query_gains(config, prob, asked), certain]))
    separated, classes, given = separated[: len(asked)], classes[: len(asked)], classes[len(asked) :]
    waves = resynthesise(separated, phase, config.front_end)  # (Q, n)
    said, heard_s = np.full((1, len(prob)), NOT_ASKED), np.zeros((1, len(prob), 2))
    said[0, asked] = classes
    heard_s[0, asked] = np.array([sounding_s(log_mag, config.front_end) for log_mag in separated]).reshape(-1, 2)
    return Outcomes(
        **truth,
        said_given_direction=given,
        said_clean=engine.classify(log_magnitude(stft(scene.stems, config.front_end))).argmax(axis=1),
        si_sdri=_gains(scene, dict(zip(asked.tolist(), waves, strict=True))),
        room=np.array([scene.room]),
        said=said,
        heard_s=heard_s,
        capi_sdri=np.array([capi_sdri(scene.stems, truth["label"], waves, classes, scene.mixture[0])]),
    )


def sounding_s(log_mag: np.ndarray, front_end: FrontEnd) -> tuple[float, float]:
    """From when to when a separated log magnitude (F, T) sounds [s], by the levels that a robot's tracks go by."""
    levels = frame_levels(log_mag)
    active = np.flatnonzero(levels > max(levels.max() - RANGE_DB, FLOOR_DB))
    if not len(active):
        return 0.0, 0.0
    hop_s = front_end.hop / front_end.sample_rate
    return active[0] * hop_s, (active[-1] + 2) * hop_s  # a frame is two hops long


def _truth(scene: Scene, labels: Sequence[str]) -> dict[str, np.ndarray]:
    """What is true of each source: the fields of `Outcomes` that say so."""
    events = scene.events
    return {
        "mixture": np.zeros(len(events), int),
        "direction": np.array([event.direction for event in events], int),
        "azimuth": np.array([event.azimuth for event in events], float),
        "label": np.array([labels.index(event.label) for event in events], int),
        "onset_s": np.array([event.onset_s for event in events], float),
        "end_s": np.array([event.onset_s + event.duration_s for event in events], float),
    }


def _answer(engine: Engine, features: np.ndarray, gains: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (2M-1, F, T) and queries (Q, D) -> separated (Q, F, T), class said (Q,). What comes twice is asked once.
    """
    queries, asked = np.unique(gains, axis=0, return_inverse=True)
    separated = engine.separate(features, queries)
    return separated[asked], engine.classify(separated).argmax(axis=1)[asked]


def _gains(scene: Scene, waves: Mapping[int, np.ndarray]) -> np.ndarray:
    """SI-SDR improvement of each source (S,) [dB] from the separated signal of each direction that was asked."""
    gains = np.full(len(scene.events), np.nan)
    for k, (event, stem) in enumerate(zip(scene.events, scene.stems, strict=True)):
        if event.direction in waves and stem.any():
            signals = torch.from_numpy(np.stack([waves[event.direction], scene.mixture[0]]))
            after, before = si_sdr(signals, torch.from_numpy(stem).expand_as(signals))
            gains[k] = after - before
    return gains
