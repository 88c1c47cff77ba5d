"""What a checkpoint owns: the front end, the array, the directions, the labels and the size of the networks."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

MAX_RATE = 768000  # [Hz] of audio
SYSTEMS = ("cascade", "ssl_sss", "sss_ssc", "overlap", "one_sss")  # the last one is for comparison only
# Systems whose SSS learnt from SSL's own score; the others were trained on, and get, a hard 1 (query rule).
SOFT_DIRECTION = ("ssl_sss", "overlap", "one_sss")


@dataclass(frozen=True)
class FrontEnd:
    """The STFT that every network sees. The defaults are those of docs/reading.md; see `dsp/stft.py`."""

    sample_rate: int = 16000  # [Hz]
    n_fft: int = 512  # length of a frame [samples]
    hop: int = 256  # [samples]
    n_frames: int = 256  # T

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.n_fft, self.hop, self.n_frames) <= 0:
            raise ValueError(f"front end: every number must be positive, got {self}")
        if self.sample_rate > MAX_RATE:
            raise ValueError(f"front end: at most {MAX_RATE} samples a second, got {self.sample_rate}")
        if self.n_fft != 2 * self.hop:
            raise ValueError(f"front end: n_fft must be twice the hop, got n_fft={self.n_fft}, hop={self.hop}")

    @property
    def n_bins(self) -> int:
        """F: bins from 0 up to, and without, the Nyquist frequency."""
        return self.n_fft // 2

    @property
    def window_samples(self) -> int:
        """Samples that T frames cover: 65,792 (4.112 s) by default. The paper's text says 4.192 s."""
        return (self.n_frames + 1) * self.hop

    @property
    def window_s(self) -> float:
        """Length of the window [s]."""
        return self.window_samples / self.sample_rate

    def whole_hops(self, seconds: float) -> int:
        """Samples of the whole number of hops that comes nearest to a time, at least one."""
        return max(1, round(seconds * self.sample_rate / self.hop)) * self.hop


@dataclass(frozen=True)
class MicrophoneArray:
    """Where the microphones are, in the array's own frame (REP 103: x forward, y left, z up)."""

    positions: tuple[tuple[float, float, float], ...]  # (M, 3) [m]

    def __post_init__(self) -> None:
        if len(self.positions) < 2 or any(len(p) != 3 for p in self.positions):
            raise ValueError("array: at least two microphone positions of three coordinates [m] are needed")
        if not all(math.isfinite(c) for p in self.positions for c in p):
            raise ValueError("array: every coordinate must be a finite number of metres")

    @property
    def n_microphones(self) -> int:
        """M."""
        return len(self.positions)

    @classmethod
    def circular(cls, n_microphones: int = 8, radius: float = 0.0365) -> MicrophoneArray:
        """Microphone k at 2 pi k / M on a circle of `radius` [m]. The default is the paper's array."""
        angles = [2 * math.pi * k / n_microphones for k in range(n_microphones)]
        return cls(tuple((radius * math.cos(a), radius * math.sin(a), 0.0) for a in angles))


def uniform_azimuths(n_directions: int = 8) -> tuple[float, ...]:
    """Centres of D equal sectors [rad], counter-clockwise from +x, each in (-pi, pi]."""
    step = 2 * math.pi / n_directions
    return tuple(k * step if k * step <= math.pi else k * step - 2 * math.pi for k in range(n_directions))


@dataclass(frozen=True)
class SystemConfig:
    """Everything needed to rebuild a system of networks and to know what its outputs mean."""

    labels: tuple[str, ...]  # C names
    system: str = "overlap"  # one of SYSTEMS, as in the paper's Table 1
    width: float = 1.0  # factor on every channel count: 1 is the paper's scale P, .25 is P/4
    mel_bands: int = 0  # that SSC sees the spectrum in; 0: the paper's SSC, which sees every bin
    steered: bool = False  # SSS sees how each bin sounds from the asked direction on; False: the paper's direction map
    front_end: FrontEnd = field(default_factory=FrontEnd)
    array: MicrophoneArray = field(default_factory=MicrophoneArray.circular)
    azimuths: tuple[float, ...] = field(default_factory=uniform_azimuths)  # (D,) [rad]

    def __post_init__(self) -> None:
        if self.system not in SYSTEMS:
            raise ValueError(f"system must be one of {', '.join(SYSTEMS)}, got {self.system!r}")
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError("labels: at least one class is needed, and each name once")
        if not all(isinstance(label, str) and label.strip() for label in self.labels):
            raise ValueError("labels: every class needs a name")
        if not isinstance(self.steered, bool):
            raise ValueError("steered must be true or false")
        if not 0 < self.width <= 4:
            raise ValueError(f"width must lie in (0, 4], got {self.width}")
        if len(self.azimuths) < 2:
            raise ValueError("azimuths: at least two directions are needed")
        if not all(math.isfinite(azimuth) for azimuth in self.azimuths):
            raise ValueError("azimuths: every one must be a finite number of radians")
        if len({round(azimuth % (2 * math.pi), 4) for azimuth in self.azimuths}) < len(self.azimuths):
            raise ValueError("azimuths: each direction may stand there once")

    @property
    def n_sss(self) -> int:
        """SSS networks of the system: two meet in the gate."""
        return 2 if self.system == "overlap" else 1

    @property
    def n_features(self) -> int:
        """Planes that the networks see: 2M - 1."""
        return 2 * self.array.n_microphones - 1

    @property
    def n_sss_planes(self) -> int:
        """Planes that an SSS sees: one a direction, beside all features, or if steered beside the magnitude alone."""
        return len(self.azimuths) + (1 if self.steered else self.n_features)

    @property
    def azimuth_resolution(self) -> float:
        """Width of one direction sector [rad]."""
        return 2 * math.pi / len(self.azimuths)

    def to_dict(self) -> dict:
        """Plain numbers, strings and lists, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> SystemConfig:
        """The reverse of `to_dict`. Raises ValueError that names what is missing or wrong."""
        try:
            return cls(
                labels=() if isinstance(values["labels"], str) else tuple(values["labels"]),
                system=values["system"],
                width=float(values["width"]),
                mel_bands=int(values.get("mel_bands", 0)),  # older files lack it
                steered=values.get("steered", False),  # so they do this
                front_end=FrontEnd(**{k: int(v) for k, v in values["front_end"].items()}),
                array=MicrophoneArray(
                    tuple(tuple(float(c) for c in p) for p in values["array"]["positions"])
                ),
                azimuths=tuple(float(a) for a in values["azimuths"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"configuration of the model is incomplete or malformed: {error!r}") from error
