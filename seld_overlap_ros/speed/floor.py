"""The least that a window could cost here: the arithmetic and the bytes of every stage, over what was measured.

Arithmetic is the multiplications (MACs) of the networks' layers and of the Fourier transforms; that of logarithms and
roots is left out. Bytes are what each layer reads and writes once, its weights among them; all that stands between two
layers (batch norm, activation, pooling, concatenation) counts as done on the way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.models.layout import ENCODER_CHANNELS, scaled
from seld_overlap_ros.models.system import System

F32 = 4  # bytes a number
WIDTHS = {"f32": 4, "f16": 2, "bf16": 2}


@dataclass(frozen=True)
class Work:
    """What is to be done."""

    macs: float
    bytes: float

    def __add__(self, other: Work) -> Work:
        return Work(self.macs + other.macs, self.bytes + other.bytes)

    def __sub__(self, other: Work) -> Work:
        return self + other * -1

    def __mul__(self, times: float) -> Work:
        return Work(times * self.macs, times * self.bytes)


def stage_works(config: SystemConfig, precision: str) -> dict[str, Work]:
    """Stage -> work on one window and one query; SSS is that of all SSS of the system, and the gate."""
    width = WIDTHS[precision]
    plane = (config.front_end.n_bins, config.front_end.n_frames)
    system = System(config).eval()
    sss, planes = system.sss[0], likeness_work(config)
    if not config.steered:
        sss.sight, planes = LaidOutMap(), planes_work(config, width) * -1
    x = torch.zeros(1, 2 * config.array.n_microphones - 1, *plane)
    gain, source = torch.zeros(1, len(config.azimuths)), torch.zeros(1, *plane)
    return {
        "features": features_work(config),
        "ssl": network_work(system.ssl, (x,), width),
        "sss": (network_work(sss, (x, gain), width) + planes) * config.n_sss,
        "ssc": network_work(system.ssc, (source,), width),
        "resynthesis": resynthesis_work(config),
    }


def network_work(network: nn.Module, inputs: tuple[Tensor, ...], width: int) -> Work:
    """The work of the layers that multiply, with numbers of so many bytes."""
    found: list[Work] = []

    def look(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        per_channel = layer.weight.numel() / layer.weight.shape[0]  # of the output; of the input where transposed
        places = given[0] if isinstance(layer, nn.ConvTranspose2d) else output
        touched = given[0].numel() + layer.weight.numel() + output.numel()
        found.append(Work(places.numel() * per_channel, width * touched))

    hooks = [layer.register_forward_hook(look) for layer in network.modules()
             if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))]
    with torch.inference_mode():
        network(*inputs)
    for hook in hooks:
        hook.remove()
    return sum(found, Work(0, 0))


class LaidOutMap(nn.Module):
    """As sss_net.DirectionMap, its planes laid out as in the paper: what the counts of docs/reading.md are of."""

    def forward(self, features: Tensor, direction_gain: Tensor, first: nn.Conv2d) -> Tensor:
        """See DirectionMap."""
        planes = direction_gain[:, :, None, None].expand(-1, -1, *features.shape[-2:])
        return first(torch.cat([features, planes], dim=1))


def likeness_work(config: SystemConfig) -> Work:
    """Of what a steered SSS sees, its share: it is the same for all SSS of the system. In 32 bits, to be exact."""
    n_directions, plane = len(config.azimuths), config.front_end.n_bins * config.front_end.n_frames
    beams = 2 * (config.n_features - 1) * n_directions  # all but the magnitude, to real and imaginary
    macs = plane * (beams + n_directions**2)  # and the turn to the asked direction
    return Work(macs, F32 * plane * (config.n_features + n_directions)) * (1 / config.n_sss)


def planes_work(config: SystemConfig, width: int) -> Work:
    """What SSS spends on the planes that say which direction is asked; as each is of one value, nobody need do it."""
    plane, n_directions = config.front_end.n_bins * config.front_end.n_frames, len(config.azimuths)
    per_plane = 9 * scaled(ENCODER_CHANNELS[0], config.width) * plane // 4  # 3 x 3, stride 2
    return Work(n_directions * per_plane, width * n_directions * plane)


def features_work(config: SystemConfig) -> Work:
    """From samples of all microphones to what the networks see."""
    front_end, n_mics = config.front_end, config.array.n_microphones
    planes = (2 * n_mics - 1) * front_end.n_bins * front_end.n_frames
    samples = n_mics * front_end.window_samples
    return Work(n_mics * front_end.n_frames * _transform_macs(front_end.n_fft), F32 * (samples + planes))


def resynthesis_work(config: SystemConfig) -> Work:
    """From one separated spectrum and the mixture's to samples."""
    front_end = config.front_end
    planes = 3 * front_end.n_bins * front_end.n_frames  # one is complex
    return Work(front_end.n_frames * _transform_macs(front_end.n_fft), F32 * (planes + front_end.window_samples))


def _transform_macs(n: int) -> float:
    """Of a Fourier transform of n real numbers: 2.5 n log2 n operations (FFTW's count), two of them a MAC."""
    return 1.25 * n * math.log2(n)
