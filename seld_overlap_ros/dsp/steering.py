"""How a plane wave from an azimuth reaches an array, and how much each bin of a window sounds like one from there.

The latter, an SSS that is steered sees in place of phase differences and of a map that says which direction is asked:
what it has to learn is the same for every direction, and nothing about the array. The idea is the angle feature of
Chen et al. (2018), here of all pairs of microphones at once: the power of a beam to that azimuth on the phases alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seld_overlap_ros.config import FrontEnd, MicrophoneArray, SystemConfig

SOUND_SPEED = 343.0  # [m/s], as pyroomacoustics
LEAST_SPREAD = 0.02  # of the beam's power over the azimuths: where a small array hears less, below 200 Hz, it is noise


def hertz(front_end: FrontEnd) -> np.ndarray:
    """Frequency of each bin (F,) [Hz]."""
    return np.arange(front_end.n_bins) * front_end.sample_rate / front_end.n_fft


def plane_waves(front_end: FrontEnd, array: MicrophoneArray, azimuths: Sequence[float]) -> np.ndarray:
    """Azimuths (K,) [rad] -> how a plane wave from each reaches the microphones, relative to microphone 0 (F, M, K)."""
    positions = np.array(array.positions)  # (M, 3)
    towards = np.stack([np.cos(azimuths), np.sin(azimuths), np.zeros(len(azimuths))])  # (3, K)
    ahead_s = (positions - positions[0]) @ towards / SOUND_SPEED  # (M, K)
    return np.exp(2j * np.pi * hertz(front_end)[:, None, None] * ahead_s)


def beams(config: SystemConfig) -> np.ndarray:
    """What a 1 and the cosines and sines of a bin are multiplied with for a beam to each direction (F, 2M-1, 2D).

    Of what comes out, the first D are real parts, the others imaginary ones.
    """
    waves = plane_waves(config.front_end, config.array, config.azimuths)[:, 1:]  # (F, M-1, D)
    cos = np.concatenate([waves.real, -waves.imag], axis=2)
    sin = np.concatenate([-waves.imag, -waves.real], axis=2)  # features hold phi_0 - phi_n, the phase of the wave - n's
    itself = np.broadcast_to(np.repeat([1.0, 0.0], waves.shape[2]), (len(waves), 1, cos.shape[2]))
    of_phases = np.stack([cos, sin], axis=2).reshape(len(waves), -1, cos.shape[2])  # in the order of the features
    return (np.concatenate([itself, of_phases], axis=1) / config.array.n_microphones).astype(np.float32)


def likeness_scale(config: SystemConfig) -> tuple[np.ndarray, np.ndarray]:
    """Factor and offset (F, D) that make a beam's power 1 for its own direction and 0 on average over all."""
    waves = plane_waves(config.front_end, config.array, config.azimuths)  # (F, M, D)
    # bin by bin: of all at once, those of hundreds of directions would take gigabytes
    mean = np.array([np.mean(np.abs(np.conj(wave.T) @ wave / len(wave)) ** 2, axis=1) for wave in waves])  # (F, D)
    factor = 1 / np.maximum(1 - mean, LEAST_SPREAD)
    return factor.astype(np.float32), (-mean * factor).astype(np.float32)


def steps_before(n_directions: int) -> np.ndarray:
    """Direction (D, D) that lies k steps before direction d, by (k, d)."""
    directions = np.arange(n_directions)
    return (directions - directions[:, None]) % n_directions
