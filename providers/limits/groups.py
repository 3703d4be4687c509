"""A limit group: everything that shares one quota, its books, and what is out on it now.

Takes costs and times; gives waits, and books what was granted. Pure but for its own state. What replies teach it
stands in `semprop.providers.limits.learning`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from semprop.providers.limits.accounts import Account, Bin, Book, Cost, Dimension, open_account
from semprop.providers.limits.adaptive import LearnedRate, Slots, Trace
from semprop.providers.wire.profiles import Profile, zone_of

OUTAGE = 10
"""Failures in a row, without a success, after which requests go out one at a time."""

TRIAL = 30.0
"""Seconds after which another one goes out though the last has not come back: a server that hangs is no reason to
stand still."""


class Hold(NamedTuple):
    """What one permit holds of one book. `own` is what the book counted just after it was taken, and all that had been
    returned to it: less what has been returned since, it is what the endpoint counted of ours."""

    book: Book
    bin: Bin
    amount: float
    own: float


class Permit:
    """Leave to send one request: what it reserved, and where. To be settled exactly once.

    Attributes:
        lane: the groups it was granted by.
        cost: what was reserved.
        order: of grants; a reply's headers know nothing of requests of a higher order.
        granted: when, on the limiter's clock.
    """

    __slots__ = ("cost", "granted", "holds", "lane", "open", "order", "probe", "traced", "trial")

    def __init__(self, lane: Lane, cost: Cost, order: int, granted: float) -> None:
        self.lane = lane
        self.cost = cost
        self.order = order
        self.granted = granted
        self.holds: list[Hold] = []
        self.traced: list[list[float]] = []
        self.probe = False
        self.trial = False
        self.open = True

    def __repr__(self) -> str:
        return f"Permit({self.order}, {self.lane.name}, {'open' if self.open else 'settled'})"


class Lane(NamedTuple):
    """The groups that a provider's requests draw on, all or nothing."""

    name: str
    groups: tuple[Group, ...]
    profile: Profile


class Group:
    """One limit group.

    Attributes:
        books: by the name of their dimension.
        given: limits that a user stated; an endpoint may lower them, never raise them.
        trace: when requests were granted that were not refused.
        slots: the bound on requests in flight, of which `in_flight` are out and `peak` were at most.
        learned: the search for a rate that nobody told; None where limits are told or do not exist.
        frozen: nothing is granted before this time.
        episodes: throttles, those that belong together counted once; `episode` is when the last one began.
        refusals: episodes without a success between them.
        failures: in a row, of transport. From the tenth on one request is tried at a time (`trial_until`); `trials`
            is how often that was put off, `outage` when it last was.
        waiting: requests that have the group in their lane and stand in the queue.
    """

    def __init__(self, name: str, profile: Profile, slots: Slots, wall: Callable[[], float]) -> None:
        self.name = name
        self.profile = profile
        self.slots = slots
        self.books: dict[str, Book] = {}
        self.given: dict[str, float] = {}
        self.trace = Trace()
        self.learned: LearnedRate | None = LearnedRate(self.trace)
        self.frozen = -math.inf
        self.in_flight = 0
        self.peak = 0
        self.episodes = 0
        self.episode = -math.inf
        self.refusals = 0
        self.overloaded = 0.0
        self.failures = 0
        self.trials = 0
        self.trial_until = -math.inf
        self.outage = -math.inf
        self.waiting = 0
        self.opened: dict[str, int] = {}
        self._wall = wall
        self._drawn: list[tuple[Book, int]] = []
        self._learned_account: Account | None = None

    def __repr__(self) -> str:
        return f"Group({self.name}, in_flight={self.in_flight}, waiting={self.waiting}, books={list(self.books)})"

    def open_book(self, dimension: Dimension, limit: float, now: float, order: int, unit: float = 1.0) -> Book:
        """Begin to count a dimension that became known after `order` grants, each of about `unit`."""
        book = open_account(dimension, limit, self.profile.pace, now, wall=self._wall, zone=zone_of(self.profile))
        if isinstance(book, Account):
            book.seed(((at, count * unit) for at, count in self.trace), now)
            self.slots.trust()
        self.books[dimension.name] = book
        self.opened[dimension.name] = order
        self._drawn.append((book, dimension.resource))
        if dimension.resource == 0 and dimension.period < 86_400.0:
            self.forget_learned()
        return book

    def forget_learned(self) -> None:
        """Nothing is searched for any more: the limit is known."""
        self.learned = None
        self.trace.held = math.inf
        if self._learned_account is not None:
            self.books.pop(self._learned_account.dimension.name, None)
            self._drawn = [entry for entry in self._drawn if entry[0] is not self._learned_account]
            self._learned_account = None

    def use_learned(self, now: float) -> None:
        """Bring the learned limit into the books."""
        learned = self.learned
        if learned is None or learned.window is None:
            return
        account = self._learned_account
        if account is None or account.dimension.period != learned.window:
            kept = learned
            self.forget_learned()
            self.learned = kept
            dimension = Dimension(f"requests/{learned.window:g} s (learned)", 0, learned.window)
            account = Account(dimension, learned.limit, self.profile.pace, now)
            account.told = False
            account.level = 0.0
            account.seed(self.trace, now)
            self._learned_account = account
            self.books[dimension.name] = account
            self._drawn.append((account, 0))
        else:
            account.gauge = learned.hurry
            account.change_limit(learned.limit, now)

    def eta(self, cost: Cost, now: float) -> float:
        """Seconds until this cost may be granted; infinite until something comes back."""
        slots = self.slots
        if self.in_flight >= int(slots.limit):
            return math.inf
        wait = self.frozen - now
        if wait < 0.0:
            wait = 0.0
        if slots.limit < slots.ceiling:
            wait = max(wait, slots.gap(now))
        if self.failures >= OUTAGE:
            wait = max(wait, self.trial_until - now)
        if self.learned is not None and self.learned.shut_at is not None:
            wait = max(wait, self.learned.eta(now))
        for book, resource in self._drawn:
            amount = cost[resource]
            if amount:
                seconds = book.eta(amount, now)
                if seconds > wait:
                    wait = seconds
        return wait

    def look(self, cost: Cost, now: float) -> float:
        """The same for somebody who may go elsewhere, so that nobody waits for it yet."""
        kept = [(book, book.blocked) for book, _ in self._drawn if isinstance(book, Account)]
        wait = self.eta(cost, now)
        for book, blocked in kept:
            book.blocked = blocked
        return wait

    @property
    def is_failing(self) -> bool:
        """Whether nothing succeeds, so that requests go out one at a time."""
        return self.failures >= OUTAGE

    def too_large(self, cost: Cost) -> tuple[Book, float] | None:
        """The book whose whole limit is smaller than this cost, and the amount."""
        for book, resource in self._drawn:
            if cost[resource] > book.limit and book.told:
                return book, cost[resource]
        return None

    def take(self, cost: Cost, now: float, permit: Permit) -> None:
        """Book a grant."""
        self.in_flight += 1
        if self.in_flight > self.peak:
            self.peak = self.in_flight
        holds = permit.holds
        for book, resource in self._drawn:
            amount = cost[resource]
            # Also what costs nothing is booked: its reply tells of this book.
            taken = book.take(amount, now)
            holds.append(Hold(book, taken, amount, book.own + book.returned))
        permit.traced.append(self.trace.add(now))
        if self.slots.limit < self.slots.ceiling:
            self.slots.sent(now)
        if self.failures >= OUTAGE:
            permit.trial = True
            self.trial_until = now + TRIAL
        if self.learned is not None and self.learned.shut_at is not None:
            self.learned.probing = permit.probe = True

    def leave(self, permit: Permit, now: float) -> None:
        """It is not out any more, however it ended."""
        self.in_flight -= 1
        if permit.trial:
            self.trial_until = -math.inf
        if permit.probe and self.learned is not None and self.learned.probing:
            # It ended without an answer on its rate: the next one may go.
            self.learned.probing = False
            self.learned.probe_at = max(self.learned.probe_at, now + 0.1)

    def size(self, cost: Cost) -> float:
        """Seconds of quota that a cost is, by the dimension that it takes most of; one where nothing is limited."""
        size = 0.0
        for book, resource in self._drawn:
            share = cost[resource] * book.dimension.period / book.limit if book.limit else 0.0
            if share > size:
                size = share
        return size

    def statistics(self, now: float) -> Mapping[str, object]:
        """Why it does not run: limits, levels, waits."""
        return {
            "in_flight": self.in_flight,
            "in_flight_limit": int(self.slots.limit),
            "waiting": self.waiting,
            "frozen_seconds": round(max(0.0, self.frozen - now), 3),
            "throttle_episodes": self.episodes,
            "cut_episodes": self.slots.episodes,
            "failures_in_a_row": self.failures,
            "searching": None if self.learned is None else self.learned.statistics(),
            "dimensions": {name: self._shown(book, now) for name, book in self.books.items()},
        }

    def _shown(self, book: Book, now: float) -> Mapping[str, object]:
        # To be looked at changes nothing: who waits for the bucket is known to those who wait.
        blocked = book.blocked if isinstance(book, Account) else False
        shown: dict[str, object] = {
            "limit": round(book.limit, 2),
            "source": "learned" if not book.told else "given" if book.dimension.name in self.given else "told",
            "used": round(book.used(now), 2),
            "eta_seconds": round(book.eta(min(1.0, book.limit), now), 3),
            "frozen_seconds": round(max(0.0, book.frozen - now), 3),
        }
        if isinstance(book, Account):
            book.blocked = blocked
            shown["level"] = round(book.level, 2)
            shown["others"] = round(book.others.now(now), 2)
            shown["share"] = round(book.factor * book.gauge, 3)
        return shown
