"""What a training step computes in."""

from __future__ import annotations

from pathlib import Path

import torch

BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # what Linux calls it, on x86 and on ARM
CPUINFO = Path("/proc/cpuinfo")


def precision() -> str:
    """Lightning's name of it: bf16 by autocast where the GPU, or without one the CPU, computes in that; else f32."""
    has_gpu = torch.cuda.is_available()
    fast = torch.cuda.get_device_capability() >= (8, 0) if has_gpu else cpu_has_bf16()  # older GPUs emulate it
    return "bf16-mixed" if fast else "32-true"


def cpu_has_bf16() -> bool:
    """Whether the CPU computes in bf16.

    One that does not takes up to twice as long for it as for f32 (AVX-512), or 4 to 5 times (AVX2).
    """
    return CPUINFO.is_file() and not BF16.isdisjoint(CPUINFO.read_text().split())
