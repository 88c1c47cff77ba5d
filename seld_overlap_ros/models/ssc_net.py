"""Sound source classification (SSC): what one separated sound is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seld_overlap_ros.dsp.features import FLOOR_DB
from seld_overlap_ros.dsp.mel import FAINTEST_DB, FRAMES, RANGE_DB, mel_filters
from seld_overlap_ros.models.blocks import conv_classifier
from seld_overlap_ros.models.layout import MEL_BLOCKS, mel_heights, scaled

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

    It generalises better from few recordings: mel bands keep a pitch's shape wherever it lies, and a sound's level and
    what lies far below it, such as what is left of other sounds, are not seen. Frames two by two make it cheaper.
    """

    def __init__(self, n_classes: int, width: float, n_bands: int, n_bins: int, sample_rate: int) -> None:
        super().__init__()
        rows = mel_heights(n_bands)
        filters = torch.from_numpy(mel_filters(n_bands, n_bins, sample_rate))
        self.register_buffer("filters", filters, persistent=False)
        layers, n_in = [], 1
        for block in MEL_BLOCKS:
            for channels in block:
                n_next = scaled(channels, width)
                layers += [nn.Conv2d(n_in, n_next, 3, padding=1, bias=False), nn.BatchNorm2d(n_next), nn.ReLU()]
                n_in = n_next
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(MEL_DROPOUT), nn.Linear(2 * n_in * rows, n_classes))

    def forward(self, source: Tensor) -> Tensor:
        """(B, F, T) -> (B, C)."""
        bands = self.mel(source)[:, None].contiguous(memory_format=torch.channels_last)  # (B, 1, bands, T/2)
        x = self.layers(bands).flatten(1, 2)  # (B, N bands/32, T/64)
        return self.head(torch.cat([x.mean(dim=-1), x.amax(dim=-1)], dim=1))

    def mel(self, source: Tensor) -> Tensor:
        """Normalised log magnitude (B, F, T) -> level of mel bands (B, bands, T/2), 1 the highest, 0 RANGE_DB below."""
        with torch.autocast(source.device.type, enabled=False):  # powers span 24 decades
            power = torch.pow(10.0, FLOOR_DB / 10 * (source.float() - 1)).unflatten(2, (-1, FRAMES)).mean(dim=3)
            level_db = 10 * torch.log10(self.filters @ power + 10 ** (-FLOOR_DB / 10))
            highest = level_db.amax(dim=(1, 2), keepdim=True).clamp(min=FAINTEST_DB)
            return ((level_db - highest) / RANGE_DB + 1).clamp(min=0)
