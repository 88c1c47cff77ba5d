"""Layers that more than one network is made of."""

from __future__ import annotations

from torch import nn

CLASSIFIER_CHANNELS = (64, 64, 128, 128, 256, 256, 512, 512)  # paper scale P
HIDDEN = 1024
DROPOUT = 0.3


def scaled(channels: int, width: float) -> int:
    """Channel count at a width factor; at least 1."""
    return max(1, round(channels * width))


def conv_classifier(n_in: int, n_out: int, width: float) -> nn.Sequential:
    """8 x (Conv3x3, BN, ReLU, MaxPool2), Flatten, FC, ReLU, dropout, FC: (B, n_in, 256, 256) -> (B, n_out) logits."""
    layers: list[nn.Module] = []
    for channels in CLASSIFIER_CHANNELS:
        n_next = scaled(channels, width)
        layers += [nn.Conv2d(n_in, n_next, 3, padding=1), nn.BatchNorm2d(n_next), nn.ReLU(), nn.MaxPool2d(2)]
        n_in = n_next
    hidden = scaled(HIDDEN, width)
    layers += [nn.Flatten(), nn.Linear(n_in, hidden), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(hidden, n_out)]
    return nn.Sequential(*layers)
