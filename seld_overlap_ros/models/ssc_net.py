"""Sound source classification (SSC): what one separated sound is."""

from __future__ import annotations

from torch import Tensor, nn

from seld_overlap_ros.models.blocks import conv_classifier


class SscNet(nn.Module):
    """Log magnitude of one source (B, F, T) -> logits (B, C) (paper, Fig. 2)."""

    def __init__(self, n_classes: int, width: float) -> None:
        super().__init__()
        self.layers = conv_classifier(1, n_classes, width)

    def forward(self, source: Tensor) -> Tensor:
        """(B, F, T) -> (B, C)."""
        return self.layers(source[:, None])
