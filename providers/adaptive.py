"""Bounds that nobody states: how many requests in flight, and how many in a period.

Takes completions, throttles and times; gives a bound. Pure but for its own counters.

Concurrency grows by doubling until the first cut and by a few per cent after it (additive increase, multiplicative
decrease), and only while it is used. A rate is found by asking *how long* an endpoint went on refusing: one that
enforces a second is open again after a second, one that enforces a minute a minute after it was filled.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping

COOL_DOWN = 10.0
"""Seconds after a cut in which no other follows. Fixed: no wait that an endpoint asks for makes it longer."""

WINDOWS = (1.0, 10.0, 60.0)
"""Seconds of the windows that servers enforce."""

KEPT = 125.0
"""Seconds of accepted requests that are remembered: a minute's window, and the minute that it may be shut."""


class Slots:
    """The bound on requests in flight.

    Attributes:
        limit: the bound now; whole requests are compared with it, so 2.9 lets two through.
        ceiling: the most that it ever grows to.
        episodes: cuts so far.
    """

    def __init__(self, start: int, ceiling: int, growth: float = 15.0) -> None:
        """
        Args:
            start: the first bound. Equal to `ceiling` where somebody stated it.
            ceiling: the highest.
            growth: seconds between two doublings.
        """
        self.limit = float(min(start, ceiling))
        self.ceiling = ceiling
        self.episodes = 0
        self.peak = 0
        self._growth = growth
        self._slow_start = True
        self._done = 0
        self._grown: float | None = None
        self._cut = -math.inf

    def __repr__(self) -> str:
        return f"Slots({self.limit:g} of {self.ceiling}, episodes={self.episodes})"

    def completed(self, in_flight: int, now: float) -> None:
        """A request was answered, while `in_flight` were out, itself included."""
        if self.limit >= self.ceiling:
            return
        self._done += 1
        self.peak = max(self.peak, in_flight)
        if self._grown is None:
            self._grown = now
        if self._done < max(4.0, self.limit):
            return
        used = self.peak >= 0.8 * int(self.limit)
        rested = now - self._grown >= (self._growth if self._slow_start else 1.0)
        if not rested:
            return
        self._done = self.peak = 0
        if used:
            self._grown = now
            step = self.limit if self._slow_start else max(1.0, 0.05 * self.limit)
            self.limit = min(float(self.ceiling), self.limit + step)

    def cut(self, now: float) -> bool:
        """The endpoint is overloaded: once per episode the bound falls to three quarters. Whether it did."""
        self._slow_start = False
        self._done = self.peak = 0
        if now - self._cut < COOL_DOWN:
            return False
        self._cut = self._grown = now
        self.limit = max(1.0, self.limit * 0.75)
        self.episodes += 1
        return True


class Trace:
    """When requests were accepted, in bins of a tenth of a second."""

    __slots__ = ("_bins",)

    def __init__(self) -> None:
        self._bins: deque[list[float]] = deque()

    def add(self, now: float, count: float = 1.0) -> list[float]:
        """Count one that was sent now; the bin is what `refused` needs."""
        bins = self._bins
        if bins and now - bins[-1][0] < 0.1:
            bins[-1][1] += count
        else:
            bins.append([now, count])
            while bins[0][0] < now - KEPT:
                bins.popleft()
        return bins[-1]

    def __iter__(self) -> Iterator[tuple[float, float]]:
        """(time, count), oldest first."""
        return ((at, count) for at, count in self._bins)

    def within(self, seconds: float, end: float) -> float:
        """How many were accepted in the `seconds` before `end`."""
        return sum(count for at, count in self._bins if end - seconds < at <= end)


class LearnedRate:
    """The state of asking how much an endpoint takes that never says so.

    OPEN until the first refusal; then SHUT: one request at a time is sent, at growing gaps, until one is accepted;
    then the limit is what was accepted within a window before the first refusal, for the smallest window that is longer
    than the endpoint was seen to refuse.

    Attributes:
        window, limit: what was found; None and 0 before.
        probe_at: while shut, when the next request may be sent.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.window: float | None = None
        self.limit = 0.0
        self.shut_at: float | None = None
        self.probe_at = 0.0
        self.probing = False
        self.found_at = -math.inf
        self._gap = 0.5
        self._refused_until = 0.0
        self._raised = -math.inf
        self._highest: float = math.inf

    def __repr__(self) -> str:
        state = "open" if self.shut_at is None else "shut"
        return f"LearnedRate({state}, {self.limit:g} in {self.window} s)"

    def eta(self, now: float) -> float:
        """Seconds until a request may be sent for all that this knows; infinite while a probe is out."""
        if self.shut_at is None:
            return 0.0
        return math.inf if self.probing else max(0.0, self.probe_at - now)

    def refused(self, sent: float, now: float, retry_after: float | None, draw: float) -> None:
        """A request sent at `sent` was refused. `draw` in [0, 1) spreads the next probe."""
        if self.shut_at is None:
            self.shut_at = self._refused_until = sent
            self._gap = 0.5
        elif not self.probing:
            # One more that was out when the endpoint shut.
            self.shut_at = min(self.shut_at, sent)
            return
        else:
            self._gap = min(self._gap * 2.0, 8.0)
            self._refused_until = sent
        self.probing = False
        wait = self._gap * (0.75 + 0.5 * draw) if retry_after is None else retry_after
        self.probe_at = max(self.probe_at, now + wait)

    def accepted(self, sent: float, now: float, probe: bool) -> bool:
        """A request was accepted. Whether a limit was found or changed by that."""
        if self.shut_at is None or not probe or sent < self.shut_at:
            return False
        shut, self.shut_at, self.probing = self.shut_at, None, False
        self._learn(shut, now)
        return True

    def raised(self, now: float) -> bool:
        """Whether the limit grew: by a fiftieth after half a minute in which it was used up and nothing was refused;
        by a two hundredth once it comes near to what was refused before."""
        if self.window is None or now - max(self._raised, self.found_at) < 30.0:
            return False
        if self.trace.within(self.window, now) < 0.9 * self.limit:
            return False
        self._raised = now
        self.limit *= 1.005 if self.limit * 1.02 > 0.97 * self._highest else 1.02
        return True

    def statistics(self) -> Mapping[str, object]:
        """What was found, and whether the endpoint is shut."""
        return {"limit": round(self.limit, 2), "window": self.window, "shut": self.shut_at is not None}

    def _learn(self, shut: float, now: float) -> None:
        lasted = self._refused_until - shut
        window = next((window for window in WINDOWS if lasted < window), WINDOWS[-1])
        if self.window is None:
            taken = self.trace.within(window, shut)
        elif shut - self.found_at < 2.0 * self.window and self.window < WINDOWS[-1]:
            # It was found just now and is wrong: a longer window is the likelier explanation.
            window = max(window, next(longer for longer in WINDOWS if longer > self.window))
            taken = self.trace.within(window, shut)
        elif window > self.window:
            taken = self.trace.within(window, shut)
        else:
            # The window was known, and yet something was refused: a little less of it, but not on one doubtful count.
            window = self.window
            taken = max(0.9 * self.limit, min(self.trace.within(window, shut), 0.95 * self.limit))
        self.window = window
        self.limit = max(1.0, taken)
        self._highest = self.limit / 0.95
        self.found_at = now
