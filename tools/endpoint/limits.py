"""The limits of a mock endpoint: what is used, what is refused, what somebody else takes. Pure; time is an argument.

Takes demands and gives refusals and levels. An attempt that any limit refuses is charged to none of them (unless
refused requests count, as a setting says).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from semprop.tools.endpoint.settings import Change, Charge, Counted, Foreign, Limit, Shared, Slots
from semprop.tools.endpoint.windows import DAY, DAY_GRAIN, Window


class Demand(NamedTuple):
    """What one attempt asks of the limits. `output` is what it will produce, where that is known already."""

    model: str
    key: str
    input: int
    most_output: int | None
    output: int = 0


@dataclass(frozen=True, slots=True)
class Level:
    """How a limit stands. `reset` is in seconds, until nothing counts any more."""

    limit: Limit
    most: float
    used: float
    reset: float

    @property
    def remaining(self) -> float:
        """What is left of it."""
        return max(0.0, self.most - self.used)


@dataclass(frozen=True, slots=True)
class Refused:
    """The limit that an attempt did not fit into; `wait` in seconds, infinite if it can never fit."""

    level: Level
    requested: float
    wait: float


def demanded(demand: Demand, of: Counted, charge: Charge) -> float:
    """What an attempt is charged at arrival. Under PRODUCED its output is charged later (`Limits.produced`)."""
    if of is Counted.REQUESTS:
        return 1
    if of is Counted.INPUT:
        return demand.input
    most = demand.most_output or 0
    match charge:
        case Charge.PRODUCED:
            ahead = 0
        case Charge.ACTUAL:
            ahead = demand.output
        case _:
            ahead = most
    if of is Counted.OUTPUT:
        return ahead
    return max(most, demand.input) if charge is Charge.LARGEST else demand.input + ahead


class Limits:
    """The state of all limits of an endpoint."""

    def __init__(
        self,
        limits: Sequence[Limit],
        charge: Charge,
        changes: Sequence[Change] = (),
        foreign: Sequence[Foreign] = (),
        charge_refused: bool = False,
    ) -> None:
        self._limits = tuple(limits)
        self._charge = charge
        self._changes = tuple(changes)
        self._foreign = tuple(foreign)
        self._charge_refused = charge_refused
        self._windows: dict[tuple[int, str], Window] = {}
        self._taken = [0] * len(self._foreign)
        self._longest = max((limit.seconds for limit in limits), default=0.0)

    def admit(self, now: float, attempt: int, demand: Demand) -> Refused | None:
        """Charge an attempt, or say which limit refuses it: of several the one that must be waited for longest."""
        self._advance(now)
        asked = []
        worst: Refused | None = None
        for limit, window in self._bearing(demand.model, demand.key):
            amount = demanded(demand, limit.of, self._charge)
            most = self._most(limit, now, attempt)
            # What is charged later must find some room now.
            need = max(amount, 1)
            if window.used(now) + need > most:
                level = Level(limit, most, window.used(now), window.reset(now))
                refused = Refused(level, need, window.wait(now, most - need))
                worst = refused if worst is None or refused.wait > worst.wait else worst
            asked.append((limit, window, amount))
        for limit, window, amount in asked:
            if worst is None or (self._charge_refused and limit.of is Counted.REQUESTS):
                window.add(now, amount)
        return worst

    def produced(self, now: float, demand: Demand, output: int) -> None:
        """Charge the output of an attempt, if output is charged as it is produced."""
        if self._charge is not Charge.PRODUCED or not output:
            return
        self._advance(now)
        for limit, window in self._bearing(demand.model, demand.key):
            if limit.of in (Counted.OUTPUT, Counted.TOKENS):
                window.add(now, output)

    def levels(self, now: float, attempt: int, demand: Demand) -> tuple[Level, ...]:
        """How the limits that bear on an attempt stand, in the order of the settings."""
        self._advance(now)
        return tuple(
            Level(limit, self._most(limit, now, attempt), window.used(now), window.reset(now))
            for limit, window in self._bearing(demand.model, demand.key)
        )

    def _most(self, limit: Limit, now: float, attempt: int) -> float:
        most = limit.most
        for change in self._changes:
            when = change.when
            if (
                change.of in (None, limit.of)
                and when.begin <= now < when.end
                and when.first_attempt <= attempt <= when.last_attempt
            ):
                most *= change.factor
        # Headers and bodies tell it as a whole number, and must tell the same.
        return most if most == limit.most else max(1.0, math.floor(most))

    def _bearing(self, model: str, key: str) -> Iterator[tuple[Limit, Window]]:
        for index, limit in enumerate(self._limits):
            if limit.models and not any(fnmatchcase(model, pattern) for pattern in limit.models):
                continue
            shared = {Shared.ENDPOINT: "", Shared.MODEL: model, Shared.KEY: key}[limit.per]
            window = self._windows.get((index, shared))
            if window is None:
                grain = DAY_GRAIN if limit.seconds >= DAY else 0.0
                window = self._windows[index, shared] = Window(limit.seconds, grain)
            yield limit, window

    def _advance(self, now: float) -> None:
        """Count what others sent since the last time, in the order of time."""
        if not self._foreign:
            return
        arrivals = heapq.merge(*(self._arrivals(index, now) for index in range(len(self._foreign))))
        for time, index in arrivals:
            other = self._foreign[index]
            demand = Demand(other.model, "", other.input, None, other.output)
            for limit, window in self._bearing(other.model, ""):
                window.add(time, demanded(demand, limit.of, Charge.ACTUAL))

    def _arrivals(self, index: int, now: float) -> list[tuple[float, int]]:
        """(time, index) of one source's requests up to now; those that no window reaches back to are passed over."""
        source = self._foreign[index]
        until = min(now, math.nextafter(source.end, -math.inf))
        first = max(self._taken[index], math.floor((now - self._longest - source.begin) * source.rate))
        last = math.floor((until - source.begin) * source.rate)
        self._taken[index] = max(self._taken[index], last + 1)
        return [(source.begin + number / source.rate, index) for number in range(first, last + 1)]


class Places:
    """A server's slots: so many requests at once, first come, first served. Times are known at arrival, so a request
    that its client gives up keeps its slot for as long as it would have taken."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._free = [0.0] * slots.parallel
        self._starts: list[float] = []

    def enter(self, now: float, seconds: float) -> float | None:
        """Seconds to wait for a slot, which is then taken for `seconds`; None if the queue is full."""
        while self._starts and self._starts[0] <= now:
            heapq.heappop(self._starts)
        start = max(now, self._free[0])
        if start > now:
            if len(self._starts) >= self._slots.queue:
                return None
            heapq.heappush(self._starts, start)
        heapq.heapreplace(self._free, start + seconds)
        return start - now
