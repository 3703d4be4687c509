"""The arithmetic of limits: dimensions, costs, and the accounts that are drawn on.

Takes amounts and times (seconds on a monotonic clock; the wall clock for days); gives waits in seconds. Pure but for
its own counters: reads no clock, draws nothing at random, waits for nothing.

An account paces (a bucket of a few hundredths of a second, refilled at the limit's rate less its headroom) *and* keeps
books of the last period (a sliding window), because either alone is refused by some server: a bucket of a whole minute
breaks windows of 1, 10 and 60 seconds at once, and a pace breaks a window as soon as requests are large against it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple, Protocol

from semprop.providers.limits.others import Others

PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}

RESOURCES = ("requests", "tokens", "input_tokens", "output_tokens")
"""What is counted, in the order of the fields of `Cost`."""

EPSILON = 1e-9
BINS = 240
"""Bins that a sliding window's books are kept in: what was granted in one 240th of a period leaves together."""


class Cost(NamedTuple):
    """What one request takes of each resource (`RESOURCES`)."""

    requests: float = 1.0
    tokens: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0


@dataclass(frozen=True, slots=True)
class Dimension:
    """A resource and a period in seconds, as in `tokens/minute`. `name` may say more (`project_tokens/minute`)."""

    name: str
    resource: int
    period: float

    @classmethod
    def parse(cls, name: str) -> Dimension | None:
        """The dimension of such a name; None if it names no resource or no period."""
        counted, slash, period = name.partition("/")
        if not slash or period not in PERIODS:
            return None
        for resource in sorted(RESOURCES, key=len, reverse=True):
            if counted == resource or counted.endswith("_" + resource):
                return cls(name, RESOURCES.index(resource), PERIODS[period])
        return None


@dataclass(frozen=True, slots=True)
class Pace:
    """How close to a limit to go.

    Attributes:
        headroom: share of the limit that stays unused, against jitter on the way and unlike clocks.
        burst: seconds of quota that may be sent at once after a pause. Services that state a minute often enforce a
            second, so that it is small; at most 5.
        lateness: seconds of quota that are made up for when a wake-up came late while requests waited.
    """

    headroom: float = 0.03
    burst: float = 0.03
    lateness: float = 0.25

    def __post_init__(self) -> None:
        if not (0 <= self.headroom < 1 and 0 <= self.burst <= 5 and self.lateness >= 0):
            raise ValueError(f"a pace needs 0 ≤ headroom < 1, 0 ≤ burst ≤ 5 s and no negative lateness: {self}")


class Bin:
    """What was granted at about one time. Settlements correct it for as long as it counts."""

    __slots__ = ("amount", "at", "live")

    def __init__(self, at: float, amount: float) -> None:
        self.at = at
        self.amount = amount
        self.live = True


class Book(Protocol):
    """One dimension of one limit group that can be drawn on."""

    dimension: Dimension
    limit: float
    told: bool
    frozen: float
    own: float
    returned: float
    order: int

    def eta(self, amount: float, now: float) -> float:
        """Seconds until the amount may be taken; 0 for now, infinite for more than the limit itself."""

    def take(self, amount: float, now: float) -> Bin:
        """Take the amount, whatever the level; the bin is what a settlement needs."""

    def correct(self, bin: Bin, change: float, now: float) -> None:
        """The amount taken was really larger by `change` (smaller if negative)."""

    def used(self, now: float) -> float:
        """What counts against the limit, by our own books."""


class Account:
    """A limit over a sliding period, paced.

    Attributes:
        limit: the amount in one period.
        told: whether a user or the endpoint stated it (a learned limit may be exceeded by one large request).
        factor: the share of the limit that throttles taught us to use, in (0, 1].
        gauge: the share of the pace that the endpoint's `remaining` allows just now, in (0, 1]; above one while a
            learned limit is tried.
        level: what the bucket holds; negative while a large request is being paid off.
        own: what counts against the limit now by our own books.
        returned: what was taken and given back, since it was refused, in all.
        others: what else counts against it, that our books do not hold.
        changed: when the limit became another one.
        frozen: nothing is granted before this time.
        blocked: whether somebody waits for the bucket to fill, so that this limit is what bounds the rate.
        order: of the last request whose reply this account follows.
    """

    def __init__(self, dimension: Dimension, limit: float, pace: Pace, now: float) -> None:
        self.dimension = dimension
        self.limit = limit
        self.told = True
        self.pace = pace
        self.factor = 1.0
        self.gauge = 1.0
        self.frozen = -math.inf
        self.others = Others(dimension.period, now)
        self.changed = -math.inf
        self.order = 0
        self.strikes = 0
        self.struck = -math.inf
        self.grown = now
        self.rate = self.cap = 0.0
        self.blocked = False
        self._bins: deque[Bin] = deque()
        self.own = 0.0
        self.returned = 0.0
        self._at = now
        self.tune()
        self.level = self.cap

    def __repr__(self) -> str:
        return f"Account({self.dimension.name}: limit={self.limit:g}, level={self.level:.3g}, own={self.own:g})"

    def tune(self) -> None:
        """Compute the rate anew, after limit, factor or gauge changed."""
        whole = self.limit * (1.0 - self.pace.headroom) / self.dimension.period
        self.rate = max(whole * self.factor * self.gauge, EPSILON)
        one = 1.0 if self.dimension.resource == 0 else 0.0
        self.cap = max(one, whole * self.pace.burst)

    def eta(self, amount: float, now: float) -> float:
        limit = self.limit
        if amount > limit:
            if self.told:
                return math.inf
            amount = limit
        cap = self.cap
        level = self.level
        if now > self._at:
            # What was missed because a wake-up came late is made up for; what nobody waited for is not saved.
            top = cap + self.rate * self.pace.lateness if self.blocked else cap
            if level < top:
                level = self.level = min(top, level + (now - self._at) * self.rate)
            self._at = now
        need = amount if amount < cap else cap
        wait = (need - level) / self.rate if level < need - EPSILON else 0.0
        self.blocked = wait > 0.0
        bins = self._bins
        if bins and bins[0].at + self.dimension.period * 1.01 <= now:
            self._expire(now)
        over = self.own + amount - limit
        if self.others.amount:
            over += self.others.now(now)
        if over > EPSILON:
            wait = max(wait, self._until_gone(over, now))
        if self.frozen > now:
            wait = max(wait, self.frozen - now)
        return wait

    def take(self, amount: float, now: float) -> Bin:
        self.level -= amount
        self.own += amount
        bins = self._bins
        if bins:
            last = bins[-1]
            if now - last.at < self.dimension.period / BINS:
                last.amount += amount
                return last
        taken = Bin(now, amount)
        bins.append(taken)
        return taken

    def correct(self, bin: Bin, change: float, now: float) -> None:
        self.level = min(self.level - change, max(self.level, self.cap))
        if change > 0:
            # When the server saw the rest is not known: the latest time is the safe one.
            self.take(change, now)
            self.level += change
        elif bin.live:
            bin.amount += change
            self.own += change

    def used(self, now: float) -> float:
        self._expire(now)
        return self.own

    def seed(self, granted: Iterable[tuple[float, float]], now: float) -> None:
        """Take (time, amount) of what was granted before this account was opened into its books."""
        for at, amount in granted:
            if at > now - self.dimension.period:
                self._bins.append(Bin(at, amount))
                self.own += amount

    def change_limit(self, limit: float, now: float) -> None:
        """The limit is another one from now on."""
        self.changed = now
        self.level = min(self.level, self.level * limit / self.limit) if self.limit else 0.0
        self.limit = limit
        self.tune()

    def _expire(self, now: float) -> None:
        # A hundredth longer than the server's own period: jitter on the way shortens gaps between arrivals.
        gone = now - self.dimension.period * 1.01
        bins = self._bins
        while bins and bins[0].at <= gone:
            old = bins.popleft()
            old.live = False
            self.own -= old.amount
        if not bins:
            self.own = 0.0

    def _until_gone(self, over: float, now: float) -> float:
        """Seconds until so much of the window has left."""
        period = self.dimension.period
        left = over
        wait = math.inf
        for old in self._bins:
            left -= old.amount
            if left <= EPSILON:
                wait = old.at + period * 1.01 - now
                break
        if self.others.amount:
            # Both leave at once: at the earlier of the two times it is asked again.
            wait = min(wait, max(period / BINS, self.others.until_gone(over, now)))
        return max(wait, period * 1e-4) if wait < math.inf else period / BINS


class DayAccount:
    """A limit of a calendar day: not paced, counted on the wall clock, which is passed in.

    The day changes at midnight of `zone`, and never back: a wall clock that is set back refills nothing.
    """

    def __init__(self, dimension: Dimension, limit: float, wall: Callable[[], float], zone: tzinfo) -> None:
        self.dimension = dimension
        self.limit = limit
        self.told = True
        self.frozen = -math.inf
        self.own = 0.0
        self.returned = 0.0
        self.order = 0
        self._wall = wall
        self._zone = zone
        self._day = self._today()
        self._used = 0.0

    def __repr__(self) -> str:
        return f"DayAccount({self.dimension.name}: limit={self.limit:g}, used={self._used:g})"

    def eta(self, amount: float, now: float) -> float:
        if amount > self.limit:
            return math.inf
        self._turn()
        wait = self.until_midnight() if self._used + amount > self.limit else 0.0
        return max(wait, self.frozen - now)

    def take(self, amount: float, now: float) -> Bin:
        self._turn()
        self._used += amount
        return Bin(float(self._day), amount)

    def correct(self, bin: Bin, change: float, now: float) -> None:
        if bin.at == self._day:
            self._used = max(0.0, self._used + change)

    def used(self, now: float) -> float:
        self._turn()
        return self._used

    def at_least(self, used: float) -> None:
        """So much of today is used, as the endpoint says."""
        self._turn()
        self._used = max(self._used, used)

    def until_midnight(self) -> float:
        """Seconds until the next day begins in the account's zone."""
        local = datetime.fromtimestamp(self._wall(), self._zone)
        midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        # Through UTC: on a day of 23 or 25 hours local subtraction is wrong.
        return max(1.0, midnight.timestamp() - self._wall())

    def _turn(self) -> None:
        today = self._today()
        if today > self._day:
            self._day, self._used = today, 0.0

    def _today(self) -> int:
        return datetime.fromtimestamp(self._wall(), self._zone).toordinal()


def open_account(
    dimension: Dimension, limit: float, pace: Pace, now: float, *, wall: Callable[[], float], zone: tzinfo = UTC
) -> Account | DayAccount:
    """The account that fits a dimension: days are counted, shorter periods are paced too."""
    if dimension.period >= PERIODS["day"]:
        return DayAccount(dimension, limit, wall, zone)
    return Account(dimension, limit, pace, now)
