"""The union of the networks: the four systems of the paper's Table 1, and their checkpoints with torch."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from seld_overlap_ros.config import SOFT_DIRECTION, SystemConfig
from seld_overlap_ros.models.checkpoint import FORMAT, read_checkpoint
from seld_overlap_ros.models.gate import gate
from seld_overlap_ros.models.ssc_net import MelSscNet, SscNet
from seld_overlap_ros.models.ssl_net import SslNet
from seld_overlap_ros.models.sss_net import SssNet


class System(nn.Module):
    """SSL -> SSS (one, or two under the gate) -> SSC, for one query direction an item."""

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.config = config
        n_mics, n_dirs, width = config.array.n_microphones, len(config.azimuths), config.width
        self.ssl = SslNet(n_mics, n_dirs, width)
        self.sss = nn.ModuleList(SssNet(config) for _ in range(config.n_sss))
        n_classes, front_end = len(config.labels), config.front_end
        self.ssc = (
            MelSscNet(n_classes, width, config.mel_bands, front_end.n_bins, front_end.sample_rate)
            if config.mel_bands else SscNet(n_classes, width)
        )

    def localize(self, features: Tensor) -> Tensor:
        """Features (B, 2M-1, F, T) -> probability of a sound per direction (B, D)."""
        return torch.sigmoid(self.ssl(features))

    def query(self, direction_prob: Tensor, direction: Tensor) -> Tensor:
        """The query rule: g e_q (B, D) from probabilities (B, D) and indices q (B,); g = p_q, or 1 for a hard map."""
        one_hot = nn.functional.one_hot(direction, direction_prob.shape[1]).to(direction_prob.dtype)
        return one_hot * direction_prob if self.config.system in SOFT_DIRECTION else one_hot

    def separate(self, features: Tensor, direction_gain: Tensor) -> Tensor:
        """Features (B, 2M-1, F, T) and g e_q (B, D) -> separated log magnitude (B, F, T)."""
        separated = torch.stack([sss(features, direction_gain) for sss in self.sss], dim=1)  # (B, N, F, T)
        return gate(separated) if len(self.sss) > 1 else separated[:, 0]

    def forward(self, features: Tensor, direction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, 2M-1, F, T), a query q (B,) each -> SSL's (B, D), separated (B, F, T), SSC's logits (B, C)."""
        ssl_logits = self.ssl(features)
        separated = self.separate(features, self.query(torch.sigmoid(ssl_logits), direction))
        return ssl_logits, separated, self.ssc(separated)

    def keep_only(self, networks: Collection[str]) -> None:
        """Free all networks but those of `ssl`, `sss.0`, `sss.1` and `ssc` that are named."""
        if "ssl" not in networks:
            self.ssl = nn.Identity()
        for n in range(len(self.sss)):
            if f"sss.{n}" not in networks:
                self.sss[n] = nn.Identity()
        if "ssc" not in networks:
            self.ssc = nn.Identity()


def save_model(path: Path, system: System, training: dict) -> None:
    """Write weights, configuration and the training record (plain JSON values) to `path`.

    Weights are stored as 16-bit floats, half the size at no loss that scores show; engines read them as 32 bits.
    The same system and record give the same file.
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
    path.write_bytes(_in_order(save(tensors, metadata)))


def _in_order(file: bytes) -> bytes:
    """A safetensors file with its metadata in the order of their names: safetensors has another one every time."""
    size = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format's alignment of what follows
    return len(text).to_bytes(8, "little") + text + file[8 + size :]


def load_model(name_or_path: str | Path, networks: Collection[str] | None = None) -> System:
    """A shipped name or a file -> `System` in eval mode, with `networks` alone or all. Raises CheckpointError."""
    checkpoint = read_checkpoint(name_or_path, networks)
    system = System(checkpoint.config)
    if networks is not None:
        system.keep_only(networks)
    system.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in checkpoint.tensors.items()})
    return system.eval()
