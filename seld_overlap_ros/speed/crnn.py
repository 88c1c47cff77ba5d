"""What a user would pick instead for where and what: a network of the usual SELD kind, as large as a common baseline.

Its layers have the sizes of the baseline of DCASE 2023, task 3 (four microphones, multi-ACCDOA), in code of our own.
Its weights are random: it is here for what it costs. It separates nothing.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from itertools import combinations

import numpy as np
import torch
from scipy import fft
from scipy.signal.windows import hann
from torch import Tensor, nn

from seld_overlap_ros.dsp.mel import mel_filters

N_MICROPHONES, N_CLASSES, N_TRACKS = 4, 13, 3
BANDS = 64  # of mel, and lags of a pair of microphones
FRAME_S, HOP_S = 0.04, 0.02
CHANNELS = 64
POOLS = ((5, 4), (1, 4), (1, 2))  # time, band
HIDDEN, HEADS = 128, 8


class Crnn(nn.Module):
    """Features (B, 10, T, 64) -> three tracks of ACCDOA vectors (B, T/5, 117)."""

    def __init__(self) -> None:
        super().__init__()
        n_in, layers = N_MICROPHONES + len(pairs()), []
        for pool in POOLS:
            layers += [nn.Conv2d(n_in, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU(), nn.MaxPool2d(pool)]
            n_in = CHANNELS
        self.convolutions = nn.Sequential(*layers)
        n_bands = BANDS // math.prod(band for _, band in POOLS)
        self.gru = nn.GRU(CHANNELS * n_bands, HIDDEN, 2, batch_first=True, bidirectional=True)
        self.attention = nn.ModuleList(nn.MultiheadAttention(HIDDEN, HEADS, batch_first=True) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(HIDDEN) for _ in range(2))
        self.head = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 3 * N_TRACKS * N_CLASSES), nn.Tanh())

    def forward(self, features: Tensor) -> Tensor:
        """(B, 10, T, 64) -> (B, T/5, 117)."""
        x = self.convolutions(features).transpose(1, 2).flatten(2)  # (B, T/5, 64 x 2)
        forward, backward = torch.tanh(self.gru(x)[0]).chunk(2, dim=-1)
        x = forward * backward  # (B, T/5, 128)
        for attention, norm in zip(self.attention, self.norms, strict=True):
            x = norm(x + attention(x, x, x, need_weights=False)[0])
        return self.head(x)


def pairs() -> list[tuple[int, int]]:
    """Of microphones."""
    return list(combinations(range(N_MICROPHONES), 2))


def crnn_features(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Window (4, n) -> log mel of each microphone, and of each pair the lags of GCC-PHAT: (10, T, 64) float32."""
    n_frame, hop = round(FRAME_S * sample_rate), round(HOP_S * sample_rate)
    n_fft = 2 ** (n_frame - 1).bit_length()
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_frame, axis=-1)[:, ::hop]
    spectrum = fft.rfft(frames * hann(n_frame, sym=False).astype(np.float32), n_fft)  # (4, T, bins)
    filters = mel_filters(BANDS, spectrum.shape[-1] - 1, sample_rate).T  # (bins - 1, 64)
    mel = np.log10(np.abs(spectrum[..., :-1]) ** 2 @ filters + np.float32(1e-10))  # (4, T, 64)
    one, other = (spectrum[list(side)] for side in zip(*pairs(), strict=True))  # (6, T, bins)
    cross = one * other.conj()
    lags = fft.irfft(cross / (np.abs(cross) + np.float32(1e-10)))  # (6, T, n_fft)
    around = np.concatenate([lags[..., -BANDS // 2 :], lags[..., : BANDS // 2]], axis=-1)
    return np.concatenate([mel, around]).astype(np.float32)


def by_torch() -> Callable[[np.ndarray], object]:
    """The network as PyTorch runs it: features (10, T, 64) in."""
    network = Crnn().eval()

    @torch.inference_mode()
    def run(features: np.ndarray) -> Tensor:
        return network(torch.from_numpy(features)[None])

    return run


def by_openvino(features: np.ndarray, precision: str) -> Callable[[np.ndarray], object]:
    """The same network by OpenVINO, for features of that shape."""
    import openvino  # not everywhere

    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is on its way out, and there is no other way yet that takes a GRU
        traced = torch.jit.trace(Crnn().eval(), torch.from_numpy(features)[None], check_trace=False)
    settings = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(openvino.convert_model(traced), "CPU", settings)
    request = compiled.create_infer_request()
    return lambda given: request.infer([given[None]])[0]
