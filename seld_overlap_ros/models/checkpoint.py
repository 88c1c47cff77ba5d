"""One file carries a system: weights, configuration, labels, array, and how it was trained. Nothing is unpickled."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.models.system import System

FORMAT = "seld_overlap/1"
SUFFIX = ".safetensors"


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
    folder = resources.files("seld_overlap_ros") / "weights"
    return sorted(f.name[: -len(SUFFIX)] for f in folder.iterdir() if f.name.endswith(SUFFIX))


def find_model(name_or_path: str | Path) -> Path:
    """Path of a shipped model's name or of a file. Raises CheckpointError if there is neither."""
    path = Path(name_or_path)
    if path.is_file():
        return path
    if str(name_or_path) in shipped_models():
        return Path(str(resources.files("seld_overlap_ros") / "weights" / f"{name_or_path}{SUFFIX}"))
    names = ", ".join(shipped_models()) or "none"
    raise CheckpointError(f"no model {str(name_or_path)!r}: give a {SUFFIX} file or a shipped name ({names})")


def _read(path: Path) -> tuple[dict, dict]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is no whole safetensors file ({error}); fetch or train it again") from error


def read_training_record(name_or_path: str | Path) -> dict:
    """How a model was trained, as its training wrote it down."""
    metadata, _ = _read(find_model(name_or_path))
    return json.loads(metadata.get("training", "{}"))


def load_model(name_or_path: str | Path) -> System:
    """The one door to a trained system: a shipped name or a file -> `System` in eval mode. Raises CheckpointError."""
    path = find_model(name_or_path)
    metadata, tensors = _read(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path.name} is no {FORMAT} checkpoint (format: {metadata.get('format')!r}); "
                              "save it with seld_overlap_ros.models.checkpoint.save_model")
    try:
        system = System(SystemConfig.from_dict(json.loads(metadata["config"])))
        system.load_state_dict({name: tensor.float() if tensor.is_floating_point() else tensor
                                for name, tensor in tensors.items()})
    except (KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path.name}: weights and configuration do not fit ({str(error).splitlines()[0]}); "
                              "use the file as it was saved") from error
    return system.eval()
