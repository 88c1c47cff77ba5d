"""A store of mixtures small enough to evaluate in a moment, and outcomes made up by hand."""

from dataclasses import dataclass

import numpy as np

from seld_overlap_ros.config import FrontEnd, SystemConfig
from seld_overlap_ros.evaluation.outcomes import NOT_ASKED, Outcomes
from seld_overlap_ros.simulation.rooms import scene_rng
from seld_overlap_ros.simulation.store import MixtureStore

LABELS = ("a", "b", "c")
CONFIG = SystemConfig(labels=LABELS, width=1 / 32)
N = FrontEnd().window_samples


def make_store(sources: list[dict[int, str]], key: str = "tiny") -> MixtureStore:
    """One mixture of noise for each {direction: class}; a mixture of nothing is silent."""
    stems = np.zeros((len(sources), 3, N), np.int16)
    truth = []
    for index, directions in enumerate(sources):
        for k in range(len(directions)):
            stems[index, k, 4000 * k : 40000] = scene_rng(key, index, k).integers(-3000, 3000, 40000 - 4000 * k)
        events = [{"label": label, "azimuth": CONFIG.azimuths[d], "direction": d, "onset_s": k / 4,
                   "duration_s": 2.5 - k / 4, "clip": ""} for k, (d, label) in enumerate(directions.items())]
        truth.append({"snr_db": 15.0, "room": f"room {index % 2}", "events": events})
    mixtures = np.stack([np.roll(stems.sum(axis=1, dtype=np.int16), m, axis=-1) for m in range(8)], axis=1)
    return MixtureStore(CONFIG.array, CONFIG.azimuths, LABELS, mixtures, stems, truth)


@dataclass
class Said:
    """What was said of one mixture: {direction: class}, of its true {direction: class}."""

    true: dict[int, int]
    said: dict[int, int]


def make_outcomes(*mixtures: Said, room: str = "r") -> Outcomes:
    """Outcomes in which every found source gained 10 dB and the oracle and the ceiling are always right."""
    sources = [(index, d, c) for index, mixture in enumerate(mixtures) for d, c in mixture.true.items()]
    mixture, direction, label = np.array(sources).reshape(-1, 3).T
    said = np.full((len(mixtures), 8), NOT_ASKED)
    heard_s = np.zeros((*said.shape, 2))
    for index, one in enumerate(mixtures):
        for d, c in one.said.items():
            said[index, d] = c
            heard_s[index, d] = (0.0, 2.0)
    found = said[mixture, direction] != NOT_ASKED
    return Outcomes(
        mixture, direction, np.array(CONFIG.azimuths)[direction], label, np.zeros(len(label)),
        np.full(len(label), 2.0), label, label, np.where(found, 10.0, np.nan), np.full(len(mixtures), room), said,
        heard_s, np.full(len(mixtures), 1.0),
    )  # fmt: skip
