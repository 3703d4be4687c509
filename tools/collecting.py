"""How the garbage collector works while a command runs: a setting of the process, so the library leaves it alone."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collecting_less() -> Iterator[None]:
    """What is imported stays for good, and a run makes few cycles: looking through both at every turn costs a tenth of
    the engine's time or more, and its pauses hit everything in flight."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
