"""How this process gets its memory."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # <malloc.h>


def keep_freed_memory() -> bool:
    """Let malloc keep what is freed, for arrays of the same size again and again. True if this C library can (glibc).

    Otherwise every large array is fresh memory from the kernel, a page fault for every 4 KiB of it: a training step
    of the overlapped system took 1.5 to 1.8 times as long (P/4, one thread, a busy machine).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
