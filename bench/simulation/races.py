"""Single races: level, power, calls saved, and by how much the gain at the stop overstates.

Winners come from the array programs; `checked` boards of each setting are decided by the gates themselves, which gives
the calls saved, and the count of boards on which the two differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from semprop.bench.simulation.draws import binary, generator, graded
from semprop.bench.simulation.figures import Figure, mean, share
from semprop.bench.simulation.kernels import Boards, decided
from semprop.bench.simulation.rows import raced, rows_of
from semprop.bench.simulation.scale import Scale
from semprop.engine.gates import ExactGate, Gate, SequentialGate, StrictGate, Turn, TwoStageGate

BATCH = 2_000


class Claims(NamedTuple):
    """What was claimed of acceptance, calls saved, and the overstatement at the stop in points; empty: nothing."""

    accepted: str = ""
    saved: str = ""
    bias: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is raced: a gate on `items` items, candidates of these true gains, discordance ρ."""

    gate: Gate
    words: str
    gains: tuple[float, ...]
    items: int = 200
    rho: float = 0.2
    turn: Turn = Turn()
    claims: Claims = Claims()

    @property
    def label(self) -> str:
        """Gate, true gain, N and ρ (or E[d²], where scores are graded)."""
        true = f"true {100 * self.gains[0]:+g}" if self.gains[0] else "null"
        others = f" and {len(self.gains) - 1} nulls" if len(self.gains) > 1 else ""
        spread = f"ρ = {self.rho:g}" if self.rho >= GRADED else "graded, E[d²] = .075"
        return f"{self.words}; {true}{others}, N = {self.items}, {spread}"


GRADED = 0.08
"""A mean square of differences below this marks graded scores; no 0/1 setting here has so small a discordance."""

TEN, FIVE = SequentialGate(), SequentialGate(delta=0.05)
S10, S05 = "sequential δ = .10", "sequential δ = .05"

CLAIMS: Mapping[tuple[str, float], Claims] = {
    ("strict", 0.0): Claims(accepted="0.44–0.49"),
    (S10, 0.0): Claims(accepted="0.034", saved="0.68", bias="13.6"),
    (S05, 0.0): Claims(saved="0.20"),
    (S10, 0.05): Claims(accepted="0.25", bias="7.9"),
    (S10, 0.1): Claims(accepted="0.72", saved="0.58", bias="4.1"),
    ("exact", 0.05): Claims(accepted="0.42"),
    ("exact", 0.1): Claims(accepted="0.93"),
    (S05, 0.05): Claims(accepted="0.19"),
}

ONE = (
    *(
        Setting(gate, words, (gain,), claims=CLAIMS.get((words, gain), Claims()))
        for gain in (0.0, 0.02, 0.05, 0.1)
        for gate, words in (
            (StrictGate(), "strict"),
            (ExactGate(), "exact"),
            (TwoStageGate(), "two-stage"),
            (TEN, S10),
            (FIVE, S05),
        )
    ),
    Setting(FIVE, S05, (0.0,), rho=0.075),
    Setting(FIVE, S05, (0.05,), rho=0.075, claims=Claims(accepted="0.65")),
)

LARGE = tuple(
    Setting(gate, words, (gain,), items=1_000)
    for gain in (0.0, 0.02, 0.05)
    for gate, words in ((ExactGate(), "exact"), (TwoStageGate(), "two-stage"), (FIVE, S05))
)

STEP = tuple(
    Setting(gate, words, (gain, 0.0, 0.0, 0.0), turn=Turn(1, 20))
    for gain in (0.05, 0.1)
    for gate, words in (
        (StrictGate(), "strict"),
        (ExactGate(), "exact"),
        (TwoStageGate(), "two-stage"),
        (TEN, S10),
    )
)


def figures(scale: Scale) -> Iterator[Figure]:
    """The tables of single races."""
    for table, settings in (
        ("Races of one candidate against the incumbent at α = .05", ONE),
        ("The same with more items", LARGE),
        ("One step of twenty, one good candidate among four, α = .05 over the run", STEP),
    ):
        unlike: list[int] = []
        for setting in settings:
            scale.say(f"races: {setting.label} …")
            yield from _setting(table, setting, scale, unlike)
        what = "boards on which the gate itself, row by row, differs from its array program"
        yield Figure(table=table, what=what, value=sum(unlike), n=len(unlike), claimed="0")


def _setting(table: str, setting: Setting, scale: Scale, unlike: list[int]) -> Iterator[Figure]:
    winners, gains, cells, saved = [], [], [], []
    full = setting.items * (len(setting.gains) + 1)
    left = scale.checked
    for start in range(0, scale.races, BATCH):
        boards = drawn(setting, scale.seed, start, min(BATCH, scale.races - start))
        found = decided(setting.gate, boards, setting.turn)
        winners.append(found.winners)
        gains.append(found.gains)
        if found.cells is not None:
            cells.append(1 - found.cells / full)
        for index in range(min(left, len(boards))):
            verdict, measured = raced(setting.gate, rows_of(boards[index]), setting.turn)
            unlike.append(int(verdict.winner != found.winners[index]))
            saved.append(1 - measured / full)
            left -= 1
    accepted = np.concatenate(winners)
    row = Figure(table=table, what=setting.label, value=0.0)
    value, error = share(accepted == 1)
    what = "accepted the good one" if setting.gains[0] else "false acceptances"
    yield _named(row, what, value, error, scale.races, setting.claims.accepted)
    if setting.gains[0] and len(setting.gains) > 1:
        value, error = share(accepted > 1)
        yield _named(row, "accepted a null", value, error, scale.races)
    kept = np.concatenate(cells) if cells else np.array(saved)
    value, error = mean(kept)
    yield _named(row, "calls saved against all", value, error, len(kept), setting.claims.saved)
    over = 100 * (np.concatenate(gains)[accepted == 1] - setting.gains[0])
    value, error = mean(over)
    yield _named(row, "gain at the stop overstates by, points", value, error, len(over), setting.claims.bias)


def _named(row: Figure, what: str, value: float, error: float, n: int, claimed: str = "") -> Figure:
    return replace(row, what=f"{row.what}: {what}", value=value, error=error, n=n, claimed=claimed)


def drawn(setting: Setting, seed: int, start: int, many: int) -> Boards:
    """Boards of a setting: the same for every gate, so that gates are compared on the same races."""
    random = generator(seed, "races", setting.gains, setting.items, setting.rho, start)
    if setting.rho < GRADED:
        return graded(random, many, setting.items, setting.gains[0], setting.rho)
    return binary(random, many, setting.items, setting.gains, setting.rho)
