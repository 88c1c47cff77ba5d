"""One file carries a system: weights, configuration, labels, array, and how it was trained. Nothing is unpickled.

What a file claims is held against what it has before anything is built from it, so that a strange, truncated or
tampered file is refused in one sentence, and takes no more memory than its own size. No torch in here: system.py
writes such files, and every engine reads them through here.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Collection
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.dsp.mel import mel_filters
from seld_overlap_ros.dsp.steering import likeness_scale
from seld_overlap_ros.models.layout import COUNTER, Shapes, network_names, shapes

FORMAT = "seld_overlap/1"
SUFFIX = ".safetensors"
SHA256SUMS = "SHA256SUMS"  # beside the shipped weights, as `sha256sum *.safetensors` writes it
MAX_HEADER = 2**22  # bytes: configuration, training record and the list of tensors; 30 kB is usual
MAX_TRAININGS = 100  # that a record tells of, each gone on from the next
MOST = 1e9  # minutes or cores of a stage
PLANE = (256, 256)  # F and T that the networks are built for


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A file that was looked at and found good: what it is, and weights."""

    path: Path
    config: SystemConfig
    tensors: dict[str, np.ndarray]  # by name, those of the networks that were asked for; weights float32

    @property
    def n_parameters(self) -> int:
        """Numbers that training finds."""
        kept = (COUNTER, "running_mean", "running_var")
        return sum(tensor.size for name, tensor in self.tensors.items() if not name.endswith(kept))


def shipped_models() -> list[str]:
    """Names that `find_model` knows without a path."""
    return sorted(path.name.removesuffix(SUFFIX) for path in _weights().glob(f"*{SUFFIX}"))


def sha256(path: Path) -> str:
    """SHA-256 of a file, as `sha256sum` says it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def find_model(name_or_path: str | Path) -> Path:
    """Path of a shipped model's name or of a file.

    Raises CheckpointError if there is neither, or if shipped weights are not those that were shipped.
    """
    path = Path(name_or_path).expanduser()
    if _is_file(path):
        return path
    if str(name_or_path) in shipped_models():
        path = _weights() / f"{name_or_path}{SUFFIX}"
        sums = _weights() / SHA256SUMS
        if not sums.is_file() or f"{sha256(path)}  {path.name}" not in sums.read_text().splitlines():
            raise CheckpointError(f"{path.name} is not the file that {SHA256SUMS} beside it names: install it again, "
                                  f"or, for new weights, run `sha256sum *{SUFFIX} > {SHA256SUMS}` there")
        return path
    names = ", ".join(shipped_models()) or "none"
    raise CheckpointError(f"no model {str(name_or_path)[:200]!r}: give a {SUFFIX} file or a shipped name ({names})")


def read_training_record(name_or_path: str | Path) -> dict:
    """How a model was trained, as its training wrote it down. Raises CheckpointError.

    What it has of `recipe`, `seed`, `mixtures`, `stages` and `start` is of the kind that `train` writes; any may lack.
    """
    path = find_model(name_or_path)
    record = _decode(path, _open(path).metadata() or {}, "training")
    try:
        _check_record(record)
    except ValueError as error:
        raise CheckpointError(f"{path.name}: its training is no record of one ({error}); use the file as it was "
                              "saved") from error
    return record


def read_checkpoint(name_or_path: str | Path, networks: Collection[str] | None = None) -> Checkpoint:
    """A shipped name or a file -> its configuration and weights, those of `networks` (of layout.network_names) or all.

    Raises CheckpointError. All of the file is held against the configuration, whatever is asked for.
    """
    path = find_model(name_or_path)
    file = _open(path)
    metadata = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path.name} is no {FORMAT} checkpoint (format: {metadata.get('format')!r}); "
                              "save it with seld_overlap_ros.models.system.save_model")
    try:
        config = SystemConfig.from_dict(_decode(path, metadata, "config"))
        check_config(config)
        expected = shapes(config)
        _check_claims(file, expected)
        _check_steering(config)
        wanted = tuple(f"{name}." for name in (network_names(config) if networks is None else networks))
        return Checkpoint(path, config, {name: _tensor(file, name) for name in expected if name.startswith(wanted)})
    except CheckpointError:
        raise
    except (ValueError, ArithmeticError, SafetensorError) as error:
        raise CheckpointError(f"{path.name}: weights and configuration do not fit ({str(error).splitlines()[0]}); "
                              "use the file as it was saved") from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _weights() -> Path:
    return Path(str(resources.files("seld_overlap_ros"))) / "weights"


def _open(path: Path) -> safe_open:
    """Read a file's header, if it is of a sane size. The tensors stay on disk."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
        if len(start) == 8 and struct.unpack("<Q", start)[0] > MAX_HEADER:
            raise CheckpointError(f"{path.name} is no whole safetensors file (its header claims more than {MAX_HEADER} "
                                  "bytes); fetch or train it again")
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is no whole safetensors file ({error}); fetch or train it again") from error


def _decode(path: Path, metadata: dict, name: str) -> dict:
    """A JSON object of the metadata; {} where there is none."""
    try:
        values = json.loads(metadata.get(name, "{}"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name}: its {name} is no JSON ({error}); use the file as it was saved") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path.name}: its {name} is no JSON object; use the file as it was saved")
    return values


def _check_record(record: dict) -> None:
    """Raises ValueError where a training record, or one that it went on from, is not as `train` writes it."""
    for _ in range(MAX_TRAININGS):
        recipe = _object(record, "recipe")
        if not isinstance(recipe.get("name", ""), str):
            raise ValueError("the recipe's name is no text")
        for name in ("seed", "mixtures"):
            if type(record.get(name, 0)) is not int or not 0 <= record.get(name, 0) < 2**64:
                raise ValueError(f"{name} is no whole number of 64 bits")
        stages = _object(record, "stages")
        for stage in stages:
            _check_cost(_object(stages, stage))
        if "start" not in record:
            return
        start = _object(record, "start")
        if "training" not in start:
            raise ValueError("start has no training")
        record = _object(start, "training")
    raise ValueError(f"it goes on from more than {MAX_TRAININGS} others")


def _check_cost(stage: dict) -> None:
    for name in ("minutes", "cores", "processes"):
        value = stage.get(name, 0)
        if type(value) not in (int, float) or not 0 <= value < MOST:
            raise ValueError(f"{name} of a stage is no number from 0 to {MOST:g}")


def _object(values: dict, name: str) -> dict:
    """An entry that is to be a JSON object; {} where there is none."""
    if not isinstance(values.get(name, {}), dict):
        raise ValueError(f"{name[:40]!r} is no JSON object")
    return values.get(name, {})


def check_config(config: SystemConfig) -> None:
    """Raises ValueError for a system that no checkpoint can be of."""
    front_end, n_bands = config.front_end, config.mel_bands
    plane = (front_end.n_bins, front_end.n_frames)
    if plane != PLANE:
        raise ValueError(f"the networks are built for {PLANE} bins and frames, and the front end has {plane}")
    if n_bands > front_end.n_bins:
        raise ValueError(f"{n_bands} mel bands are more than there are bins")
    if n_bands > 0 and not np.isfinite(mel_filters(n_bands, front_end.n_bins, front_end.sample_rate)).all():
        raise ValueError("the configuration leads to filters that are no finite numbers")


def _check_steering(config: SystemConfig) -> None:
    """Of directions and microphones that the file has weights for, as it takes memory for each."""
    if not config.steered:
        return
    with np.errstate(all="ignore"):
        finite = np.isfinite(likeness_scale(config)).all()
    if not finite:
        raise ValueError("the configuration leads to beams that are no finite numbers")


def _check_claims(file: safe_open, expected: Shapes) -> None:
    """Raises ValueError unless the file has just the tensors that the networks need, in their shapes and types."""
    names = set(file.keys())
    if names != set(expected):
        odd = min(names ^ set(expected))
        raise ValueError(f"{odd!r} is {'too much' if odd in names else 'missing'}")
    for name, shape in expected.items():
        stored, kinds = file.get_slice(name), ("I64",) if name.endswith(COUNTER) else ("F16", "F32")
        if tuple(stored.get_shape()) != shape or stored.get_dtype() not in kinds:
            raise ValueError(f"{name!r} is {stored.get_dtype()} of shape {stored.get_shape()}, not "
                             f"{kinds[0]} of {list(shape)}")


def _tensor(file: safe_open, name: str) -> np.ndarray:
    """A tensor with numbers that a network can compute with; those of 16 bits in 32."""
    tensor = file.get_tensor(name)
    if name.endswith(COUNTER):
        return tensor
    tensor = tensor.astype(np.float32)
    if not np.isfinite(tensor).all() or (name.endswith("running_var") and (tensor < 0).any()):
        raise ValueError(f"{name!r} holds what is no finite number, or a variance below 0")
    return tensor
