"""Memory that a training frees stays with its process: the next step asks for as much again."""

from __future__ import annotations

import ctypes
import sys

# Of glibc's malloc.h. The largest threshold is that of an int.
_TRIM_THRESHOLD, _MMAP_MAX, _NEVER = -1, -4, 2**31 - 1


def keep_memory() -> bool:
    """Have malloc keep what is freed in this process, from now on; False where the C library is not glibc.

    glibc gives large arrays back to the system and gets them anew, page by page, in every step on a processor.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version") or not hasattr(library, "mallopt"):
        return False
    return bool(library.mallopt(_TRIM_THRESHOLD, _NEVER) and library.mallopt(_MMAP_MAX, 0))
