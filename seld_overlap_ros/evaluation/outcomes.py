"""How a system fares on stored mixtures, source by source, as arrays that every score is counted from.

Several mixtures go through the networks at once; what comes out is what `Hearing` with `always_strongest` says of each.
Beside it stand two answers that show what is lost where: the class when the true direction is asked (oracle, g = 1),
and the class of the clean source alone, which is the ceiling of any separation.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio as si_sdr

from seld_overlap_ros.config import FrontEnd, SystemConfig
from seld_overlap_ros.dsp.features import input_features, log_magnitude, resynthesise
from seld_overlap_ros.dsp.stft import stft
from seld_overlap_ros.evaluation.capi import capi_sdri
from seld_overlap_ros.hearing import query_set
from seld_overlap_ros.models.system import System
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


def evaluate(system: System, store: MixtureStore, batch: int = 8, track: Track = iter) -> Outcomes:
    """Outcomes of every mixture of a store, `batch` mixtures at a time. Raises ValueError if they do not fit.

    `track` wraps the iterable of batches (progress bars).
    """
    check_fit(system.config, store)
    system = system.eval().to(memory_format=torch.channels_last)  # SSL and SSC take half the time
    starts = range(0, len(store), batch)
    return concatenate(_evaluate([store[i] for i in range(start, min(start + batch, len(store)))], system, batch)
                       for start in track(starts))


def evaluate_saved(system: System, model_key: str, store: MixtureStore, folder: Path, batch: int = 8,
                   track: Track = iter) -> Outcomes:
    """As `evaluate`, but outcomes in `folder` are taken from there, and new ones are kept there part by part.

    `model_key` names the system's weights (SHA-256). `track` wraps the iterable of parts (progress bars).
    """
    check_fit(system.config, store)
    outcomes = []
    for first in track(range(0, len(store), PART)):
        part = piece(store, first, first + PART)
        path = folder / f"{_key(model_key, part)}.npz"
        try:
            outcomes.append(Outcomes.load(path))
        except (ValueError, OSError, KeyError):  # not there yet, or cut off
            outcomes.append(evaluate(system, part, batch))
            outcomes[-1].save(path)
    return concatenate(outcomes)


def piece(store: MixtureStore, first: int, end: int | None) -> MixtureStore:
    """Mixtures first to end - 1 of a store; to its last without an end."""
    return replace(store, truth=store.truth[first:end], mixtures=store.mixtures[first:end],
                   stems=store.stems[first:end])


def _key(model_key: str, part: MixtureStore) -> str:
    """What the outcomes depend on: the model, the truth, and (of one mixture, to be quick) the samples."""
    about = [KIND, THRESHOLD, model_key, asdict(part.array), part.azimuths, part.truth]
    digest = hashlib.sha256(json.dumps(about).encode())
    digest.update(np.ascontiguousarray(part.mixtures[0]))
    digest.update(np.ascontiguousarray(part.stems[0]))
    return digest.hexdigest()[:32]


@torch.inference_mode()
def _evaluate(scenes: list[Scene], system: System, batch: int) -> Outcomes:
    """Outcomes of B mixtures. Q queries are asked, S sources are true."""
    front_end = system.config.front_end
    spectrum = stft(np.stack([scene.mixture for scene in scenes]), front_end)  # (B, M, F, T)
    x = torch.from_numpy(input_features(spectrum))  # (B, 2M-1, F, T)
    truth = _truth(scenes, system.config.labels)
    prob = system.localize(x)  # (B, D)
    owner, direction = _queries(prob, scenes)  # (Q,)
    gain = system.query(prob[owner], direction)  # (Q, D)
    certain = torch.eye(prob.shape[1])[truth["direction"]]  # (S, D), g = 1
    queries = torch.cat([owner, torch.from_numpy(truth["mixture"])]), torch.cat([gain, certain])
    separated, classes = _answer(system, x, *queries, batch)
    separated, classes, given = separated[: len(owner)], classes[: len(owner)], classes[len(owner) :]  # (Q, ...), (S,)
    waves = resynthesise(separated.numpy(), spectrum[owner, 0], front_end)  # (Q, n)
    said, heard_s = np.full(prob.shape, NOT_ASKED), np.zeros((*prob.shape, 2))
    said[owner, direction] = classes
    heard_s[owner, direction] = [sounding_s(log_mag, front_end) for log_mag in separated.numpy()]
    return Outcomes(
        **truth,
        said_given_direction=given,
        said_clean=_clean_classes(system, scenes, batch),
        si_sdri=_gains(scenes, truth, owner.tolist(), direction.tolist(), waves),
        room=np.array([scene.room for scene in scenes]),
        said=said,
        heard_s=heard_s,
        capi_sdri=_capi(scenes, truth, owner.numpy(), classes, waves),
    )


def sounding_s(log_mag: np.ndarray, front_end: FrontEnd) -> tuple[float, float]:
    """From when to when a separated log magnitude (F, T) sounds [s], by the levels that a robot's tracks go by."""
    levels = frame_levels(log_mag)
    active = np.flatnonzero(levels > max(levels.max() - RANGE_DB, FLOOR_DB))
    if not len(active):
        return 0.0, 0.0
    hop_s = front_end.hop / front_end.sample_rate
    return active[0] * hop_s, (active[-1] + 2) * hop_s  # a frame is two hops long


def _truth(scenes: list[Scene], labels: Sequence[str]) -> dict[str, np.ndarray]:
    """What is true of each source: the fields of `Outcomes` that say so."""
    events = [(index, event) for index, scene in enumerate(scenes) for event in scene.events]
    return {
        "mixture": np.array([index for index, _ in events]),
        "direction": np.array([event.direction for _, event in events]),
        "azimuth": np.array([event.azimuth for _, event in events]),
        "label": np.array([labels.index(event.label) for _, event in events]),
        "onset_s": np.array([event.onset_s for _, event in events]),
        "end_s": np.array([event.onset_s + event.duration_s for _, event in events]),
    }


def _queries(prob: Tensor, scenes: list[Scene]) -> tuple[Tensor, Tensor]:
    """Which mixture is asked for which direction, (Q,) each, from probabilities (B, D); silence is asked nothing."""
    asked = [query_set(p, THRESHOLD, always_strongest=True)[: None if np.ptp(scene.mixture) else 0]
             for p, scene in zip(prob, scenes, strict=True)]
    owner = torch.repeat_interleave(torch.arange(len(asked)), torch.tensor([len(directions) for directions in asked]))
    return owner, torch.cat(asked)


def _answer(system: System, x: Tensor, owner: Tensor, gain: Tensor, batch: int) -> tuple[Tensor, np.ndarray]:
    """Features (B, 2M-1, F, T) and queries, a mixture and gains (Q, D) each -> separated (Q, F, T), class said (Q,).

    A query that comes twice is asked once.
    """
    queries, asked = torch.cat([owner[:, None].to(gain), gain], dim=1).unique(dim=0, return_inverse=True)
    separated = [system.separate(x[part[:, 0].long()], part[:, 1:]) for part in queries.split(batch)]
    classes = [system.ssc(part).argmax(dim=1) for part in separated]
    return torch.cat(separated)[asked], torch.cat(classes)[asked].numpy()


def _clean_classes(system: System, scenes: list[Scene], batch: int) -> np.ndarray:
    """Class said of each clean source (S,)."""
    stems = np.concatenate([scene.stems for scene in scenes])  # (S, n)
    clean = torch.from_numpy(log_magnitude(stft(stems, system.config.front_end)))  # (S, F, T)
    return torch.cat([system.ssc(part).argmax(dim=1) for part in clean.split(batch)]).numpy()


def _gains(scenes: list[Scene], truth: dict, owner: list[int], direction: list[int], waves: np.ndarray) -> np.ndarray:
    """SI-SDR improvement of each source (S,) [dB] from the separated signals (Q, n)."""
    answers = dict(zip(zip(owner, direction, strict=True), waves, strict=True))
    stems = [stem for scene in scenes for stem in scene.stems]
    gains = np.full(len(stems), np.nan)
    for k, (index, asked) in enumerate(zip(truth["mixture"].tolist(), truth["direction"].tolist(), strict=True)):
        if (index, asked) in answers and stems[k].any():
            signals = torch.from_numpy(np.stack([answers[index, asked], scenes[index].mixture[0]]))
            after, before = si_sdr(signals, torch.from_numpy(stems[k]).expand_as(signals))
            gains[k] = after - before
    return gains


def _capi(scenes: list[Scene], truth: dict, owner: np.ndarray, classes: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """CAPI-SDRi of each mixture (B,) [dB]."""
    return np.array([
        capi_sdri(scene.stems, truth["label"][truth["mixture"] == index], waves[owner == index],
                  classes[owner == index], scene.mixture[0])
        for index, scene in enumerate(scenes)
    ])
