"""Sound source separation (SSS): the spectrogram of the sound from one asked direction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seld_overlap_ros.models.layout import DECODER_CHANNELS, ENCODER_CHANNELS, scaled

DROPOUT = 0.5  # in the first three decoder stages


def encoder_stage(n_in: int, n_out: int) -> nn.Sequential:
    """Halve F and T: Conv3x3 stride 2, BN, LeakyReLU."""
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, 2, padding=1), nn.BatchNorm2d(n_out), nn.LeakyReLU(0.2))


def decoder_stage(n_in: int, n_out: int, dropout: float) -> nn.Sequential:
    """Double F and T: ConvTranspose2x2 stride 2, BN, ReLU, and dropout where the spec has it."""
    layers = [nn.ConvTranspose2d(n_in, n_out, 2, 2), nn.BatchNorm2d(n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(dropout)) if dropout else nn.Sequential(*layers)


class SssNet(nn.Module):
    """Mask U-Net: features and a direction map (B, 2M-1 + D, F, T) -> log magnitude of the source (B, F, T)."""

    def __init__(self, n_microphones: int, n_directions: int, width: float) -> None:
        super().__init__()
        encoder = [scaled(c, width) for c in ENCODER_CHANNELS]
        decoder = [scaled(c, width) for c in DECODER_CHANNELS]
        ins = [2 * n_microphones - 1 + n_directions, *encoder[:-1]]
        self.encoder = nn.ModuleList(encoder_stage(i, o) for i, o in zip(ins, encoder, strict=True))
        skips = encoder[-2::-1]  # the encoder's outputs from deep to shallow, the deepest left out
        ins = [encoder[-1], *(d + s for d, s in zip(decoder[:-1], skips, strict=False))]
        dropouts = [DROPOUT] * 3 + [0.0] * 2
        self.decoder = nn.ModuleList(
            decoder_stage(i, o, p) for i, o, p in zip(ins, decoder, dropouts, strict=True)
        )
        self.mask = nn.ConvTranspose2d(decoder[-1] + skips[-1], 1, 2, 2)

    def forward(self, features: Tensor, direction_gain: Tensor) -> Tensor:
        """(B, 2M-1, F, T) and gains g e_q (B, D), the query rule's map -> (B, F, T) in [0, 1]."""
        planes = direction_gain[:, :, None, None].expand(-1, -1, *features.shape[-2:])  # (B, D, F, T)
        x = torch.cat([features, planes.to(features.dtype)], dim=1)
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        x = self.decoder[0](skips.pop())
        for stage in self.decoder[1:]:
            x = stage(torch.cat([x, skips.pop()], dim=1))
        mask = torch.sigmoid(self.mask(torch.cat([x, skips.pop()], dim=1)))
        return mask[:, 0] * features[:, 0]  # (B, F, T)
