"""How batches stand in a stack: requests that nobody waits for go that way, all others pass by, except for those that
stand in a batch already: they would be paid twice.

A row is reserved at its worst before it is gathered, at the batch price, and settled by its usage. What a batch did not
reach, or refused, costs nothing (both services document that); what ended without a word stays at the worst case. A
row that failed for a passing reason is reserved anew and goes into a later batch, a few times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from types import TracebackType
from typing import Self

from semprop.providers.base import (
    Capabilities,
    Completion,
    Notes,
    Provider,
    Ready,
    Request,
    Sampling,
    Usage,
    content_key,
)
from semprop.providers.batches.provider import Batches
from semprop.providers.batches.terms import BatchTerms
from semprop.providers.budget import NOTHING, Amount, BudgetSpent, Reservation, failed, settled, worst_case
from semprop.providers.errors import ErrorClass, ProviderError, ProviderFailure, RetryError
from semprop.providers.layers import Price, Send, filled
from semprop.providers.pictures import Pictures
from semprop.providers.valve import Valve, check_bounded, lost_of

TURNS = 300
"""Times that a request is handed in, refused ones included: a day of them at the longest usual pause."""


class Priced:
    """Dollars of a usage by how the request was handed in."""

    def __init__(self, alone: Price, batch: Price) -> None:
        self._alone, self._batch = alone, batch

    def __call__(self, usage: Usage) -> float | None:
        return self._batch(usage) if usage.batch else self._alone(usage)

    def dearest(self, given: int, produced: int) -> float | None:
        """The most that a request may cost, handed in alone."""
        dearest: Callable[[int, int], float | None] | None = getattr(self._alone, "dearest", None)
        return self._alone(Usage(given, 0, 0, produced)) if dearest is None else dearest(given, produced)


@dataclass(frozen=True, slots=True)
class Costs:
    """What rows cost at most, and what they are reserved in."""

    price: Price
    pictures: Pictures
    valve: Valve


class Batching:
    """The layer."""

    def __init__(
        self, batches: Batches, identity: str, terms: BatchTerms, costs: Costs, sampling: Sampling | None
    ) -> None:
        """
        Args:
            identity: as content keys have it.
            costs: of requests in a batch.
            sampling: fills what requests leave open.
        """
        self._batches, self._identity, self._terms = batches, identity, terms
        self._costs, self._sampling = costs, sampling
        self._left: dict[str, Amount] = {}

    def around(self, send: Send) -> Send:
        """`send`, for those that somebody waits for."""

        async def complete(request: Request) -> Completion:
            if request.admission.patient or (
                self._batches.is_waiting and self._batches.holds(content_key(self._identity, request))
            ):
                return await self._in_batch(request)
            return await send(request)

        return complete

    def statistics(self) -> Mapping[str, object]:
        return {}

    async def _in_batch(self, request: Request) -> Completion:
        key = content_key(self._identity, request)
        if self._sampling is not None:
            request = replace(request, sampling=filled(request.sampling, self._sampling))
        check_bounded(self._costs.valve.purse.caps, request)
        attempts = tries = 0
        for turns in count(1):
            try:
                completion = await self._once(request, key)
            except ProviderError as error:
                attempts += error.attempts
                if not isinstance(error, RetryError):
                    error.attempts = attempts
                    raise
                # Refused since too much of the account's waits, it was in no batch: that passes, if not soon.
                tries += not (error.error_class is ErrorClass.RATE and not error.attempts)
                if tries >= self._terms.tries or turns >= TURNS:
                    raise ProviderFailure(
                        f"{error}; it was in {tries} batches",
                        error.error_class,
                        status=error.status,
                        attempts=attempts,
                    ) from error
            else:
                return replace(completion, attempts=attempts + 1)
        raise AssertionError("every turn returns, raises or is followed by another")

    async def _once(self, request: Request, key: str) -> Completion:
        """One row of one batch."""
        costs, sent = self._costs, request.admission.sent
        purse, amount, counted = costs.valve.purse, NOTHING, 0
        reservation = await self._reserved(request, key)
        worst = reservation.worst
        try:
            completion = await self._batches.complete(request, key)
            amount, counted = settled(worst, completion, costs.price), 1
            return completion
        except ProviderError as error:
            amount, counted = cost(worst, error), error.attempts
            if sent is not None and counted:
                sent.lost = (*sent.lost, lost_of(amount, cancelled=False))
            raise
        except asyncio.CancelledError:
            if self._batches.holds(key):
                # The batch goes on: it counts at its worst, until whoever asks again is told what it cost.
                amount = self._left[key] = worst
            raise
        finally:
            purse.settle(reservation, amount)
            if sent is not None and counted:
                sent.attempts = (sent.attempts or 0) + counted
                sent.spent = amount if sent.spent is None else sent.spent + amount

    async def _reserved(self, request: Request, key: str) -> Reservation:
        """The worst case of a row, held back; that of one that was left in its batch is held back already."""
        valve, worst = self._costs.valve, worst_case(request, self._costs.price, self._costs.pictures)
        if valve.is_shut:
            await valve.hold()
        before = self._left.pop(key, None)
        if before is not None:
            return valve.purse.reopened(before)
        try:
            return await valve.purse.reserve(worst)
        except BudgetSpent as spent:
            valve.shut(spent)
            await valve.hold()
            raise


def cost(worst: Amount, error: ProviderError) -> Amount:
    """What a row without a reply cost: errors of the service are not charged in a batch."""
    if error.status is not None and error.status >= 500:
        return Amount(max(0, error.attempts))
    return failed(worst, error)


class Beside:
    """An endpoint and its batch API, opened and closed together."""

    def __init__(self, endpoint: Provider, batches: Batches) -> None:
        self._endpoint, self._batches = endpoint, batches
        self.complete = endpoint.complete
        if isinstance(endpoint, Ready):
            self.ready = endpoint.ready
        self._entered = 0

    def __repr__(self) -> str:
        return f"Beside({self._endpoint!r}, {self._batches!r})"

    @property
    def identity(self) -> str:
        return self._endpoint.identity

    @property
    def model(self) -> str:
        return self._endpoint.model

    @property
    def capabilities(self) -> Capabilities:
        return self._endpoint.capabilities

    def quiescent(self) -> None:
        """What is gathered may go."""
        self._batches.quiescent()

    def keep(self, notes: Notes) -> None:
        """Note there what must outlive a kill."""
        self._batches.keep(notes)

    def statistics(self) -> Mapping[str, object]:
        return {**self._endpoint.statistics(), **self._batches.statistics()}

    async def __aenter__(self) -> Self:
        await self._endpoint.__aenter__()
        self._entered += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered -= 1
        try:
            if not self._entered:
                await self._batches.close()
        finally:
            await self._endpoint.__aexit__(kind, error, trace)
