"""The public double: a provider that answers from a script, and a clock that takes no real time.

Takes a script (a function, a mapping or a list); gives replies, and records every request. With a latency its
calls take time on a clock; on a `VirtualClock` that time passes only while every task waits, so a test of
concurrency is deterministic and takes milliseconds. Draws nothing at random, opens nothing.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from types import TracebackType
from typing import Self

import anyio.lowlevel

from semprop.providers.base import Capabilities, Completion, Request
from semprop.providers.clock import Clock
from semprop.providers.errors import ErrorClass, ProviderError, StopError
from semprop.providers.plain import Plain

Answer = str | Completion | Exception
"""A text, a whole completion, or an exception to raise."""

Function = Callable[[Request], Answer | Awaitable[Answer]]

Script = Function | Mapping[str, Answer] | Sequence[Answer]
"""What answers: a function of the request; a mapping, of which the first key that stands in the last message
decides; or a list, used up in the order in which requests arrive."""

SPINS = 500
"""Turns of the event loop without a new sleeper after which a `VirtualClock` takes the loop for idle, where the
loop does not let it see what is ready."""

_SPINS_SEEN = 100_000
"""The same where it does: two clocks on one loop keep each other from ever seeing it idle."""


class VirtualClock:
    """Seconds that pass at once: when every task waits, time jumps to the next sleeper.

    Deterministic on asyncio's own loop: sleepers wake in the order (time, arrival). What waits for the outside
    (a socket, a thread) counts as waiting. One clock for one event loop at a time.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._arrivals = 0
        self._watching: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"VirtualClock(now={self._now}, sleeping={len(self._sleepers)})"

    def now(self) -> float:
        """Virtual seconds since `start`."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return when so many virtual seconds have passed. A checkpoint even for zero or less."""
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        woken = self._wake_after(seconds)
        try:
            await woken
        finally:
            woken.cancel()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.Future[None]:
        """Call back when so many virtual seconds have passed, unless the future is cancelled before."""
        woken = self._wake_after(max(seconds, 0.0))
        woken.add_done_callback(lambda future: None if future.cancelled() else callback())
        return woken

    def _wake_after(self, seconds: float) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        self._arrivals += 1
        heapq.heappush(self._sleepers, (self._now + seconds, self._arrivals, woken))
        if self._watching is not loop:
            self._watching = loop
            loop.call_soon(self._watch, loop, self._arrivals, 0)
        return woken

    def _watch(self, loop: asyncio.AbstractEventLoop, arrivals: int, turns: int) -> None:
        """Look once a turn of the loop whether anything is left to run; if nothing is, jump."""
        self._drop_cancelled()
        if not self._sleepers:
            self._watching = None
            return
        if arrivals != self._arrivals:
            turns = 0
        if not turns or not _is_idle(loop, turns):
            loop.call_soon(self._watch, loop, self._arrivals, turns + 1)
            return
        self._now = self._sleepers[0][0]
        while self._sleepers and self._sleepers[0][0] <= self._now:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)
        loop.call_soon(self._watch, loop, self._arrivals, 0)

    def _drop_cancelled(self) -> None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)


def _is_idle(loop: asyncio.AbstractEventLoop, turns: int) -> bool:
    # asyncio has no public way to ask; other loops do not have this queue.
    ready = getattr(loop, "_ready", None)
    if ready is None:
        return turns >= SPINS
    return not ready or turns >= _SPINS_SEEN


class Scripted(Plain):
    """A provider that answers from a script.

    Attributes:
        requests: every request, in the order of arrival.
        clock: what latencies are measured on.
        in_flight, peak: calls that run now, and the most that ever ran at once.
        entered: how often it is entered now; 0 before and after use.
        quiet: how many requests had come each time that it was told that no more will for now.
    """

    def __init__(
        self,
        script: Script,
        *,
        model: str = "scripted",
        identity: str | None = None,
        capabilities: Capabilities | None = None,
        latency: float | Callable[[Request], float] = 0.0,
        clock: Clock | None = None,
    ) -> None:
        """
        Args:
            script: what answers.
            model: the model's name.
            identity: what answers, for content keys; `scripted:MODEL` where it is not given.
            capabilities: what it promises; schema, choices, logprobs and images where it is not given.
            latency: seconds that a call takes, or a function of the request.
            clock: what they are measured on; a new `VirtualClock` where it is not given.
        """
        promised = capabilities or Capabilities(schema=True, choices=True, logprobs=True, images=True)
        super().__init__(identity or f"scripted:{model}", model, promised)
        self._script = script
        self._latency = latency
        self.clock: Clock = clock or VirtualClock()
        self.requests: list[Request] = []
        self.in_flight = 0
        self.peak = 0
        self.entered = 0
        self.quiet: list[int] = []
        self._answered = 0

    def __repr__(self) -> str:
        return f"Scripted({self._identity}, requests={len(self.requests)}, in_flight={self.in_flight})"

    def quiescent(self) -> None:
        """Recorded in `quiet`."""
        self.quiet.append(len(self.requests))

    def statistics(self) -> Mapping[str, object]:
        """Attempts (each request is one), answers given, and calls in flight."""
        return {
            "attempts": len(self.requests),
            "answered": self._answered,
            "in_flight": self.in_flight,
            "in_flight_peak": self.peak,
        }

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.entered -= 1

    async def complete(self, request: Request) -> Completion:
        """Answer as the script says. Works without being entered; what the script raises is raised.

        Raises:
            StopError: the script has no answer (CONFIGURATION).
        """
        number = len(self.requests)
        self.requests.append(request)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            latency = self._latency(request) if callable(self._latency) else self._latency
            await self.clock.sleep(latency)
            answer = self._answer(request, number)
            if isawaitable(answer):
                answer = await answer
        finally:
            self.in_flight -= 1
        if isinstance(answer, Exception):
            raise answer
        self._answered += 1
        return answer if isinstance(answer, Completion) else Completion(answer, model=self._model)

    def _answer(self, request: Request, number: int) -> Answer | Awaitable[Answer]:
        if isinstance(self._script, Mapping):
            text = request.messages[-1].text if request.messages else ""
            for key, answer in self._script.items():
                if key in text:
                    return _fresh(answer)
            raise self._silent(f"no key of the mapping stands in the last message: {text[:200]!r}")
        if callable(self._script):
            return self._script(request)
        if number < len(self._script):
            return _fresh(self._script[number])
        raise self._silent(f"request {number + 1} came to a list of {len(self._script)} answers")

    def _silent(self, why: str) -> StopError:
        return StopError(
            f"{self._identity} has no answer, since {why}; add one to the script",
            ErrorClass.CONFIGURATION,
            attempts=0,
        )


def _fresh(answer: Answer) -> Answer:
    """A copy of an error of ours, since raising one object twice mixes tracebacks and counters."""
    if not isinstance(answer, ProviderError):
        return answer
    return type(answer)(
        str(answer),
        answer.error_class,
        status=answer.status,
        retry_after=answer.retry_after,
        dimension=answer.dimension,
        attempts=answer.attempts,
    )
