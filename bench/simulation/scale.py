"""How large a simulation is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes and seed.

    Attributes:
        runs: simulated runs a regime.
        races: simulated races a setting.
        checked: boards a setting that the gates themselves decide, row by row.
        seed: of all draws.
        say: told what begins.
    """

    runs: int = 10_000
    races: int = 20_000
    checked: int = 400
    seed: int = 0
    say: Callable[[str], None] = lambda _: None
