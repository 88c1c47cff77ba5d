"""Layers that more than one network is made of."""

from __future__ import annotations

from torch import nn

from seld_overlap_ros.models.layout import CLASSIFIER_CHANNELS, CLASSIFIER_HIDDEN, scaled

DROPOUT = 0.3


def conv_classifier(n_in: int, n_out: int, width: float) -> nn.Sequential:
    """8 x (Conv3x3, BN, ReLU, MaxPool2), Flatten, FC, ReLU, dropout, FC: (B, n_in, 256, 256) -> (B, n_out) logits."""
    layers: list[nn.Module] = []
    for channels in CLASSIFIER_CHANNELS:
        n_next = scaled(channels, width)
        layers += [nn.Conv2d(n_in, n_next, 3, padding=1), nn.BatchNorm2d(n_next), nn.ReLU(), nn.MaxPool2d(2)]
        n_in = n_next
    hidden = scaled(CLASSIFIER_HIDDEN, width)
    layers += [nn.Flatten(), nn.Linear(n_in, hidden), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(hidden, n_out)]
    return nn.Sequential(*layers)
