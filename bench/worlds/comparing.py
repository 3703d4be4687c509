"""Methods against the joint one over paired seeds: what was seen, and whether it was predicted. Pure.

The unit is the seed (statistics reference, 14): an exact paired sign-flip test; a tie is shown by two one-sided t tests
at ±5 points. What is neither is "unclear".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scipy.stats import t as student

from semprop.bench.worlds.methods import JOINT
from semprop.bench.worlds.predictions import MARGIN, Word
from semprop.bench.worlds.running import BUDGETS, Cell

UNCLEAR = "unclear"
LEVEL = 0.05
SEEDS_NEEDED = 6
"""Fewer seeds cannot reach p ≤ .05 by sign flips, and the spread of so few that fall alike says nothing: no word."""
OUTCOMES = ("advice", "score")


def exact_sign_flip(differences: Sequence[float]) -> float:
    """Two-sided p of the paired sign-flip test over all 2^n signs, by the distribution of the sums."""
    whole = [round(each * 1e6) for each in differences if abs(each) > 1e-9]
    sums: Counter[int] = Counter({0: 1})
    for each in whole:
        following: Counter[int] = Counter()
        for total, ways in sums.items():
            following[total + each] += ways
            following[total - each] += ways
        sums = following
    bar = abs(sum(whole)) - len(whole)
    extreme = sum(ways for total, ways in sums.items() if abs(total) >= bar)
    return float(extreme / 2 ** len(whole))


def is_tie(differences: Sequence[float], margin: float = MARGIN) -> bool:
    """Two one-sided t tests at 5 %: is the mean difference within the margin? Needs six seeds."""
    count = len(differences)
    if count < SEEDS_NEEDED:
        return False
    mean = sum(differences) / count
    spread = math.sqrt(sum((each - mean) ** 2 for each in differences) / (count - 1) / count)
    reach = float(student.ppf(1 - LEVEL, count - 1)) * spread
    return mean - reach > -margin and mean + reach < margin


def seen(differences: Sequence[float]) -> str:
    """Win, tie or lose of the joint method, or unclear."""
    if not differences:
        return UNCLEAR
    if is_tie(differences):
        return Word.TIE
    if exact_sign_flip(differences) <= LEVEL:
        return Word.WIN if sum(differences) > 0 else Word.LOSE
    return UNCLEAR


@dataclass(frozen=True, slots=True)
class Against:
    """The joint method against another in one outcome: mean difference (joint − other), p, the word seen, and the word
    predicted ("" where nothing was)."""

    outcome: str
    pairs: int
    difference: float
    p: float
    seen: str
    predicted: str


@dataclass(frozen=True, slots=True)
class Row:
    """A method on a world at one L0, over seeds.

    Attributes:
        loss: mean held-out loss; `low`, `high` its 95 % interval over seeds (t).
        advice: mean share of cases in which following all advice makes the step right; None if it advises nothing.
        repaired: of the runs, those repaired within each budget of calls; the rest of the `seeds` are censored.
    """

    world: str
    method: str
    scale: str
    seeds: int
    before: float
    loss: float
    low: float
    high: float
    advice: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    repaired: Mapping[int, int] = field(hash=False)
    censored: int
    calls: float
    tokens: float
    against: tuple[Against, ...]


Predicted = Mapping[tuple[str, str, str, str], str]
"""(world, method, L0, outcome) → word."""


def rows(cells: Iterable[Cell], predicted: Predicted) -> tuple[Row, ...]:
    """One row for every world, L0 and method, in the order of the cells."""
    groups: dict[tuple[str, str], dict[str, list[Cell]]] = {}
    for cell in cells:
        groups.setdefault((cell.world, cell.scale), {}).setdefault(cell.method, []).append(cell)
    return tuple(
        _row(mine, methods.get(JOINT, []), predicted) for methods in groups.values() for mine in methods.values()
    )


def _row(cells: Sequence[Cell], joint: Sequence[Cell], predicted: Predicted) -> Row:
    first, count = cells[0], len(cells)
    losses = [1 - cell.after for cell in cells]
    mean = sum(losses) / count
    reach = _reach(losses)
    shares = [cell.validity.share for cell in cells if cell.validity.share is not None]
    total = sum((cell.verdicts for cell in cells[1:]), cells[0].verdicts)
    repaired = {
        budget: sum(cell.repaired is not None and cell.repaired <= budget for cell in cells) for budget in BUDGETS
    }
    key = (first.world, first.method, first.scale)
    against = (
        ()
        if first.method == JOINT or not joint
        else tuple(_against(outcome, joint, cells, predicted.get((*key, outcome), "")) for outcome in OUTCOMES)
    )
    return Row(
        world=first.world,
        method=first.method,
        scale=first.scale,
        seeds=count,
        before=sum(cell.before for cell in cells) / count,
        loss=mean,
        low=max(0.0, mean - reach),
        high=min(1.0, mean + reach),
        advice=sum(shares) / len(shares) if shares else None,
        precision=total.precision,
        recall=total.recall,
        f1=total.f1,
        repaired=repaired,
        censored=sum(cell.repaired is None for cell in cells),
        calls=sum(cell.calls for cell in cells) / count,
        tokens=sum(cell.tokens for cell in cells) / count,
        against=against,
    )


def _reach(values: Sequence[float]) -> float:
    count = len(values)
    if count < 2:
        return 1.0
    mean = sum(values) / count
    spread = math.sqrt(sum((each - mean) ** 2 for each in values) / (count - 1) / count)
    return float(student.ppf(0.975, count - 1)) * spread


def _against(outcome: str, joint: Sequence[Cell], other: Sequence[Cell], predicted: str) -> Against:
    theirs = {cell.seed: _value(cell, outcome) for cell in other}
    differences = [
        mine - their
        for cell in joint
        if (their := theirs.get(cell.seed)) is not None and (mine := _value(cell, outcome)) is not None
    ]
    count = len(differences)
    return Against(
        outcome,
        count,
        sum(differences) / count if count else 0.0,
        exact_sign_flip(differences) if count else 1.0,
        seen(differences),
        predicted,
    )


def _value(cell: Cell, outcome: str) -> float | None:
    return cell.validity.share if outcome == "advice" else cell.after


@dataclass(frozen=True, slots=True)
class Agreement:
    """Predictions against what was seen, for one outcome: (predicted, seen) → how often."""

    outcome: str
    counts: Mapping[tuple[str, str], int] = field(hash=False)

    def share(self, word: str, *, of: str) -> tuple[int, int]:
        """Of the comparisons that were "predicted" (or "seen") as this word, how many were seen (predicted) so."""
        both = self.counts.get((word, word), 0)
        index = 0 if of == "predicted" else 1
        return both, sum(count for key, count in self.counts.items() if key[index] == word)

    @property
    def agreeing(self) -> tuple[int, int]:
        """How many comparisons came out as predicted, of all that had a prediction."""
        return sum(self.counts.get((word, word), 0) for word in Word), sum(self.counts.values())


def agreements(table: Iterable[Row]) -> tuple[Agreement, ...]:
    """Agreement in each outcome, over all comparisons that had a prediction and pairs."""
    found: dict[str, Counter[tuple[str, str]]] = {outcome: Counter() for outcome in OUTCOMES}
    for row in table:
        for each in row.against:
            if each.predicted and each.pairs:
                found[each.outcome][str(each.predicted), str(each.seen)] += 1
    return tuple(Agreement(outcome, dict(sorted(counts.items()))) for outcome, counts in found.items())
