"""SoundFont 2 banks, read and played without a synthesiser.

Only what shapes a single note is rendered: sample choice, pitch, loop, volume envelope and static low-pass.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import signal

from .instruments import Envelope, InstrumentError, Sample, play

_BAG = np.dtype([("generator", "<u2"), ("modulator", "<u2")])
_GENERATOR = np.dtype([("kind", "<u2"), ("amount", "<i2")])
_PRESET = np.dtype([("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "V12")])
_INSTRUMENT = np.dtype([("name", "S20"), ("bag", "<u2")])
_SAMPLE = np.dtype(
    [
        *(("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("loop_start", "<u4"), ("loop_end", "<u4")),
        *(("rate", "<u4"), ("key", "u1"), ("cents", "i1"), ("link", "<u2"), ("kind", "<u2")),
    ]
)
_KEYS, _VELOCITIES, _INSTRUMENT_ID, _SAMPLE_ID = 43, 44, 41, 53
_FILTER, _DELAY, _ATTACK, _HOLD, _DECAY, _SUSTAIN, _RELEASE = 8, 33, 34, 35, 36, 37, 38
_COARSE, _FINE, _MODES, _SCALE, _ROOT = 51, 52, 54, 56, 58
_DEFAULTS = {_FILTER: 13500, _DELAY: -12000, _ATTACK: -12000, _HOLD: -12000, _DECAY: -12000, _RELEASE: -12000}
_DEFAULTS |= {_SCALE: 100, _ROOT: -1}


@dataclass(frozen=True)
class Zone:
    """One sample of a preset with the keys and velocities (inclusive) that sound it."""

    keys: tuple[int, int]
    velocities: tuple[int, int]
    sample: int
    generators: dict[int, int]

    def sounds(self, note: int, velocity: int) -> bool:
        """Whether a key struck at a velocity sounds this zone."""
        return self.keys[0] <= note <= self.keys[1] and self.velocities[0] <= velocity <= self.velocities[1]


class SoundFont:
    """A SoundFont 2 file held in memory-mapped form; raises InstrumentError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        chunks = _riff_chunks(path)
        try:
            self._pcm = np.memmap(path, dtype="<i2", mode="r", offset=chunks[b"smpl"][0], shape=chunks[b"smpl"][1] // 2)
            tables = zip(
                (b"phdr", b"pbag", b"pgen", b"inst", b"ibag", b"igen", b"shdr"),
                (_PRESET, _BAG, _GENERATOR, _INSTRUMENT, _BAG, _GENERATOR, _SAMPLE),
                strict=True,
            )
            data = {name: _table(path, chunks[name], dtype) for name, dtype in tables}
        except (KeyError, ValueError) as error:
            raise InstrumentError(f"{path.name} is damaged ({error}); fetch its package again.") from error
        self._presets, self._instruments, self.sample_heads = data[b"phdr"], data[b"inst"], data[b"shdr"]
        self._preset_bags, self._preset_generators = data[b"pbag"], data[b"pgen"]
        self._instrument_bags, self._instrument_generators = data[b"ibag"], data[b"igen"]

    def zones(self, bank: int, program: int) -> list[Zone]:
        """Every sample zone of a preset; raises InstrumentError if the font lacks it."""
        (found,) = np.nonzero((self._presets["bank"][:-1] == bank) & (self._presets["program"][:-1] == program))
        if not len(found):
            raise InstrumentError(f"{self.path.name} has no preset {program} in bank {bank}.")
        outer = _read_bags(self._presets["bag"], found[0], self._preset_bags, self._preset_generators)
        return [zone for extra in _with_global(outer, _INSTRUMENT_ID) for zone in self._inner_zones(extra)]

    def sample_name(self, index: int) -> str:
        """Name of a sample."""
        return self.sample_heads[index]["name"].decode("latin-1")

    def play(self, zone: Zone, note: int, length_s: float) -> tuple[np.ndarray, int]:
        """A note (MIDI key) of a zone as ((n,) float32, rate)."""
        g = {**_DEFAULTS, **zone.generators}
        head = self.sample_heads[zone.sample]
        root = g[_ROOT] if g[_ROOT] >= 0 else int(head["key"])
        cents = (note - root) * g[_SCALE] + 100 * g.get(_COARSE, 0) + g.get(_FINE, 0) + int(head["cents"])
        sounding = play(self._sample(zone.sample, g.get(_MODES, 0)), cents / 100, _envelope(g), length_s)
        return _low_pass(sounding, int(head["rate"]), g[_FILTER]), int(head["rate"])

    def _sample(self, index: int, modes: int) -> Sample:
        head = self.sample_heads[index]
        start, loop = int(head["start"]), (int(head["loop_start"]), int(head["loop_end"]))
        samples = self._pcm[start : int(head["end"])].astype(np.float32) / 2**15
        looped = (loop[0] - start, min(loop[1] - start, len(samples))) if modes & 1 and loop[1] > loop[0] + 1 else None
        return Sample(self.sample_name(index), samples, float(head["rate"]), looped)

    def _inner_zones(self, extra: dict[int, int]) -> list[Zone]:
        inner = _read_bags(
            self._instruments["bag"], extra[_INSTRUMENT_ID], self._instrument_bags, self._instrument_generators
        )
        return [_merge(own, extra) for own in _with_global(inner, _SAMPLE_ID)]


def _merge(own: dict[int, int], extra: dict[int, int]) -> Zone:
    """An instrument's zone under a preset's zone: ranges meet, other generators add (SF2 section 9.4)."""
    not_added = {_KEYS, _VELOCITIES, _INSTRUMENT_ID, _SAMPLE_ID, _MODES, _ROOT}
    added = {
        kind: own.get(kind, _DEFAULTS.get(kind, 0)) + amount
        for kind, amount in extra.items()
        if kind not in not_added
    }
    ranges = []
    for kind in (_KEYS, _VELOCITIES):
        (low, high), (outer_low, outer_high) = _span(own.get(kind)), _span(extra.get(kind))
        ranges.append((max(low, outer_low), min(high, outer_high)))
    return Zone(ranges[0], ranges[1], own[_SAMPLE_ID], {**own, **added})


def _span(amount: int | None) -> tuple[int, int]:
    return (0, 127) if amount is None else (amount & 0xFF, (amount >> 8) & 0xFF)


def _with_global(bags: list[dict[int, int]], target: int) -> list[dict[int, int]]:
    """Zones that name a target, each over the first zone's generators where that one names none (the global zone)."""
    common = bags[0] if bags and target not in bags[0] else {}
    return [{**common, **bag} for bag in bags if target in bag]


def _read_bags(first: np.ndarray, index: int, bags: np.ndarray, generators: np.ndarray) -> list[dict[int, int]]:
    edges = bags["generator"][first[index] : first[index + 1] + 1].astype(int)
    return [
        {int(g["kind"]): int(g["amount"]) for g in generators[low:high]} for low, high in pairwise(edges)
    ]


def _envelope(g: dict[int, int]) -> Envelope:
    delay, attack, hold, decay, release = (2 ** (g[k] / 1200) for k in (_DELAY, _ATTACK, _HOLD, _DECAY, _RELEASE))
    return Envelope(delay, attack, hold, decay, np.clip(g.get(_SUSTAIN, 0) / 10, 0, 144), max(release, 0.02))


def _low_pass(samples: np.ndarray, rate: int, cutoff_cents: int) -> np.ndarray:
    cutoff = 8.176 * 2 ** (cutoff_cents / 1200)
    if cutoff > 0.45 * rate or cutoff_cents >= 13500:
        return samples
    return signal.sosfilt(signal.butter(2, cutoff, fs=rate, output="sos"), samples).astype(np.float32)


def _riff_chunks(path: Path) -> dict[bytes, tuple[int, int]]:
    """Chunks of a RIFF file that are no lists, by name: (offset, size) in bytes."""
    chunks: dict[bytes, tuple[int, int]] = {}
    with path.open("rb") as file:
        if file.read(4) != b"RIFF" or file.read(8)[4:] != b"sfbk":
            raise InstrumentError(f"{path.name} is no SoundFont 2 file; fetch its package again.")
        while len(head := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", head)
            if name == b"LIST":
                file.seek(4, 1)
                continue
            chunks[name] = (file.tell(), size)
            file.seek(size + size % 2, 1)
    return chunks


def _table(path: Path, chunk: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    with path.open("rb") as file:
        file.seek(chunk[0])
        return np.frombuffer(file.read(chunk[1]), dtype=dtype)
