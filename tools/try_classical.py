"""What the classical opponent was chosen by: python tools/try_classical.py directions | separation | systems

Tables for docs/classical.md, of --n stored mixtures (100), drawn at random without the first --skip (0).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from pyroomacoustics import bss, doa
from scipy.optimize import linear_sum_assignment

from seld_overlap_ros.config import FrontEnd, SystemConfig
from seld_overlap_ros.dsp.stft import istft, stft
from seld_overlap_ros.evaluation.classical import BAND_HZ, BLOCK_FRAMES, N_AZIMUTHS, Beams, Classical
from seld_overlap_ros.evaluation.events import wrap
from seld_overlap_ros.hearing import Hearing
from seld_overlap_ros.models.engine import DEFAULT_MODEL, load_engine
from seld_overlap_ros.simulation.mixture import Scene
from seld_overlap_ros.simulation.store import MixtureStore

app = typer.Typer(add_completion=False)
FRONT_END, CONFIG = FrontEnd(), SystemConfig(("any",))
MIXTURES, SEED = Path("data/mixtures/val"), 0
N_ITERATIONS = 15  # of blind separation
FINDERS = {  # name -> kind, and how many sources it takes for granted in a look
    "SRP-PHAT": (doa.SRP, 1),
    "MUSIC": (doa.MUSIC, 2),
    "MUSIC, each bin normalised": (doa.NormMUSIC, 1),
    "the same, for two sources": (doa.NormMUSIC, 2),
}
Mixtures = Annotated[Path, typer.Option(help="Stored mixtures of the array that is shipped.")]


def drawn(mixtures: Path, skip: int, n: int) -> Iterator[Scene]:
    """Mixtures in an order that is always the same. Raises BadParameter where there are fewer."""
    store = MixtureStore.load(mixtures)
    if len(store) < skip + n:
        raise typer.BadParameter(f"{mixtures} holds {len(store)} mixtures, and {skip + n} are asked for")
    return (store[int(index)] for index in np.random.default_rng(SEED).permutation(len(store))[skip : skip + n])


def timed(work: Callable[[], object]) -> tuple[object, float]:
    """What it gives, and its time on a core [s]."""
    started = time.process_time()
    return work(), time.process_time() - started


def truth(scene: Scene) -> np.ndarray:
    """Which directions sound (D,)."""
    return np.isin(np.arange(len(CONFIG.azimuths)), [event.direction for event in scene.events])


@app.command()
def directions(mixtures: Mixtures = MIXTURES, skip: int = 0, n: int = 100) -> None:
    """F1 of the directions whose peak is high enough: the threshold from the first half, the score of the second."""
    plane = np.array(CONFIG.array.positions).T[:2]
    azimuths = np.arange(N_AZIMUTHS) * 2 * np.pi / N_AZIMUTHS
    finders = {name: kind(plane, FRONT_END.sample_rate, FRONT_END.n_fft, azimuth=azimuths, num_src=n_sources)
               for name, (kind, n_sources) in FINDERS.items()}
    heights, seconds, true = defaultdict(list), defaultdict(float), []
    for scene in drawn(mixtures, skip, n):
        spectrum = np.pad(stft(scene.mixture, FRONT_END), ((0, 0), (0, 1), (0, 0))).astype(complex)
        true.append(truth(scene))
        for name, finder in finders.items():
            for length in (FRONT_END.n_frames, BLOCK_FRAMES):
                found, took = timed(partial(highest, finder, spectrum, length, azimuths))
                key = name, f"{length * FRONT_END.hop / FRONT_END.sample_rate:.2f} s"
                heights[key].append(found)
                seconds[key] += took
    print("| | looks of | F1 | precision | recall | all directions right | time |\n|---|---|---|---|---|---|---|")
    for key, found in heights.items():
        cells = [f"{score:.3f}" for score in scores(np.array(found), np.array(true))]
        print("|", " | ".join([*key, *cells, f"{seconds[key] / n:.3f} s"]), "|")


def highest(finder: doa.DOA, spectrum: np.ndarray, length: int, azimuths: np.ndarray) -> np.ndarray:
    """Spectrum (M, F + 1, T) -> highest peak in each direction (D,) over the mean, as a share of it, in any look."""
    sector = np.argmin([[abs(wrap(one - centre)) for centre in CONFIG.azimuths] for one in azimuths], axis=1)
    heights = np.zeros(len(CONFIG.azimuths))
    for start in range(0, spectrum.shape[-1], length):
        finder.locate_sources(spectrum[..., start : start + length] + 1e-12, freq_range=list(BAND_HZ))
        values = finder.grid.values / finder.grid.values.mean() - 1
        peaks = np.flatnonzero((values > np.roll(values, 1)) & (values >= np.roll(values, -1)))
        np.maximum.at(heights, sector[peaks], values[peaks])
    return heights


def scores(heights: np.ndarray, true: np.ndarray) -> tuple[float, ...]:
    """F1, precision, recall and share of mixtures (N, D) that are all right, of the second half."""
    half = len(true) // 2

    def f1(part: slice, threshold: float) -> tuple[float, ...]:
        said, right = heights[part] >= threshold, true[part]
        hits = (said & right).sum()
        return 2 * hits / max(1, said.sum() + right.sum()), hits / max(1, said.sum()), hits / right.sum(), (
            said == right).all(axis=1).mean()

    best = max(np.quantile(heights, np.linspace(0.3, 0.99, 150)), key=lambda threshold: f1(slice(half), threshold)[0])
    return f1(slice(half, None), best)


@app.command()
def separation(mixtures: Mixtures = MIXTURES, skip: int = 0, n: int = 60) -> None:
    """SI-SDR improvement where the true directions are given."""
    beams, gains, seconds = Beams(CONFIG), defaultdict(list), defaultdict(float)
    for scene in drawn(mixtures, skip, n):
        spectrum = stft(scene.mixture, FRONT_END)
        azimuths = np.array([event.azimuth for event in scene.events])
        for name, method in METHODS.items():
            separated, took = timed(partial(method, beams, spectrum, azimuths))
            seconds[name] += took
            for one, stem in zip(separated, scene.stems, strict=True):
                gain = si_sdr(istft(one.astype(np.complex64), FRONT_END), stem) - si_sdr(scene.mixture[0], stem)
                gains[name].append((len(azimuths), gain))
    print("| SI-SDRi [dB] | all | median | 1 sound | 2 | 3 | time |\n|---|---|---|---|---|---|---|")
    for name, found in gains.items():
        n_sounds, gain = np.array(found).T
        by_number = [f"{gain[n_sounds == k].mean():.1f}" for k in (1, 2, 3)]
        print("|", " | ".join([name, f"{gain.mean():.1f}", f"{np.median(gain):.1f}", *by_number,
                               f"{seconds[name] / n:.3f} s"]), "|")


def si_sdr(estimate: np.ndarray, stem: np.ndarray) -> float:
    """[dB]; so that a silent estimate is no infinity, with a floor."""
    estimate, stem = estimate.astype(float), stem.astype(float)
    target = estimate @ stem / (stem @ stem + 1e-12) * stem
    return 10 * np.log10((target @ target + 1e-12) / ((estimate - target) @ (estimate - target) + 1e-12))


def delay_and_sum(beams: Beams, spectrum: np.ndarray, azimuths: np.ndarray) -> np.ndarray:
    steering = beams.steering(azimuths)  # (F, M, K)
    return np.einsum("fmk,mft->kft", np.conj(steering) / steering.shape[1], spectrum)


def phase_shares(beams: Beams, spectrum: np.ndarray, azimuths: np.ndarray) -> np.ndarray:
    """Of microphone 0, what is in phase as it would be from there (as DUET does it)."""
    alike = np.abs(delay_and_sum(beams, np.exp(1j * np.angle(spectrum)), azimuths)) ** 40
    return alike / alike.sum(axis=0) * spectrum[0]


def mvdr(beams: Beams, spectrum: np.ndarray, azimuths: np.ndarray) -> np.ndarray:
    """Of least diffuse noise, without nulls."""
    return np.concatenate([beams.through(spectrum, [azimuth]) for azimuth in azimuths])


def power_shares(beams: Beams, spectrum: np.ndarray, azimuths: np.ndarray) -> np.ndarray:
    """As the classical system, without smoothing and without a rest."""
    powers = np.abs(beams.through(spectrum, azimuths)) ** 4
    return powers / (powers.sum(axis=0) + 1e-30) * spectrum[0]


def aux_iva(beams: Beams, spectrum: np.ndarray, azimuths: np.ndarray) -> np.ndarray:
    found = bss.auxiva(spectrum.T.astype(complex), n_src=min(len(spectrum), len(azimuths) + 1), n_iter=N_ITERATIONS)
    return assigned(found, power_shares(beams, spectrum, azimuths))


def ilrma(beams: Beams, spectrum: np.ndarray, azimuths: np.ndarray) -> np.ndarray:
    """On as many principal components as there are sounds."""
    if len(azimuths) == 1:
        return spectrum[:1]
    covariance = np.einsum("mft,nft->fmn", spectrum, np.conj(spectrum))
    components = np.linalg.eigh(covariance)[1][:, :, -len(azimuths):]  # (F, M, K)
    reduced = np.einsum("fmk,mft->tfk", np.conj(components), spectrum).astype(complex)
    found = bss.ilrma(reduced, n_iter=2 * N_ITERATIONS, n_components=4, proj_back=False)
    scale = bss.common.projection_back(found, spectrum[0].T)
    return assigned(found * np.conj(scale)[None], power_shares(beams, spectrum, azimuths))


def assigned(found: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Outputs (T, F, N) in no order -> those that are most like (K, F, T), in that order."""
    found = found.transpose(2, 1, 0)
    likeness = np.corrcoef(np.abs(np.concatenate([alike, found])).reshape(len(alike) + len(found), -1))
    return found[linear_sum_assignment(likeness[: len(alike), len(alike) :], maximize=True)[1]]


METHODS = {
    "delay and sum": delay_and_sum,
    "MVDR, diffuse noise": mvdr,
    "LCMV, diffuse noise": lambda beams, spectrum, azimuths: beams.through(spectrum, azimuths),
    "microphone 0, by phase": phase_shares,
    "microphone 0, by LCMV's powers": power_shares,
    "the same, smoothed, with a rest (chosen)": lambda beams, spectrum, azimuths: beams(spectrum, azimuths),
    "AuxIVA": aux_iva,
    "ILRMA": ilrma,
}


@app.command()
def systems(mixtures: Mixtures = MIXTURES, skip: int = 400, n: int = 200, model: str = DEFAULT_MODEL) -> None:
    """The classical system beside a model, on mixtures that nothing was chosen by: each mixture as one window."""
    engine = load_engine(model)
    print("| | direction F1 | all directions right | SI-SDRi of found | named of those whose class is known | time |\n"
          "|---|---|---|---|---|---|")
    for name, hearing in {"classical": Classical(engine), model: Hearing(engine)}.items():
        hits = said = right = 0
        n_true, gains, named, seconds = 0, [], [], 0.0
        for scene in drawn(mixtures, skip, n):
            sources, took = timed(partial(hearing, scene.mixture))
            found, seconds = {source.direction: source for source in sources}, seconds + took
            true = {event.direction: (event.label, stem) for event, stem in zip(scene.events, scene.stems, strict=True)}
            hits, said, n_true = hits + len(found.keys() & true.keys()), said + len(found), n_true + len(true)
            right += found.keys() == true.keys()
            for direction, (label, stem) in true.items():
                if direction in found and stem.any():
                    gains.append(si_sdr(found[direction].samples, stem) - si_sdr(scene.mixture[0], stem))
                if label in engine.config.labels:
                    best = found[direction].class_scores.argmax() if direction in found else None
                    named.append(best == engine.config.labels.index(label))
        print(f"| {name} | {2 * hits / (said + n_true):.3f} | {right / n:.2f} | {np.mean(gains):.1f} dB | "
              f"{sum(named)} of {len(named)} | {seconds / n:.3f} s |")


if __name__ == "__main__":
    app()
