"""The sequential gate: candidates raced over shared items by tests by betting, with one evaluation of the incumbent.

It looks after every item. It accepts candidate j once K_j ≥ k/α_t, lets j leave once K_j ≤ β ("a gain of δ is
unlikely") or another candidate is better than j by the same bar, and keeps the incumbent when the items are used up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from semprop.engine.gates.betting import Bet
from semprop.engine.gates.board import Board, Decision, Fold, Hole, Need, Row, Verdict
from semprop.engine.gates.columns import Column, prefers
from semprop.engine.gates.exact import ALPHA
from semprop.engine.gates.levels import Spending, check_share, level_at

BETA, DELTA = 0.1, 0.1


@dataclass(frozen=True, slots=True)
class SequentialGate:
    """Stops as soon as the evidence is clear, at any item, and keeps its level all the same.

    Attributes:
        alpha: the chance of accepting something false, over the whole run or as `spending` says.
        beta: a candidate whose K falls to this leaves: free for the level, costs power; 0: none leaves early.
        delta: the smallest gain worth having, as a share (0.1: ten points).
        spending: how α is spent over the steps.
    """

    alpha: float = ALPHA
    beta: float = BETA
    delta: float = DELTA
    spending: Spending = Spending.EVEN
    name: str = "sequential"

    def __post_init__(self) -> None:
        check_share("alpha", self.alpha)
        check_share("delta", self.delta)
        if self.beta:
            check_share("beta", self.beta)

    def decide(self, board: Board) -> Verdict | Need:
        return self.folded(board).decide()

    def folded(self, board: Board) -> Fold:
        fold = _Sequential(self, board)
        for row in board.rows:
            fold.add(row)
        return fold


class _Candidate:
    """One candidate's bet against the incumbent, and what may have become of it.

    `open`: some completion of the missing cells has it still in the race. `doubtful`: some completion has it out, or
    in a race that another one won. `may_have_won`: some completion ended the race with it.
    """

    __slots__ = ("bet", "doubtful", "may_have_won", "open")

    def __init__(self, delta: float) -> None:
        self.bet = Bet(delta)
        self.open, self.doubtful, self.may_have_won = True, False, False


class _Sequential:
    """A board as the sequential gate keeps it in mind: the capital of a bet for each pair."""

    def __init__(self, gate: SequentialGate, board: Board) -> None:
        self._pending, self._sizes, self._beta, self._delta = board.total, board.sizes, gate.beta, gate.delta
        count = len(board.sizes) - 1
        self._level = level_at(gate.alpha, gate.spending, board.turn)
        self._bar = max(1, count) / self._level
        self._columns = [Column() for _ in board.sizes]
        self._candidates = {j: _Candidate(gate.delta) for j in range(1, count + 1)}
        self._pairs = {(i, j): Bet(gate.delta) for i in self._candidates for j in self._candidates if i != j}
        self._verdict: Verdict | None = None
        self._surely = 0
        if not self._candidates or not board.total:
            self._end(Decision.UNDECIDED, 1, "the gate has no items")

    def add(self, row: Row) -> None:
        if self._verdict is not None:
            return  # The prefix that decides is the shortest: what comes later is not looked at.
        self._pending -= 1
        self._surely -= 1
        for j, (column, cell) in enumerate(zip(self._columns, row, strict=True)):
            if j and cell is Hole.DROPPED:
                self._candidates[j].open = False
            if not j or self._candidates[j].open:
                column.add(cell, row[0])
        racing = self._open
        for j in racing:
            self._candidates[j].bet.add(row[j], row[0])
        for i in racing:
            for j in racing:
                if i != j:
                    self._pairs[i, j].add(row[i], row[j])
        self._judge(racing)

    def decide(self) -> Verdict | Need:
        if self._verdict is not None:
            return self._verdict
        if self._surely <= 0:
            self._surely = self._rows_left()
        return Need((0, *self._open), self._surely)

    @property
    def _open(self) -> tuple[int, ...]:
        return tuple(j for j, entry in self._candidates.items() if entry.open)

    def _judge(self, racing: Sequence[int]) -> None:
        """What this row decides: first who has won, then who leaves, then whether anything is left to decide."""
        bets = {j: self._candidates[j].bet for j in racing}
        winning = [j for j in racing if bets[j].high >= self._bar]
        surely = [j for j in winning if bets[j].low >= self._bar and not self._candidates[j].doubtful]
        if surely:
            first = max(surely, key=lambda j: (round(bets[j].low, 9), -self._sizes[j], -j))
            if all(self._yields(other, first) for other in self._candidates if other != first):
                words = f"K = {bets[first].low:.3g} has reached {self._bar:.3g} (a level of {self._level:.4g})"
                return self._end(Decision.ACCEPT, first, words, bets[first].low)
        for j in winning:
            self._candidates[j].may_have_won = True
        if winning:
            # In some completion the race is over: every other one can only be undecided, or end as that one did.
            for j in racing:
                self._candidates[j].doubtful |= any(other != j for other in winning)
        self._let_go(racing)
        if any(entry.may_have_won and (entry.doubtful or not entry.open) for entry in self._candidates.values()):
            return self._end(Decision.UNDECIDED, self._leader, "the missing items could turn the verdict")
        if not self._open:
            words = f"for no candidate is a gain of {100 * self._delta:g} points likely any more"
            return self._end(Decision.REJECT, self._leader, words, self._candidates[self._leader].bet.high)
        if not self._pending:
            return self._end(Decision.UNDECIDED, self._leader, self._open_end())
        return None

    def _yields(self, other: int, first: int) -> bool:
        """Whether no completion has `other` win before or instead of `first`."""
        entry, bet = self._candidates[other], self._candidates[first].bet
        if entry.may_have_won:
            return False
        if not entry.open or entry.bet.high < self._bar:
            return True
        one, two = round(bet.low, 9), round(entry.bet.high, 9)
        return one > two or (one == two and prefers(self._sizes, first, other))

    def _let_go(self, racing: Sequence[int]) -> None:
        """Candidates leave that are unlikely to gain δ, or that another one beats; where only some completions say so,
        they are doubtful."""
        states = {j: self._candidates[j].doubtful for j in racing}
        for j in racing:
            entry = self._candidates[j]
            rivals = [(self._pairs[i, j], states[i]) for i in racing if i != j]
            if entry.bet.high <= self._beta or any(pair.low >= self._bar and not unsure for pair, unsure in rivals):
                entry.open = False
            elif entry.bet.low <= self._beta or any(pair.high >= self._bar for pair, _ in rivals):
                entry.doubtful = True

    @property
    def _leader(self) -> int:
        """Whom a verdict without a winner speaks of: the one that came closest."""
        among = self._open or tuple(self._candidates) or (0,)
        if among == (0,):
            return 0
        return max(among, key=lambda j: (round(self._candidates[j].bet.low, 9), -self._sizes[j], -j))

    def _open_end(self) -> str:
        doubts = any(self._candidates[j].bet.low != self._candidates[j].bet.high for j in self._open)
        if doubts:
            return "the missing items could turn the verdict, or it needs more items"
        return (
            f"the items are used up: no gain is shown at a level of {self._level:.4g}, and one of "
            f"{100 * self._delta:g} points is not ruled out"
        )

    def _end(self, decision: Decision, column: int, reason: str, wealth: float | None = None) -> None:
        told = self._columns[column]
        found = told.verdict if decision is Decision.UNDECIDED else told.settled
        if wealth is None and column in self._candidates:
            wealth = self._candidates[column].bet.low
        self._verdict = replace(found(decision, column, reason), level=self._level, wealth=wealth)

    def _rows_left(self) -> int:
        """The fewest rows after which a verdict may come, or a candidate leave the race."""
        racing, found = self._open, self._pending
        for j in racing:
            found = min(found, self._candidates[j].bet.until(self._bar, self._beta, found))
            for i in racing:
                if i != j:
                    # A pair has no floor: nobody wins by being beaten.
                    found = min(found, self._pairs[i, j].until(self._bar, 0.0, found))
        return found
