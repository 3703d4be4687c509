"""A test by betting: a player with capital 1 bets on "better" before every item, and may win only if it is so. Pure.

    K_t = Π_{i≤t} (1 + λ_i d_i),   λ_i = clip(δ / v̂_{i−1}, 0, 0.9),   v̂_{i−1} = (1 + Σ_{j<i} d_j²) / (4 + i − 1)

If E[d_i | past] ≤ 0, K is a supermartingale, so P(sup K ≥ 1/α) ≤ α under any rule for stopping (Ville's inequality).
Ties multiply by 1. On missing cells K lies between two bounds: interval arithmetic over every completion in [0, 1], in
the stakes as well. The lower bound is at most the K of the true scores, so a bar that it reaches keeps the level even
where failures depend on the side or on the score.
"""

from __future__ import annotations

from semprop.engine.gates.board import Cell, Hole

MOST = 0.9
"""The largest stake: a lost item must not ruin the player."""


class Bet:
    """K, between `low` and `high`; they are equal as long as no cell is missing."""

    __slots__ = ("_delta", "_rows", "_squares_high", "_squares_low", "high", "low")

    def __init__(self, delta: float) -> None:
        self._delta = delta
        self._rows = 0
        self._squares_low = self._squares_high = 1.0
        self.low = self.high = 1.0

    def add(self, cell: Cell, against: Cell) -> None:
        """One item: this side's cell and the other's."""
        count = 4 + self._rows
        self._rows += 1
        stake = min(self._delta * count / self._squares_low, MOST)
        if not (isinstance(cell, Hole) or isinstance(against, Hole)):
            d = cell - against
            careful = stake if self._squares_low == self._squares_high else self._least(count)
            up, down = (stake, careful) if d > 0 else (careful, stake)
            self.low *= 1 + down * d
            self.high *= 1 + up * d
            self._squares_low += d * d
            self._squares_high += d * d
            return
        careful = self._least(count)
        least = (0.0 if isinstance(cell, Hole) else cell) - (1.0 if isinstance(against, Hole) else against)
        most = (1.0 if isinstance(cell, Hole) else cell) - (0.0 if isinstance(against, Hole) else against)
        self.low *= 1 + (stake if least < 0 else careful) * least
        self.high *= 1 + (stake if most > 0 else careful) * most
        # least ≤ 0 ≤ most, so that the difference may be 0.
        self._squares_high += max(least * least, most * most)

    def _least(self, count: int) -> float:
        return min(self._delta * count / self._squares_high, MOST)

    def until(self, bar: float, floor: float, limit: int) -> int:
        """A number of rows before which K can reach neither the bar nor the floor, at most `limit`: every row won, or
        lost, as a whole, at stakes as if those before it had been ties."""
        low, high, rows = self.low, self.high, 0
        while rows < limit:
            stake = min(self._delta * (4 + self._rows + rows) / self._squares_low, MOST)
            low, high, rows = low * (1 - stake), high * (1 + stake), rows + 1
            if high >= bar * 0.999 or low <= floor * 1.001:
                break
        return max(rows, 1)
