"""The classical opponent: what a user would put together without a trained localization and separation.

MUSIC finds directions, beams with nulls and a Wiener filter part the sounds, and SSC of a model names them. It is
called like `Hearing`, so that it stands in the same tables. For evaluation only, as it needs pyroomacoustics, which a
robot does not. The numbers below were chosen on validation mixtures; docs/classical.md has what else was tried.

Letters as everywhere: M microphones, F bins, T frames, D directions, K sounds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from scipy.ndimage import uniform_filter

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.dsp.features import log_magnitude
from seld_overlap_ros.dsp.steering import SOUND_SPEED, hertz, plane_waves
from seld_overlap_ros.dsp.stft import stft
from seld_overlap_ros.evaluation.events import wrap
from seld_overlap_ros.hearing import HeardSource, Spectra, check_window, classify, is_silent, query_set
from seld_overlap_ros.models.engine import DEFAULT_MODEL, Engine
from seld_overlap_ros.streaming.tracks import FLOOR_DB, frame_levels

NAME = "classical"
N_AZIMUTHS = 72  # that MUSIC looks at
BLOCK_FRAMES = 16  # of one look, 0.26 s: within it, mostly one sound prevails
BAND_HZ = (400.0, 7000.0)  # below, the array is too small; above, it is too coarse
EVEN_ODDS = 0.19  # height of a peak that is as likely a sound as not
LOADING = 0.01  # of the beams, against microphones that differ
NULL_LOADING = 0.01  # for directions too close for a null between them
SMOOTH = (3, 5)  # bins and frames over which the beams' powers are averaged
SHARPNESS = 2.0  # power of the powers in the filter
REST = 3.0  # weight of what comes from where nothing was found
AWAY = np.pi / 6  # [rad] from all sounds, where the rest is listened to


def model_of(system: str) -> str | None:
    """Whose SSC a system called "classical" or "classical:MODEL" has; None for any other system."""
    name, _, model = system.partition(":")
    return (model or DEFAULT_MODEL) if name == NAME else None


class Classical:
    """From a window to its sounds, as `Hearing` does it, with `engine` for SSC alone."""

    def __init__(self, engine: Engine, direction_threshold: float = 0.5) -> None:
        """Raises ValueError where pyroomacoustics is not installed."""
        self.config = engine.config
        self.direction_threshold = direction_threshold
        self.ssc = engine
        self._music = Music(engine.config)
        self._beams = Beams(engine.config)

    def __call__(self, samples: np.ndarray, known: Collection[int] = ()) -> list[HeardSource]:
        """Window (M, window_samples), float in [-1, 1] -> the sounds in it, strongest direction first; [] if silent.

        `known`: the directions of the window before, as for `Hearing`. Raises ValueError on a wrong shape.
        """
        check_window(samples, self.config)
        if is_silent(samples):
            return []
        spectrum = stft(samples, self.config.front_end)  # (M, F, T)
        scores, azimuths = self._music(spectrum)
        directions = query_set(scores, self.direction_threshold, False, known)
        if not len(directions):
            return []
        separated = self._beams(spectrum, azimuths[directions])
        spectra = Spectra(directions, scores[directions], log_magnitude(separated))
        return classify(self.ssc, np.exp(1j * np.angle(spectrum[0])), spectra)


class Music:
    """Directions by MUSIC, in blocks so short that mostly one sound prevails in each.

    The height of a direction is that of the highest peak in its sector, in any block, over the mean of all azimuths,
    as a share of that mean. One peak, one sound: two in a sector cannot be told apart.
    """

    def __init__(self, config: SystemConfig) -> None:
        try:
            from pyroomacoustics.doa import NormMUSIC
        except ImportError as error:
            raise ValueError("the classical system needs pyroomacoustics: pip install pyroomacoustics") from error
        front_end = config.front_end
        self._azimuths = np.arange(N_AZIMUTHS) * 2 * np.pi / N_AZIMUTHS
        plane = np.array(config.array.positions).T[:2]  # it looks along the horizon
        self._music = NormMUSIC(plane, front_end.sample_rate, front_end.n_fft, c=SOUND_SPEED, num_src=1,
                                azimuth=self._azimuths)
        away = [[abs(wrap(azimuth - centre)) for centre in config.azimuths] for azimuth in self._azimuths]
        self._sector = np.argmin(away, axis=1)  # of each azimuth
        self._centres = np.array(config.azimuths)

    def __call__(self, spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Spectrum (M, F, T) -> score of each direction (D,), [0, 1), and azimuth of its sound (D,) [rad]."""
        heights, azimuths = np.zeros(len(self._centres)), self._centres.copy()
        loud = frame_levels(log_magnitude(spectrum[0])) > FLOOR_DB  # (T,)
        spectrum = np.pad(spectrum, ((0, 0), (0, 1), (0, 0)))  # the Nyquist bin, which MUSIC wants and does not look at
        for start in range(0, spectrum.shape[-1], BLOCK_FRAMES):
            block = slice(start, start + BLOCK_FRAMES)
            if loud[block].any():
                for sector, height, azimuth in self._peaks(spectrum[..., block]):
                    if height > heights[sector]:
                        heights[sector], azimuths[sector] = height, azimuth
        return (heights / (heights + EVEN_ODDS)).astype(np.float32), azimuths

    def _peaks(self, block: np.ndarray) -> list[tuple[int, float, float]]:
        """Spectrum (M, F + 1, t) -> sector, height and azimuth of each peak."""
        self._music.locate_sources(block, freq_range=list(BAND_HZ))
        found = self._music.grid.values / self._music.grid.values.mean() - 1
        at = np.flatnonzero((found > np.roll(found, 1)) & (found >= np.roll(found, -1)))
        return [(int(self._sector[n]), float(found[n]), float(self._azimuths[n])) for n in at]


class Beams:
    """Parts the sounds: a beam to each with nulls to the others, and of microphone 0 the share of each beam's power.

    The beams are those of least diffuse noise (LCMV in a spherical field). What comes from elsewhere, the mean of beams
    to empty directions, takes its share too.
    """

    def __init__(self, config: SystemConfig) -> None:
        self._front_end, self._array = config.front_end, config.array
        self._empty = np.array(config.azimuths)
        positions = np.array(config.array.positions)  # (M, 3)
        distances = np.linalg.norm(positions[:, None] - positions, axis=-1)  # (M, M)
        diffuse = np.sinc(2 * hertz(config.front_end)[:, None, None] * distances / SOUND_SPEED)  # (F, M, M)
        self._inverse = np.linalg.inv(diffuse + LOADING * np.eye(len(distances)))

    def __call__(self, spectrum: np.ndarray, azimuths: np.ndarray) -> np.ndarray:
        """Spectrum (M, F, T) and azimuths (K,) [rad] -> spectrum (K, F, T) of each as microphone 0 hears it alone."""
        wanted = self._powers(spectrum, azimuths) ** SHARPNESS  # (K, F, T)
        far = [one for one in self._empty if all(abs(wrap(one - azimuth)) > AWAY for azimuth in azimuths)]
        rest = np.mean([self._powers(spectrum, [one, *azimuths])[0] for one in far], axis=0) if far else 0.0
        share = wanted / (wanted.sum(axis=0) + REST * rest**SHARPNESS + np.finfo(wanted.dtype).tiny)
        return share * spectrum[0]

    def through(self, spectrum: np.ndarray, azimuths: Sequence[float]) -> np.ndarray:
        """What a beam to each azimuth lets through with nulls to the others (K, F, T)."""
        steering = self.steering(azimuths)  # (F, M, K)
        filters = self._inverse @ steering
        gram = np.conj(steering.swapaxes(1, 2)) @ filters  # (F, K, K)
        n = len(azimuths)
        loading = NULL_LOADING * np.trace(gram, axis1=1, axis2=2).real[:, None, None] / n * np.eye(n)
        weights = filters @ np.linalg.inv(gram + loading)  # (F, M, K)
        return (np.conj(weights.swapaxes(1, 2)) @ spectrum.swapaxes(0, 1)).swapaxes(0, 1)

    def _powers(self, spectrum: np.ndarray, azimuths: Sequence[float]) -> np.ndarray:
        """Power of each beam (K, F, T), smoothed."""
        return np.stack([uniform_filter(np.abs(one) ** 2, SMOOTH) for one in self.through(spectrum, azimuths)])

    def steering(self, azimuths: Sequence[float]) -> np.ndarray:
        """Azimuths (K,) -> how a plane wave from each reaches the microphones, relative to microphone 0 (F, M, K)."""
        return plane_waves(self._front_end, self._array, azimuths)
