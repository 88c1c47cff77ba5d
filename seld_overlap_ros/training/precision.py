"""What a training step computes in."""

from __future__ import annotations

from pathlib import Path

import torch

BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # what Linux calls it, on x86 and on ARM
CPUINFO = Path("/proc/cpuinfo")


def precision() -> str:
    """Lightning's name of it: bf16 by autocast where the GPU, or without one the CPU, computes in that; else f32.

    A CPU that does not takes up to twice as long for bf16 as for f32 (AVX-512), or 4 to 5 times (AVX2).
    """
    if torch.cuda.is_available():
        fast = torch.cuda.get_device_capability() >= (8, 0)  # older ones emulate it
    else:
        fast = CPUINFO.is_file() and not BF16.isdisjoint(CPUINFO.read_text().split())
    return "bf16-mixed" if fast else "32-true"
