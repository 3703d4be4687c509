"""Phases whose answers nobody waits for: their requests may go by batches, as many as there are. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from semprop.engine.training.driver import Stage

OPEN = 16_384
"""Requests, and items, that may be open at once where nobody waits for the answers."""

_INCLUDED = {"test": ("constrained", "agreement")}


def phases(named: Sequence[str]) -> tuple[str, ...]:
    """The phases of positions that named ones are: the test has parts of its own."""
    return tuple(phase for name in named for phase in (name, *_INCLUDED.get(name, ())))


def widened(stage: Stage, named: Sequence[str], phase: str) -> Stage:
    """The stage with as many items open as a batch may hold, if this phase goes by batches. A decided step that is
    replayed item by item stays so."""
    return replace(stage, window=max(stage.window, OPEN)) if phase in named and stage.window > 1 else stage
