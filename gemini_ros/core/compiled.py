"""Kernels compiled by numba where it is installed; every kernel has an equal numpy path beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compile_kernel(function: Callable, signature: Callable[[Any], Any]) -> Callable | None:
    """``function`` compiled now, or ``None`` where numba is not installed.

    ``signature`` makes the numba signature from ``numba.types``: it is given so that nothing is compiled on a frame.
    A division by zero is infinite, as in numpy. numba is imported here only, since its import alone takes a second.
    """
    try:
        import numba
    except ImportError:
        return None
    try:
        return numba.njit(signature(numba.types), cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no place for the cache: neither __pycache__ nor the user's cache directory can be written
        return numba.njit(signature(numba.types), nogil=True, error_model="numpy")(function)
