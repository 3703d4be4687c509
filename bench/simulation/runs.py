"""Runs of many steps in which no candidate is any better: how many accept something, and what they report for it.

Every step races k candidates on the gate items. Where the items are re-used, the accepted candidate's scores on them
become the bar; where they are fresh, the incumbent is measured anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from semprop.bench.simulation.draws import BASE, binary, generator, successors
from semprop.bench.simulation.figures import Figure, mean, share
from semprop.bench.simulation.kernels import decided
from semprop.bench.simulation.scale import Scale
from semprop.engine.gates import ExactGate, Gate, SequentialGate, Spending, StrictGate, Turn, TwoStageGate

STEPS, CANDIDATES, ITEMS, RHO = 20, 4, 200, 0.2
BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Regime:
    """A gate, and whether every step has gate items of its own; with the figures claimed for it."""

    gate: Gate
    fresh: bool
    words: str
    accepted: str = ""
    gain: str = ""


EACH = Spending.EACH
REGIMES = (
    Regime(StrictGate(), False, "strict", "1.0", "12.3"),
    Regime(StrictGate(), True, "strict"),
    Regime(ExactGate(spending=EACH), False, "exact, α = .05 at each step"),
    Regime(ExactGate(spending=EACH), True, "exact, α = .05 at each step"),
    Regime(ExactGate(), False, "exact, α = .05 over the run"),
    Regime(ExactGate(), True, "exact, α = .05 over the run"),
    Regime(TwoStageGate(), True, "two-stage, α = .05 over the run"),
    Regime(SequentialGate(spending=EACH), True, "sequential, δ = .10, α = .05 at each step"),
    Regime(SequentialGate(), False, "sequential, δ = .10, α = .05 over the run", "0.013"),
    Regime(SequentialGate(), True, "sequential, δ = .10, α = .05 over the run", "0.013"),
    Regime(SequentialGate(delta=0.05), True, "sequential, δ = .05, α = .05 over the run"),
    Regime(SequentialGate(spending=Spending.SQUARES), True, "sequential, δ = .10, α_t = 6α/(π²t²)"),
)


def figures(scale: Scale) -> Iterator[Figure]:
    """Each regime's share of runs with a false acceptance, and the mean gain that they report."""
    sizes = f"T = {STEPS} steps, k = {CANDIDATES} candidates, {ITEMS} gate items, ρ = {RHO}"
    table = f"Runs in which nothing is better: {sizes}"
    for regime in REGIMES:
        scale.say(f"runs: {regime.words}, {'fresh' if regime.fresh else 're-used'} items …")
        accepted, gains = simulated(regime, scale)
        words = f"{regime.words}; {'fresh items a step' if regime.fresh else 'one set of items'}"
        hits, error = share(accepted > 0)
        row = Figure(table=table, what=f"{words}: runs with a false acceptance", value=hits, error=error)
        yield replace(row, n=scale.runs, claimed=regime.accepted)
        value, error = mean(100 * gains)
        row = Figure(table=table, what=f"{words}: mean reported gain, points (true: 0)", value=value, error=error)
        yield replace(row, n=scale.runs, claimed=regime.gain)


def simulated(regime: Regime, scale: Scale) -> tuple[np.ndarray, np.ndarray]:
    """Acceptances and reported gain of each run: the sum of the gate's gains at its stops."""
    counts, gains = [], []
    for start in range(0, scale.runs, BATCH):
        many = min(BATCH, scale.runs - start)
        random = generator(scale.seed, "runs", start)
        accepted, gained = np.zeros(many, dtype=np.int64), np.zeros(many)
        incumbent = (random.random((many, 1, ITEMS)) < BASE).astype(np.float64)
        for step in range(1, STEPS + 1):
            if regime.fresh:
                boards = binary(random, many, ITEMS, (0.0,) * CANDIDATES, RHO)
            else:
                candidates = successors(random, incumbent, (0.0,) * CANDIDATES, RHO)
                boards = np.concatenate([incumbent, candidates], axis=1)
            found = decided(regime.gate, boards, Turn(step, STEPS))
            accepted += found.winners > 0
            gained += found.gains
            incumbent = boards[np.arange(many), found.winners][:, None]
        counts.append(accepted)
        gains.append(gained)
    return np.concatenate(counts), np.concatenate(gains)
