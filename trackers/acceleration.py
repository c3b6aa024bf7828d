"""The choice between NumPy and compiled functions, made once, when `trackers` is imported.

Some functions take most of the time of an update. Each is written in NumPy where it belongs, and marked `accelerated`.
`trackers.compiled` holds its equal of the same name, compiled by numba, which the extra ``fast`` brings. Both return
the same to the bit, so that nothing but the time depends on the choice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from types import ModuleType

Function = TypeVar("Function", bound=Callable[..., Any])

NUMPY: dict[str, Callable[..., Any]] = {}
"""The functions in NumPy that may have been replaced, by name."""


def accelerated(function: Function) -> Function:
    """Return the compiled equal of `function`; itself without numba, or with ``NUMBA_DISABLE_JIT=1``."""
    NUMPY[function.__name__] = function
    chosen: Function = getattr(_compiled(), function.__name__) if _compiled() else function
    return chosen


@cache
def _compiled() -> ModuleType | None:
    """Return the compiled functions, None where they cannot be compiled."""
    try:
        from numba import config

        return None if config.DISABLE_JIT else import_module("trackers.compiled")
    except (ImportError, OSError, RuntimeError):
        # Without numba, with one that does not fit this NumPy, or without a folder to keep what is compiled in: to
        # compile all at each start would take longer than most runs gain.
        return None
