"""One file carries a system: weights, configuration, labels, array, and how it was trained. Nothing is unpickled.

What a file claims is held against what it has before anything is built from it, so that a strange, truncated or
tampered file is refused in one sentence, and takes no more memory than its own size.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.models.system import System

FORMAT = "seld_overlap/1"
SUFFIX = ".safetensors"
SHA256SUMS = "SHA256SUMS"  # beside the shipped weights, as `sha256sum *.safetensors` writes it
MAX_HEADER = 2**22  # bytes: configuration, training record and the list of tensors; 30 kB is usual
PLANE = (256, 256)  # F and T that the networks are built for
STORED_AS = {torch.float32: ("F16", "BF16", "F32"), torch.int64: ("I64",)}  # by type in the network


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says why and what to do."""


def save_model(path: Path, system: System, training: dict) -> None:
    """Write weights, configuration and the training record (plain JSON values) to `path`.

    Weights are stored as 16-bit floats, half the size at no loss that scores show; `load_model` computes in 32 bits.
    """
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in system.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "config": json.dumps(system.config.to_dict()),
        "training": json.dumps(training),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata)


def shipped_models() -> list[str]:
    """Names that `load_model` knows without a path."""
    return sorted(path.name.removesuffix(SUFFIX) for path in _weights().glob(f"*{SUFFIX}"))


def sha256(path: Path) -> str:
    """SHA-256 of a file, as `sha256sum` says it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def find_model(name_or_path: str | Path) -> Path:
    """Path of a shipped model's name or of a file.

    Raises CheckpointError if there is neither, or if shipped weights are not those that were shipped.
    """
    path = Path(name_or_path)
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
    """How a model was trained, as its training wrote it down. Raises CheckpointError."""
    path = find_model(name_or_path)
    return _decode(path, _open(path).metadata() or {}, "training")


def load_model(name_or_path: str | Path) -> System:
    """The one door to a trained system: a shipped name or a file -> `System` in eval mode. Raises CheckpointError."""
    path = find_model(name_or_path)
    file = _open(path)
    metadata = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path.name} is no {FORMAT} checkpoint (format: {metadata.get('format')!r}); "
                              "save it with seld_overlap_ros.models.checkpoint.save_model")
    try:
        config = SystemConfig.from_dict(_decode(path, metadata, "config"))
        _check_planes(config)
        with _NoMemory():
            expected = System(config).state_dict()
        _check_claims(file, expected)
        system = System(config)
        system.load_state_dict({name: _tensor(file, name) for name in expected})
        if not all(buffer.isfinite().all() for buffer in system.buffers()):
            raise ValueError("the configuration leads to filters that are no finite numbers")
    except CheckpointError:
        raise
    except (ValueError, ArithmeticError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path.name}: weights and configuration do not fit ({str(error).splitlines()[0]}); "
                              "use the file as it was saved") from error
    return system.eval()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


class _NoMemory(TorchFunctionMode):
    """Weights that are made in this context have a shape and no memory. (`torch.device("meta")` takes it from all.)"""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Torch's hook."""
        return func(*args, **{**(kwargs or {}), **({"device": "meta"} if func is torch.empty else {})})


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
        return safe_open(path, framework="pt")
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


def _check_planes(config: SystemConfig) -> None:
    plane = (config.front_end.n_bins, config.front_end.n_frames)
    if plane != PLANE:
        raise ValueError(f"the networks are built for {PLANE} bins and frames, and the front end has {plane}")
    if config.mel_bands > config.front_end.n_bins:
        raise ValueError(f"{config.mel_bands} mel bands are more than there are bins")
    if not all(math.isfinite(azimuth) for azimuth in config.azimuths):
        raise ValueError("every azimuth must be a finite number of radians")


def _check_claims(file: safe_open, expected: dict[str, Tensor]) -> None:
    """Raises ValueError unless the file has just the tensors that the networks need, in their shapes and types."""
    names = set(file.keys())
    if names != set(expected):
        odd = min(names ^ set(expected))
        raise ValueError(f"{odd!r} is {'too much' if odd in names else 'missing'}")
    for name, tensor in expected.items():
        stored = file.get_slice(name)
        if list(stored.get_shape()) != list(tensor.shape) or stored.get_dtype() not in STORED_AS[tensor.dtype]:
            raise ValueError(f"{name!r} is {stored.get_dtype()} of shape {stored.get_shape()}, not "
                             f"{STORED_AS[tensor.dtype][0]} of {list(tensor.shape)}")


def _tensor(file: safe_open, name: str) -> Tensor:
    """A tensor with numbers that a network can compute with; those of 16 bits in 32."""
    tensor = file.get_tensor(name)
    if tensor.is_floating_point():
        tensor = tensor.float()
        if not tensor.isfinite().all() or (name.endswith("running_var") and (tensor < 0).any()):
            raise ValueError(f"{name!r} holds what is no finite number, or a variance below 0")
    return tensor
