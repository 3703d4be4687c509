"""When to ask again: a pure decision, and a thin shell that waits.

Takes an error and what has been spent on it; gives a wait in seconds or the reason to give up. The shell holds
nothing while it waits (it stands outside the in-flight bound). Never retries what cannot succeed: refused
requests and stops pass at once.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random

from semprop.providers.base import Completion, Request
from semprop.providers.breaker import Breaker, RetryBudget
from semprop.providers.clock import SLEPT, Clock
from semprop.providers.errors import ErrorClass, ProviderError, ProviderFailure, RetryError, StopError
from semprop.providers.layers import Send


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The bounds of asking again.

    Attributes:
        tries: how often one request may fail by transport (TRANSIENT) before it is given up, the first included.
        throttles: the same for what charges nothing: refusals (RATE, OVERLOAD, DAILY), and connections that could not
            be made, which are no request's own fault.
        elapsed: seconds from the first failure after which no new wait begins, and which no wait may pass (the wait
            for a first turn in a queue is not in it).
        base: seconds; the n-th wait is drawn from 0 to base · 2ⁿ⁻¹ (full jitter).
        cap: seconds; the longest of those draws. A wait that the endpoint asked for may be longer.
        per_minute: retries of charged failures that all requests together may make in a minute …
        share: … and for each success. Further ones wait, within `elapsed`.
        breaker: failures in a row, without a success, after which everything stops …
        breaker_seconds: … if they lasted so long. An outage is sat out until then.
        unreached, unreached_seconds: the same for an endpoint that could never be reached: no outage, but a wrong
            address, or a server that is not running.
    """

    tries: int = 5
    throttles: int = 40
    elapsed: float = 600.0
    base: float = 0.5
    cap: float = 30.0
    per_minute: float = 20.0
    share: float = 0.1
    breaker: int = 20
    breaker_seconds: float = 600.0
    unreached: int = 5
    unreached_seconds: float = 3.0

    def __post_init__(self) -> None:
        if self.tries < 1 or self.throttles < 1 or min(self.elapsed, self.base, self.cap) < 0:
            raise ValueError(f"a retry policy needs tries and throttles ≥ 1 and no negative seconds: {self}")
        if min(self.breaker, self.unreached) < 1 or min(self.breaker_seconds, self.unreached_seconds) < 0:
            raise ValueError(f"a retry policy needs a breaker ≥ 1, unreached ≥ 1 and no negative seconds: {self}")
        if self.per_minute <= 0 or self.share < 0:
            raise ValueError(f"a retry policy needs per_minute > 0 and no negative share: {self}")


@dataclass(frozen=True, slots=True)
class Tally:
    """What one request has cost so far: transport failures, what charged nothing, and attempts on the wire."""

    failures: int = 0
    throttles: int = 0
    attempts: int = 0

    def after(self, error: ProviderError) -> Tally:
        """This tally with one more error in it."""
        failed = is_charged(error)
        return Tally(self.failures + failed, self.throttles + (not failed), self.attempts + max(0, error.attempts))


_NOTHING = Tally()


def is_charged(error: ProviderError) -> bool:
    """Whether a failure may have cost something: it broke after something was sent."""
    return error.error_class is ErrorClass.TRANSIENT and error.attempts > 0


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not ask again, and why."""

    reason: str


def decide(error: ProviderError, tally: Tally, elapsed: float, draw: float, policy: RetryPolicy) -> Wait | GiveUp:
    """Whether to ask again after `error`, which `tally` already counts.

    Args:
        error: what the last try met.
        tally: everything met so far.
        elapsed: seconds since the first try began.
        draw: a random number in [0, 1).
        policy: the bounds.

    The wait is `draw · min(cap, base · 2ⁿ⁻¹)` (full jitter) on top of what the endpoint asked for, which is a
    minimum.
    """
    if not isinstance(error, RetryError):
        return GiveUp("it cannot succeed by asking again")
    if tally.failures >= policy.tries:
        return GiveUp(f"it failed {tally.failures} times")
    if tally.throttles >= policy.throttles:
        word = "not reached" if error.error_class is ErrorClass.TRANSIENT else "throttled"
        return GiveUp(f"it was {word} {tally.throttles} times")
    if error.error_class is ErrorClass.DAILY and error.retry_after is None:
        return GiveUp("a daily limit is used up, and the endpoint does not say until when")
    repeat = min(max(1, tally.failures if is_charged(error) else tally.throttles), 64)
    seconds = draw * min(policy.cap, policy.base * 2.0 ** (repeat - 1)) + max(0.0, error.retry_after or 0.0)
    if elapsed + seconds > policy.elapsed:
        return GiveUp(f"{elapsed:.0f} s have passed and the next try would be {seconds:.0f} s later")
    return Wait(seconds)


def _in_its_place(request: Request, came: float) -> Request:
    """The request, which remembers when it first came."""
    if request.admission.arrived is not None:
        return request
    return replace(request, admission=request.admission._replace(arrived=came))


def _never(error: ProviderError) -> bool:
    return False


class Retry:
    """The layer: asks again as `decide` says, on a clock and a generator that were passed in."""

    def __init__(
        self,
        policy: RetryPolicy,
        clock: Clock,
        random: Random,
        waits_elsewhere: Callable[[ProviderError], bool] = _never,
    ) -> None:
        """
        Args:
            policy: the bounds.
            clock: what waits are measured on.
            random: what draws them.
            waits_elsewhere: whether what stands inside holds the next try back after this error (a limiter's freeze):
                then no wait is added here, and the request keeps the place that it had in the queue.
        """
        self._policy = policy
        self._waits_elsewhere = waits_elsewhere
        self._clock = clock
        self._random = random
        self._budget = RetryBudget(policy.per_minute, policy.share, clock.now())
        self._breaker = Breaker(
            policy.breaker,
            policy.breaker_seconds,
            unreached=policy.unreached,
            unreached_seconds=policy.unreached_seconds,
        )
        self._debtors: list[tuple[int, asyncio.Future[None]]] = []
        self._waiting = 0
        self._retries = 0
        self._given_up = 0
        self._waited = 0.0

    def __repr__(self) -> str:
        return f"Retry({self._policy}, retries={self._retries}, waiting={self._waiting})"

    def around(self, send: Send) -> Send:
        """`send` with retries. Raises `ProviderFailure` from the last error once the bounds are reached."""

        async def complete(request: Request) -> Completion:
            came = first = self._clock.now()
            tally = _NOTHING
            while True:
                try:
                    completion = await send(request)
                except ProviderError as error:
                    now = self._clock.now()
                    if tally is _NOTHING:
                        first = now
                        request = _in_its_place(request, came)
                    tally = tally.after(error)
                    decision = self._decided(error, tally, request, first, now)
                    if isinstance(decision, StopError):
                        decision.attempts = tally.attempts
                        raise decision from error
                    if isinstance(decision, GiveUp):
                        error.attempts = tally.attempts
                        if not isinstance(error, RetryError):
                            raise
                        raise self._failure(error, decision) from error
                    self._retries += 1
                    if self._waits_elsewhere(error):
                        continue
                    slept = await self._waited_for(decision, is_charged(error), request, first)
                    if slept is None:
                        given_up = GiveUp("more retries are wanted than the budget of all requests allows")
                        error.attempts = tally.attempts
                        raise self._failure(error, given_up) from error
                    first += slept
                else:
                    self._succeeded()
                    if not tally.attempts:
                        return completion
                    return replace(completion, attempts=completion.attempts + tally.attempts)

        return complete

    def statistics(self) -> Mapping[str, object]:
        """Retries made, requests given up, seconds waited (summed over requests), and who waits now."""
        return {
            "retries": self._retries,
            "given_up": self._given_up,
            "retry_seconds": self._waited,
            "retries_waiting": self._waiting,
            "failures_in_a_row": self._breaker.row,
        }

    def _decided(
        self, error: ProviderError, tally: Tally, request: Request, first: float, now: float
    ) -> Wait | GiveUp | StopError:
        stop = self._breaker.failed(error, now)
        if stop is not None:
            return stop
        return decide(error, tally, now - first, self._random.random(), self._within(request, first))

    def _within(self, request: Request, start: float) -> RetryPolicy:
        deadline = request.admission.deadline
        if deadline is None:
            return self._policy
        return replace(self._policy, elapsed=max(0.0, min(self._policy.elapsed, deadline - start)))

    def _failure(self, error: ProviderError, decision: GiveUp) -> ProviderFailure:
        self._given_up += 1
        return ProviderFailure(
            f"given up after {error.attempts} attempts, since {decision.reason}; the last error: {error}",
            error.error_class,
            status=error.status,
            retry_after=error.retry_after,
            dimension=error.dimension,
            attempts=error.attempts,
        )

    def _succeeded(self) -> None:
        self._breaker.succeeded()
        self._budget.succeeded()
        while self._debtors:
            ticket, woken = self._debtors[0]
            if not woken.done():
                if self._budget.wait(ticket, self._clock.now()):
                    return
                woken.set_result(None)
            heapq.heappop(self._debtors)

    async def _waited_for(self, decision: Wait, charged: bool, request: Request, first: float) -> float | None:
        """Wait as decided, and until the budget of all requests allows it; None if it does not in time.

        Gives the seconds that this process slept meanwhile (0 unless it was stopped or the machine suspended), which
        are none of those that the request may take.
        """
        began = self._clock.now()
        ticket = self._budget.spend(began) if charged else None
        self._waiting += 1
        try:
            await self._clock.sleep(decision.seconds)
            now = self._clock.now()
            late = now - began - decision.seconds
            slept = late if late > SLEPT else 0.0
            if ticket is None or not self._budget.wait(ticket, now):
                return slept
            left = first + slept + self._within(request, first).elapsed - now
            return slept if await self._turn(ticket, max(0.0, left)) else None
        finally:
            self._waiting -= 1
            self._waited += self._clock.now() - began

    async def _turn(self, ticket: int, most: float) -> bool:
        """Wait for a ticket's turn, for so many seconds at most; whether it came."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        wait = min(most, self._budget.wait(ticket, self._clock.now()))
        timer = self._clock.call_later(wait, lambda: None if woken.done() else woken.set_result(None))
        heapq.heappush(self._debtors, (ticket, woken))
        try:
            await woken
        finally:
            timer.cancel()
            # Whoever looks at the row finds it done.
            woken.cancel()
        return not self._budget.wait(ticket, self._clock.now())
