"""A provider whose calls are watched: when each was to begin, when it left, when it ended, and what it cost.

Wraps a `Stack`; answers as it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from semprop.bench.providers.samples import Call, Leaving, Outcome, outcome_of
from semprop.providers.base import Admission, Capabilities, Completion, Request, Timing, Usage
from semprop.providers.budget import PICODOLLARS, Amount, failed, worst_case
from semprop.providers.errors import ProviderError
from semprop.providers.layers import Stack


class Watched:
    """One unit's view of a provider: a `Provider` that notes every call made through it.

    Attributes:
        calls: what was noted, in the order in which calls ended.
    """

    def __init__(self, stack: Stack, now: Callable[[], float], intended: float) -> None:
        """
        Args:
            stack: who answers; it is open.
            now: seconds on the clock of all instants.
            intended: when the unit was to begin; its first calls count from there, later ones from when they were made.
        """
        self._stack, self._now = stack, now
        self._intended: float | None = intended
        self.calls: list[Call] = []

    @property
    def identity(self) -> str:
        return self._stack.identity

    @property
    def model(self) -> str:
        return self._stack.model

    @property
    def capabilities(self) -> Capabilities:
        return self._stack.capabilities

    async def complete(self, request: Request) -> Completion:
        """Answer one request; see `Stack.complete`."""
        intended = self._now() if self._intended is None or self.calls else self._intended
        leaving = Leaving(self._now)
        watched = replace(request, admission=Admission("benchmark", sent=leaving))
        try:
            completion = await self._stack.complete(watched)
        except ProviderError as error:
            self.calls.append(
                self._failed(intended, leaving, worst_case(request, self._stack.price, self._stack.pictures), error)
            )
            raise
        self.calls.append(self._answered(intended, leaving, completion))
        return completion

    def _answered(self, intended: float, leaving: Leaving, completion: Completion) -> Call:
        timing = completion.timing or Timing(-1.0)
        usd, lost = self._stack.price(completion.usage), self._lost(leaving)
        return Call(
            intended=intended,
            left=leaving.last,
            ended=self._now(),
            outcome=outcome_of(completion.stop),
            usage=completion.usage,
            first=None if timing.first_token < 0 else timing.first_token,
            gaps=timing.gaps,
            attempts=completion.attempts,
            usd=None if usd is None or lost is None else usd + lost,
            lost_usd=lost or 0.0,
        )

    def _failed(self, intended: float, leaving: Leaving, worst: Amount, error: ProviderError) -> Call:
        return Call(
            intended=intended,
            left=leaving.last,
            ended=self._now(),
            outcome=Outcome.ERROR,
            attempts=error.attempts,
            usd=self._cost_of_failure(leaving, worst, error),
            lost_usd=self._lost(leaving) or 0.0,
            error=str(error.error_class),
        )

    def _cost_of_failure(self, leaving: Leaving, worst: Amount, error: ProviderError) -> float | None:
        if leaving.lost:
            return self._lost(leaving)
        # Nobody counted its attempts; one that was never sent, or was refused, cost nothing.
        return 0.0 if not failed(worst, error).picodollars and self._is_priced else None

    def _lost(self, leaving: Leaving) -> float | None:
        """What the attempts that gave no reply may have cost, each at its worst if it was begun; None if that has no
        bound or no price."""
        total = 0
        for each in leaving.lost:
            begun = bool(each.input or each.output)
            if begun and not (each.output and self._is_priced):
                return None
            total += each.picodollars
        return total / PICODOLLARS

    @property
    def _is_priced(self) -> bool:
        return self._stack.price(Usage(input=1, output=1)) is not None

    def statistics(self) -> dict[str, object]:
        return {"calls": len(self.calls)}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
