"""Sound source localization (SSL): which of D directions hold a sound."""

from __future__ import annotations

from torch import Tensor, nn

from seld_overlap_ros.models.blocks import conv_classifier


class SslNet(nn.Module):
    """Features (B, 2M-1, F, T) -> logits (B, D), one per direction (paper, Fig. 2)."""

    def __init__(self, n_microphones: int, n_directions: int, width: float) -> None:
        super().__init__()
        self.layers = conv_classifier(2 * n_microphones - 1, n_directions, width)

    def forward(self, features: Tensor) -> Tensor:
        """(B, 2M-1, F, T) -> (B, D)."""
        return self.layers(features)
