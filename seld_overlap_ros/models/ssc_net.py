"""Sound source classification (SSC): what one separated sound is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seld_overlap_ros.dsp.features import FLOOR_DB
from seld_overlap_ros.models.blocks import conv_classifier, scaled

MEL_BLOCKS = ((64,), (128,), (256, 256), (512, 512), (1024, 1024))  # channels at width 1, a MaxPool2 after each block
MEL_LOWEST_HZ = 30.0
MEL_DROPOUT = 0.4


class SscNet(nn.Module):
    """Log magnitude of one source (B, F, T) -> logits (B, C) (paper, Fig. 2)."""

    def __init__(self, n_classes: int, width: float) -> None:
        super().__init__()
        self.layers = conv_classifier(1, n_classes, width)

    def forward(self, source: Tensor) -> Tensor:
        """(B, F, T) -> (B, C)."""
        return self.layers(source[:, None])


class MelSscNet(nn.Module):
    """As SscNet, on mel bands, deeper where the picture is small, and with mean and maximum over time at the end.

    Mel bands make it cheaper and keep a pitch's shape wherever it lies; it generalises better from few recordings.
    """

    def __init__(self, n_classes: int, width: float, n_bands: int, n_bins: int, sample_rate: int) -> None:
        super().__init__()
        if n_bands % 2 ** len(MEL_BLOCKS):
            raise ValueError(f"mel bands must be a multiple of {2 ** len(MEL_BLOCKS)}, got {n_bands}")
        self.register_buffer("filters", mel_filters(n_bands, n_bins, sample_rate), persistent=False)
        layers, n_in = [], 1
        for block in MEL_BLOCKS:
            for channels in block:
                n_next = scaled(channels, width)
                layers += [nn.Conv2d(n_in, n_next, 3, padding=1, bias=False), nn.BatchNorm2d(n_next), nn.ReLU()]
                n_in = n_next
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers)
        n_features = 2 * n_in * n_bands // 2 ** len(MEL_BLOCKS)
        self.head = nn.Sequential(nn.Dropout(MEL_DROPOUT), nn.Linear(n_features, n_classes))

    def forward(self, source: Tensor) -> Tensor:
        """(B, F, T) -> (B, C)."""
        bands = self.mel(source)[:, None].contiguous(memory_format=torch.channels_last)  # (B, 1, bands, T)
        x = self.layers(bands).flatten(1, 2)  # (B, N bands/32, T/32)
        return self.head(torch.cat([x.mean(dim=-1), x.amax(dim=-1)], dim=1))

    def mel(self, source: Tensor) -> Tensor:
        """Normalised log magnitude (B, F, T) -> that of mel bands (B, bands, T), in the same [0, 1]."""
        with torch.autocast(source.device.type, enabled=False):  # powers span 24 decades
            power = torch.pow(10.0, FLOOR_DB / 10 * (source.float() - 1))
            return torch.log10(self.filters @ power + 10 ** (-FLOOR_DB / 10)) * (10 / FLOOR_DB) + 1


def mel_filters(n_bands: int, n_bins: int, sample_rate: int) -> Tensor:
    """Triangles (bands, F) over the bins below the Nyquist frequency, each of sum 1 (O'Shaughnessy's mel scale)."""
    def mel(hz: Tensor) -> Tensor:
        return 2595 * torch.log10(1 + hz / 700)

    ends = torch.linspace(*mel(torch.tensor([MEL_LOWEST_HZ, sample_rate / 2])).tolist(), n_bands + 2)
    edges = 700 * (10 ** (ends / 2595) - 1)
    bins = torch.arange(n_bins) * (sample_rate / 2 / n_bins)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clamp(min=0)
    # where bands are narrower than bins, a band takes the bin nearest to its centre
    nearest = nn.functional.one_hot((bins - centre).abs().argmin(dim=1), n_bins)
    triangles = torch.where(triangles.sum(dim=1, keepdim=True) > 0, triangles, nearest)
    return (triangles / triangles.sum(dim=1, keepdim=True)).float()
