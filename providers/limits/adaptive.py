"""Bounds that nobody states: how many requests in flight, and how many in a period.

Takes completions, throttles and times; gives a bound. Pure but for its own counters.

Concurrency grows by doubling, a little at a time, until the first cut and by a few per cent after it (additive
increase, multiplicative decrease), and only while it is used. A rate is found by asking *how long* an endpoint went on
refusing: one that enforces a second is open again after a second, one that enforces a minute a minute after it was
filled. A storm of refusals that no limit is the cause of looks the same, so that what was found is tried again: a
little more is sent than was refused, and once that is accepted the rate grows fast.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Literal

COOL_DOWN = 10.0
"""Seconds after a cut in which no other follows. Fixed: no wait that an endpoint asks for makes it longer."""

WINDOWS = (1.0, 10.0, 60.0)
"""Seconds of the windows that servers enforce."""

KEPT = 125.0
"""Seconds of accepted requests that are remembered: a minute's window, and the minute that it may be shut."""

WAVE = 0.02
"""Share of an answer's time in which a quarter of the bound may go out."""

PATIENCE = 15.0
"""Seconds between two probes of an endpoint that refuses, at most."""

RAISE = 0.02
"""Share by which a limit that nobody told is raised at first."""

TRIAL = 0.03
"""Share of what was refused that a trial goes beyond it, and three requests."""

HURRY = 2.0
"""Times the pace at which it does: the trial of a minute's limit takes seconds, and its count is bounded."""

RARER = 4.0
"""Times as long until the next trial after each that was refused where the one before it was."""

RAMP = 0.25
"""Share by which a limit grows that a trial proved wrong; doubled with every step, up to doubling the limit."""

STEP = 3.0
"""Seconds between two such steps: what is out when one is refused is the price of it."""

GLANCE = 0.25
"""Seconds between two looks whether a limit is used up; each costs a walk through the trace."""


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
            growth: seconds in which it doubles.
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
        self._back = 0.0
        self._answered = True
        self._seconds = 0.0
        self._wave = -math.inf
        self._sent = 0

    def __repr__(self) -> str:
        return f"Slots({self.limit:g} of {self.ceiling}, episodes={self.episodes})"

    def trust(self) -> None:
        """A rate is known and paced: what is out follows from it, so that no bound on it needs to be found, unless the
        endpoint was overloaded before."""
        if self._slow_start:
            self.limit = float(self.ceiling)

    def sent(self, now: float) -> None:
        """A request goes out."""
        if now >= self._wave + WAVE * self._seconds:
            self._wave = now
            self._sent = 0
        self._sent += 1

    def gap(self, now: float) -> float:
        """Seconds until another may go out, while the bound is still looked for.

        Answers that come all at once would let as many requests out at once; a quarter at a time, the first refusal
        keeps back the rest.
        """
        if self._sent < max(4.0, 0.25 * self.limit):
            return 0.0
        return max(0.0, self._wave + WAVE * self._seconds - now)

    def completed(self, in_flight: int, now: float, seconds: float = 0.0) -> None:
        """A request was answered after so many seconds, while `in_flight` were out, itself included."""
        if self.limit >= self.ceiling:
            return
        self._seconds += 0.1 * (seconds - self._seconds)
        self._done += 1
        self._answered = True
        self.peak = max(self.peak, in_flight)
        if self._grown is None:
            self._grown = now
        regrows = self.limit < self._back
        if self._done < (self.limit if regrows else max(4.0, self.limit)):
            return
        used = self.peak >= 0.8 * int(self.limit)
        rested = now - self._grown
        if rested < 1.0:
            return
        self._done = self.peak = 0
        if used:
            self._grown = now
            # In small steps, since what a step adds is sent at once.
            doubled = self.limit * (2.0 ** min(1.0, rested / self._growth) - 1.0)
            step = doubled if self._slow_start else max(1.0, 0.05 * self.limit)
            if regrows:
                step = max(1.0, min(0.5 * self.limit, self._back - self.limit))
            self.limit = min(float(self.ceiling), self.limit + step)

    def cut(self, now: float) -> bool:
        """The endpoint is overloaded: once per episode the bound falls to three quarters. Whether it did."""
        self._slow_start = False
        self._done = self.peak = 0
        if now - self._cut < COOL_DOWN:
            return False
        self._cut = self._grown = now
        if self._answered:
            # Further cuts without an answer between say nothing on how many are too many.
            self._back, self._answered = 0.75 * self.limit, False
        self.limit = max(1.0, self.limit * 0.75)
        self.episodes += 1
        return True


class Trace:
    """When requests were accepted, in bins of a tenth of a second.

    Attributes:
        held: a time of which what came before it is still wanted; infinite for none.
    """

    __slots__ = ("_bins", "held")

    def __init__(self) -> None:
        self.held = math.inf
        self._bins: deque[list[float]] = deque()

    def add(self, now: float, count: float = 1.0) -> list[float]:
        """Count one that was sent now; the bin is what `refused` needs."""
        bins = self._bins
        if bins and now - bins[-1][0] < 0.1:
            bins[-1][1] += count
        else:
            bins.append([now, count])
            gone = min(now, self.held) - KEPT
            while bins[0][0] < gone:
                bins.popleft()
        return bins[-1]

    def __iter__(self) -> Iterator[tuple[float, float]]:
        """(time, count), oldest first."""
        return ((at, count) for at, count in self._bins)

    def left(self, seconds: float, end: float) -> float:
        """When a twentieth of what was accepted in the `seconds` before `end` will have left such a window."""
        share = 0.05 * self.within(seconds, end)
        for at, count in self._bins:
            if end - seconds < at <= end:
                share -= count
                if share <= 0.0:
                    return at + seconds + 0.1
        return end + seconds

    def within(self, seconds: float, end: float) -> float:
        """How many were accepted in the `seconds` before `end`."""
        begin, found = end - seconds, 0.0
        for at, count in reversed(self._bins):
            if at <= begin:
                break
            if at <= end:
                found += count
        return found


class LearnedRate:
    """The state of asking how much an endpoint takes that never says so.

    OPEN until the first refusal; then SHUT: one request at a time is sent, when enough has left one of the windows that
    servers use, until one is accepted. Then each window is held against what was seen: what was in it when a request
    was refused was too much, and what was in it when one was accepted was not. Of the windows that contradict nothing
    the longest is believed, which is the slowest.

    What was found is no more than a belief. After a window of it a trial follows: a little more is sent than was
    refused (`most`). Refused again at about that count, the limit is believed, is raised in small steps, and is tried
    at ever longer intervals. Accepted, what shut the endpoint was no limit, or is none any more: the limit grows by
    ever more until it does not bind, or until a refusal tells of another one.

    Attributes:
        window, limit: what was found; None and 0 before.
        most: what was in the window when a request was refused last, or may have been.
        probe_at: while shut, when the next request may be sent.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.window: float | None = None
        self.limit = 0.0
        self.most = math.inf
        self.shut_at: float | None = None
        self.probe_at = 0.0
        self.probing = False
        self.found_at = -math.inf
        self._refused_until = 0.0
        self._state: Literal["held", "tried", "growing"] = "held"
        self._confirmed = 0
        self._raised = -math.inf
        self._looked = -math.inf
        self._step = RAISE

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
        elif not self.probing:
            # One more that was out when the endpoint shut.
            self.shut_at = min(self.shut_at, sent)
            return
        else:
            self._refused_until = sent
        self.probing = False
        self.trace.held = self.shut_at
        self.probe_at = max(self.probe_at, now + (self._gap(self.shut_at, now) if retry_after is None else retry_after))
        self.probe_at += 0.1 * draw

    def accepted(self, sent: float, now: float, probe: bool) -> bool:
        """A request was accepted. Whether a limit was found or changed by that."""
        if self.shut_at is not None:
            if not probe or sent < self.shut_at:
                return False
            shut, self.shut_at, self.probing = self.shut_at, None, False
            self._learn(shut, sent)
            self.trace.held = math.inf
            self.found_at = now
            return True
        if self.window is None or now - self._looked < GLANCE:
            return False
        self._looked = now
        if self._state == "held":
            return self._tried(self.window, sent, now) or self._raise(self.window, now)
        if self._state == "tried":
            return self._refuted(self.window, sent, now, TRIAL / 3.0)
        return self._grown(self.window, sent, now)

    @property
    def hurry(self) -> float:
        """Times its pace at which the limit is to be used: more than one while it is tried."""
        return HURRY if self._state == "tried" else 1.0

    def statistics(self) -> Mapping[str, object]:
        """What was found, and whether the endpoint is shut."""
        return {"limit": round(self.limit, 2), "window": self.window, "shut": self.shut_at is not None}

    def _gap(self, shut: float, now: float) -> float:
        """Seconds until a twentieth has left the next of the windows; no longer than `PATIENCE`."""
        if self.window is not None and self._refused_until == shut:
            # It is known which window it is; the others are as full, and tell of nothing.
            return max(GLANCE, self.trace.left(self.window, shut) - now)
        times = (self.trace.left(window, shut) - now for window in WINDOWS)
        return min(PATIENCE, min((wait for wait in times if wait >= 0.5), default=PATIENCE))

    def _tried(self, window: float, sent: float, now: float) -> bool:
        """Whether more was accepted than was refused, or a trial of that begins: when the limit was used up and
        nothing refused for its own window, and for ever longer where trials were refused."""
        if self._refuted(window, sent, now, 0.05):
            return True
        if now - self.found_at < max(5.0, window) * RARER**self._confirmed or not self._full(window, now):
            return False
        self._state = "tried"
        self._raised = now
        # The books hold no more than that, so that however late a refusal comes, few are out by then.
        self.limit = max(self.limit, (1.0 + TRIAL) * self.most + 3.0)
        return True

    def _refuted(self, window: float, sent: float, now: float, margin: float) -> bool:
        """Whether a request was accepted on top of more than was refused: then the limit begins to grow."""
        if sent <= max(self._raised, self.found_at):
            return False
        if self.trace.within(window, sent) <= (1.0 + margin) * self.most + 1.0:
            return False
        self._state = "growing"
        self._step = RAMP
        return self._grow(now)

    def _grown(self, window: float, sent: float, now: float) -> bool:
        """Whether the limit grew further, since it binds though it did: one that was sent since then was accepted."""
        span = max(STEP, 2.0 * window / self.limit)
        if sent <= self._raised or now - self._raised < span:
            return False
        return self.trace.within(span, now) >= 0.7 * self.limit * span / window and self._grow(now)

    def _full(self, window: float, now: float) -> bool:
        # Whole requests are counted: of 2.6 no more than two can be.
        return self.trace.within(window, now) >= 0.9 * int(self.limit)

    def _grow(self, now: float) -> bool:
        self._raised = now
        self.limit *= 1.0 + self._step
        self._step = min(2.0 * self._step, 1.0)
        return True

    def _raise(self, window: float, now: float) -> bool:
        """Whether the limit grew in small steps: by a fiftieth after half a minute in which it was used up and nothing
        was refused, and by ever more if that goes on; by a two hundredth near to what was refused before."""
        if not self._confirmed or now - max(self._raised, self.found_at) < 30.0 or not self._full(window, now):
            return False
        self._raised = now
        if self.limit * (1.0 + RAISE) > 0.97 * self.most:
            self.limit *= 1.005
        else:
            self.limit *= 1.0 + self._step
            self._step = min(2.0 * self._step, 0.25)
        return True

    def _learn(self, shut: float, sent: float) -> None:
        within = self.trace.within
        known = self.window
        if known is not None and self._explains(known, shut, sent):
            self._again(known, within(known, shut))
            return
        window = next((window for window in reversed(WINDOWS) if self._explains(window, shut, sent)), None)
        if window is None:
            # None explains it (somebody else uses the limit too, or it changed): as long as it was seen to refuse.
            lasted = self._refused_until - shut
            window = next((window for window in WINDOWS if lasted < window), WINDOWS[-1])
            if known is not None and window <= known:
                # Less than the count of the last refusal, and no less than that of what was accepted after it.
                between = 0.5 * (within(known, self._refused_until) + within(known, sent))
                self._hold(known, max(0.5 * self.limit, min(between, 0.95 * self.limit)))
                return
        if within(window, shut) >= 1.0:
            self._hold(window, within(window, shut))

    def _again(self, window: float, count: float) -> None:
        """The window was known, and yet something was refused, with so many in it."""
        most = self.most
        near = 0.9 * most <= count <= 1.1 * most
        if self._state != "held":
            # What a trial found is exact, unless the window was nearly empty.
            self._hold(window, max(count, 0.5 * most), self._confirmed + 1 if near else 0)
            return
        # Once it is halved, no more: in a window that is nearly empty a refusal tells little of the limit.
        self._hold(window, max(0.5 * self.limit, min(count, 0.95 * self.limit)), self._confirmed if near else 0)
        # A refusal where the limit was confirmed is no news: to believe each would follow every storm downwards.
        self.most = most if self._confirmed else max(1.0, count)

    def _hold(self, window: float, limit: float, confirmed: int = 0) -> None:
        self.window = window
        self.limit = self.most = max(1.0, limit)
        self._state = "held"
        self._confirmed = confirmed
        self._step = RAISE

    def _explains(self, window: float, shut: float, sent: float) -> bool:
        """Whether what a window held at the refusals and at the acceptance `sent` can be: a limit lies between."""
        within = self.trace.within
        refused = within(window, shut)
        if refused < 1.0 or within(window, self._refused_until) < 0.9 * refused:
            return False
        return within(window, sent) <= refused
