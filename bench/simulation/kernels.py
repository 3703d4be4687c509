"""The rules of the gates on very many boards at once, as array programs: what `engine.gates` decides row by row in some
milliseconds a race would take hours for all races of a simulation.

They take complete boards (no missing cells), contenders of equal length, and give the same winners, stops and cells as
the gates themselves; the tests and every simulation compare the two on random boards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semprop.engine.gates import ExactGate, Gate, NoGate, SequentialGate, StrictGate, Turn, TwoStageGate, level_at
from semprop.engine.gates.betting import MOST
from semprop.engine.gates.signs import tails

Boards = NDArray[np.float64]
"""(boards, contenders, items): scores, the incumbent's first."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of each board: the accepted contender (0: none), the gain at the stop of whoever was accepted, else
    0, and how many cells were measured; None where only the row-by-row rule can tell."""

    winners: Counts
    gains: NDArray[np.float64]
    cells: Counts | None = None


def decided(gate: Gate, boards: Boards, turn: Turn) -> Decided:
    """What this gate decides on every board."""
    match gate:
        case NoGate():
            winners = np.ones(len(boards), dtype=np.int64)
            return Decided(winners, np.zeros(len(boards)), np.zeros(len(boards), dtype=np.int64))
        case StrictGate():
            sums = np.round(boards.sum(axis=2), 9)
            return _best(boards, sums[:, 1:] > sums[:, :1])
        case ExactGate():
            return _best(boards, _significant(boards, level_at(gate.alpha, gate.spending, turn)))
        case TwoStageGate():
            good = _significant(boards, level_at(gate.alpha, gate.spending, turn))
            cut = math.ceil(gate.first * boards.shape[2])
            first = boards[:, :, :cut].sum(axis=2)
            return _best(boards, good & (first[:, 1:] > first[:, :1]))
        case SequentialGate():
            return _sequential(gate, boards, level_at(gate.alpha, gate.spending, turn))
        case _:
            raise TypeError(f"there is no array program for {gate!r}")


def _best(boards: Boards, good: NDArray[np.bool_]) -> Decided:
    """The best of the good ones by its mean over all items."""
    sums = np.round(boards.sum(axis=2), 9)
    ranked = np.where(good, sums[:, 1:], -np.inf)
    winners = np.where(good.any(axis=1), ranked.argmax(axis=1) + 1, 0)
    gains = (sums[np.arange(len(boards)), winners] - sums[:, 0]) / boards.shape[2]
    return Decided(winners, gains)


def _significant(boards: Boards, level: float) -> NDArray[np.bool_]:
    """McNemar's one-sided test; scores are 0 or 1."""
    count, items = boards.shape[1] - 1, boards.shape[2]
    share = level / count * (1 + 1e-9)
    critical = np.array([int(np.argmax(tails(trials) <= share)) for trials in range(items + 1)])
    differences = boards[:, 1:] - boards[:, :1]
    wins = (differences > 0).sum(axis=2)
    return np.asarray(wins >= critical[wins + (differences < 0).sum(axis=2)])


def _sequential(gate: SequentialGate, boards: Boards, level: float) -> Decided:
    """The race of bets, item after item, on all boards that are still open."""
    many, width, items = boards.shape
    count = width - 1
    bar = count / level
    against = _Bets(gate.delta, (many, count))
    pairs = _Bets(gate.delta, (many, count, count)) if count > 1 else None
    racing = np.ones((many, count), dtype=bool)
    winners, gains, cells = np.zeros(many, dtype=np.int64), np.zeros(many), np.zeros(many, dtype=np.int64)
    left = np.arange(many)
    for item in range(items):
        scores = boards[left, :, item]
        now = racing[left]
        cells[left] += 1 + now.sum(axis=1)
        wealth = against.add(left, scores[:, 1:] - scores[:, :1])
        won = now & (wealth >= bar)
        ended = won.any(axis=1)
        ranked = np.where(won, np.round(wealth, 9), -np.inf)
        first = ranked.argmax(axis=1) + 1
        winners[left[ended]] = first[ended]
        seen = boards[left[ended], :, : item + 1]
        gains[left[ended]] = seen[np.arange(len(seen)), first[ended]].mean(axis=1) - seen[:, 0].mean(axis=1)
        leaves = wealth <= gate.beta
        if pairs is not None:
            apart = pairs.add(left, scores[:, 1:, None] - scores[:, None, 1:])
            leaves |= ((apart >= bar) & now[:, :, None]).any(axis=1)
        now &= ~leaves
        racing[left] = now
        left = left[~ended & now.any(axis=1)]
        if not len(left):
            break
    return Decided(winners, gains, cells)


class _Bets:
    """K of `engine.gates.betting`, for an array of pairs; operation by operation the same, so the same to the bit."""

    def __init__(self, delta: float, shape: tuple[int, ...]) -> None:
        self._delta, self._rows = delta, 0
        self._squares, self._wealth = np.ones(shape), np.ones(shape)

    def add(self, boards: Counts, differences: NDArray[np.float64]) -> NDArray[np.float64]:
        """One item for these boards: their K."""
        stakes = np.minimum(self._delta * (4 + self._rows) / self._squares[boards], MOST)
        self._rows += 1
        wealth = self._wealth[boards] * (1 + stakes * differences)
        self._wealth[boards] = wealth
        self._squares[boards] += differences * differences
        return np.asarray(wealth)
