"""Sound source separation (SSS): the spectrogram of the sound from one asked direction."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.dsp.steering import beams, likeness_scale, steps_before
from seld_overlap_ros.models.layout import DECODER_CHANNELS, ENCODER_CHANNELS, LEAK, scaled

DROPOUT = 0.5  # in the first three decoder stages


def encoder_stage(n_in: int, n_out: int) -> nn.Sequential:
    """Halve F and T: Conv3x3 stride 2, BN, LeakyReLU."""
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, 2, padding=1), nn.BatchNorm2d(n_out), nn.LeakyReLU(LEAK))


def decoder_stage(n_in: int, n_out: int, dropout: float) -> nn.Sequential:
    """Double F and T: ConvTranspose2x2 stride 2, BN, ReLU, and dropout where docs/reading.md has it."""
    layers = [nn.ConvTranspose2d(n_in, n_out, 2, 2), nn.BatchNorm2d(n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(dropout)) if dropout else nn.Sequential(*layers)


class DirectionMap(nn.Module):
    """The paper's input of SSS: all features, and a plane of one value for each direction, the query rule's map."""

    def forward(self, features: Tensor, direction_gain: Tensor, first: nn.Conv2d) -> Tensor:
        """Features (B, 2M-1, F, T) and gains g e_q (B, D) -> what the first convolution makes of both (B, N, F/2, T/2).

        The planes are not laid out, as copying them took much of a training step. After a 3 x 3 convolution, stride 2,
        a plane of one value is one value still, but in the first row and column, where the kernel reaches over an edge.
        """
        n_features, (n_f, n_t) = features.shape[1], features.shape[-2:]
        seen = functional.conv2d(features, first.weight[:, :n_features], first.bias, first.stride, first.padding)
        small = direction_gain[:, :, None, None].expand(-1, -1, 4, 4)  # large enough for an edge and an inside
        edges = functional.conv2d(small, first.weight[:, n_features:], None, first.stride, first.padding)  # (B,N,2,2)
        rows, columns = (torch.eye(2, device=edges.device, dtype=edges.dtype)[torch.arange(n // 2).clamp(max=1)]
                         for n in (n_f, n_t))
        return seen + torch.einsum("bnij,fi,tj->bftn", edges, rows, columns).permute(0, 3, 1, 2)


class Steering(nn.Module):
    """The input of a steered SSS: the log magnitude, and how much each bin sounds like each direction, the asked first.

    The others follow counter-clockwise, so that a turn of everything heard, and of the query, changes nothing.
    """

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        factor, offset = likeness_scale(config)
        for name, values in {"beams": beams(config), "factor": factor[:, None], "offset": offset[:, None],
                             "asked": steps_before(len(config.azimuths))}.items():
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def forward(self, features: Tensor, direction_gain: Tensor, first: nn.Conv2d) -> Tensor:
        """Features (B, 2M-1, F, T) and gains g e_q (B, D) -> what the first convolution makes of them."""
        return first(self.planes(features, direction_gain))

    def planes(self, features: Tensor, direction_gain: Tensor) -> Tensor:
        """Features (B, 2M-1, F, T) and gains g e_q (B, D) -> (B, 1 + D, F, T), all but the first times g."""
        x = features.permute(0, 2, 3, 1)  # (B, F, T, 2M-1)
        gains = direction_gain[:, self.asked]  # (B, D, D): of plane k, that of direction d
        planes = torch.einsum("bftd,bkd->bftk", self.likeness(x), gains)
        return torch.cat([x[..., :1], planes], dim=3).permute(0, 3, 1, 2)

    def likeness(self, x: Tensor) -> Tensor:
        """Features (B, F, T, 2M-1) -> likeness to each direction (B, F, T, D): 1 for it, 0 on average, at least -1."""
        with torch.autocast(x.device.type, enabled=False):  # beams to all azimuths are much alike at low frequencies
            real, imaginary = (x[..., 1:].float() @ self.beams[:, 1:] + self.beams[:, :1]).chunk(2, dim=3)
            return ((real**2 + imaginary**2) * self.factor + self.offset).clamp(-1, 1)


class SssNet(nn.Module):
    """Mask U-Net: features and an asked direction -> log magnitude of the source (B, F, T)."""

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.sight = Steering(config) if config.steered else DirectionMap()
        encoder = [scaled(c, config.width) for c in ENCODER_CHANNELS]
        decoder = [scaled(c, config.width) for c in DECODER_CHANNELS]
        ins = [config.n_sss_planes, *encoder[:-1]]
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
        first, *rest = self.encoder[0]
        skips = [nn.Sequential(*rest)(self.sight(features, direction_gain, first))]
        for stage in self.encoder[1:]:
            skips.append(stage(skips[-1]))
        x = self.decoder[0](skips.pop())
        for stage in self.decoder[1:]:
            x = stage(torch.cat([x, skips.pop()], dim=1))
        mask = torch.sigmoid(self.mask(torch.cat([x, skips.pop()], dim=1)))
        return mask[:, 0] * features[:, 0]  # (B, F, T)
