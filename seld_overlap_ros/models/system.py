"""The union of the networks: the four systems of the paper's Table 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.models.gate import gate
from seld_overlap_ros.models.ssc_net import MelSscNet, SscNet
from seld_overlap_ros.models.ssl_net import SslNet
from seld_overlap_ros.models.sss_net import SssNet

# Systems whose SSS learnt from SSL's own score; the others were trained on, and get, a hard 1 (query rule).
SOFT_DIRECTION = ("ssl_sss", "overlap", "one_sss")


class System(nn.Module):
    """SSL -> SSS (one, or two under the gate) -> SSC, for one query direction an item."""

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.config = config
        n_mics, n_dirs, width = config.array.n_microphones, len(config.azimuths), config.width
        n_sss = 2 if config.system == "overlap" else 1
        self.ssl = SslNet(n_mics, n_dirs, width)
        self.sss = nn.ModuleList(SssNet(n_mics, n_dirs, width) for _ in range(n_sss))
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

    def keep_only(self, network: str) -> None:
        """Free all networks but one of `ssl`, `sss.0`, `sss.1` and `ssc`, for a process that runs a single stage."""
        if network != "ssl":
            self.ssl = nn.Identity()
        for n in range(len(self.sss)):
            if network != f"sss.{n}":
                self.sss[n] = nn.Identity()
        if network != "ssc":
            self.ssc = nn.Identity()
