"""What somebody else uses of a limit: as it was told, and what is to be made of it until the next word.

Takes amounts and times in seconds; gives amounts. Pure but for its own state.
"""

from __future__ import annotations

import math


class Others:
    """What somebody else uses of a window, as far as it was told.

    Told with answers it is told all the time, and leaves evenly until the next answer. Told with refusals alone there
    is no later word that it is gone: what others took they are taken to go on taking, growing while it was seen to
    grow, and given up slowly, in `LASTS` seconds, which is how it is found out that they left.

    Attributes:
        amount: when it was last told (`at`); 0 for nobody.
        growth: a second, while it is taken to grow.
    """

    LASTS = 300.0

    __slots__ = ("_horizon", "_period", "_raw", "_since", "_start", "amount", "at", "growth", "lasting")

    def __init__(self, period: float, now: float) -> None:
        self._period = period
        self.amount = 0.0
        self.at = now
        self.lasting = False
        self.growth = 0.0
        self._horizon = 0.0
        self._since = now
        self._start = self._raw = 0.0

    def now(self, now: float) -> float:
        """What they are taken to use."""
        age = now - self.at
        if not self.lasting:
            left = 1.0 - age / self._period
            return self.amount * left if left > 0.0 else 0.0
        faded = (age / self.LASTS) ** 3
        return self._grown(age) * (1.0 - faded) if faded < 1.0 else 0.0

    def told(self, amount: float, now: float) -> None:
        """An answer told how much it is."""
        self.amount, self.at = amount, now
        self.lasting = False
        self.growth = 0.0

    def refused(self, amount: float, now: float, margin: float) -> None:
        """A refusal told how much it is. `margin` is added to it, and less than that is no growth."""
        if not self.lasting or now - self.at > self._period or (now - self.at >= 2.0 and amount <= self._raw + margin):
            self._since, self._start = now, amount
            self.growth = 0.0
        elif now - self._since >= 2.0:
            self._horizon = 2.0 * (now - self._since)
            self.growth = max(0.0, amount - self._start) / (now - self._since)
        self._raw, self.amount, self.at = amount, amount + margin, now
        self.lasting = True

    def coming(self, now: float) -> float:
        """What they are taken to use in the period that begins now."""
        growing = self.growth and now - self.at < self._horizon
        return max(self.now(now), self.growth * self._period) if growing else self.now(now)

    def until_gone(self, amount: float, now: float) -> float:
        """Seconds until it is less by so much, if nothing is told; until all of it is gone for more than there is."""
        if not self.lasting:
            return min(amount, self.now(now)) * self._period / self.amount
        age = now - self.at
        grown = self._grown(age)
        left = max(0.0, self.now(now) - amount)
        return float(self.LASTS * math.cbrt(1.0 - left / grown)) - age

    def _grown(self, age: float) -> float:
        if not self.growth:
            return self.amount
        # As much as their rate brings into a whole window, and no longer than it was watched.
        most = max(self.amount, self.growth * self._period)
        return min(most, self.amount + self.growth * min(age, self._horizon))
