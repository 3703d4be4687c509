"""How much data a gain takes: the formula, its claimed table, and the power that the exact test really has there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from scipy import stats

from semprop.bench.simulation.figures import Figure
from semprop.bench.simulation.scale import Scale
from semprop.engine.gates.signs import tails
from semprop.engine.statistics import items_needed, smallest_visible_gain

ALPHA = 0.05

NEEDED = {
    (0.1, 0.1): "60",
    (0.1, 0.2): "122",
    (0.1, 0.3): "184",
    (0.05, 0.1): "246",
    (0.05, 0.2): "493",
    (0.05, 0.3): "740",
    (0.02, 0.1): "1,544",
    (0.02, 0.2): "3,090",
    (0.02, 0.3): "4,636",
}
"""(gain, discordance) → items, one-sided α = .05, power 80 %."""

VISIBLE = {50: "15", 100: "11", 128: "9.7", 200: "7.8", 400: "5.5", 1_319: "3.1"}
"""Items → smallest gain in points at ρ = .2."""


def figures(scale: Scale) -> Iterator[Figure]:
    """The claimed sizes by the formula, and the exact test's power at them; nothing is drawn."""
    scale.say("sizes of samples …")
    table = "Items for a power of 80 %, one-sided α = .05: n = (1.645·√ρ + 0.842·√(ρ − Δ²))² / Δ²"
    for (gain, rho), claimed in NEEDED.items():
        what = f"Δ = {gain:g}, ρ = {rho:g}"
        n = items_needed(gain, rho)
        yield Figure(table=table, what=f"{what}: items by the formula", value=n, claimed=claimed)
        power = mcnemar_power(n, rho, gain)
        yield Figure(table=table, what=f"{what}: power of the exact test at {n} items", value=power, claimed="0.80")
        yield Figure(table=table, what=f"{what}: items that the exact test takes", value=exact_items(gain, rho, n))
    table = "Smallest gain that can be seen at ρ = .2, points"
    for n, claimed in VISIBLE.items():
        value = 100 * smallest_visible_gain(n, 0.2)
        yield Figure(table=table, what=f"{n:,} items", value=value, claimed=claimed)


def mcnemar_power(n: int, rho: float, gain: float, level: float = ALPHA) -> float:
    """P(one-sided exact McNemar p ≤ level), summed over how many items differ."""
    differing = np.arange(n + 1)
    chances = stats.binom.pmf(differing, n, rho)
    wins = (rho + gain) / 2 / rho
    power = 0.0
    for trials in differing[chances > 1e-12]:
        power += chances[trials] * stats.binom.sf(_critical(int(trials), level) - 1, trials, wins)
    return float(power)


@cache
def _critical(trials: int, level: float) -> int:
    """The fewest wins that are significant."""
    return int(np.argmax(tails(trials) <= level * (1 + 1e-9)))


def exact_items(gain: float, rho: float, start: int, power: float = 0.8) -> int:
    """The fewest items at which the exact test has this power; from `start` on, where it has less, it rises slowly."""
    low, high = start, start
    while mcnemar_power(high, rho, gain) < power:
        low, high = high, high + max(1, high // 20)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if mcnemar_power(middle, rho, gain) >= power else (middle, high)
    return high
