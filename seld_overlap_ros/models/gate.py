"""The gate: where the two separations of the overlapped system meet (paper, Section 3)."""

from __future__ import annotations

import torch
from torch import Tensor


def gate_weights(separated: Tensor) -> Tensor:
    """Softmax over the separations, per time-frequency bin: (B, N, F, T) -> (B, N, F, T), summing to 1 over N."""
    return torch.softmax(separated, dim=1)


def gate(separated: Tensor) -> Tensor:
    """S = sum_n w_n S_n with w from `gate_weights`: (B, N, F, T) -> (B, F, T)."""
    return (gate_weights(separated) * separated).sum(dim=1)
