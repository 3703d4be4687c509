"""The layer that holds requests back: between the retries and the endpoint.

Takes a limiter and the terms of a provider; gives each attempt a permit, and the limiter every outcome. A permit is
settled exactly once, whatever happens: by usage, by the error, or as abandoned on cancellation.
"""

from __future__ import annotations

from collections.abc import Mapping

from semprop.providers.base import Completion, Request, Usage
from semprop.providers.errors import ProviderError
from semprop.providers.layers import Send
from semprop.providers.limits.accounts import Cost
from semprop.providers.limits.estimates import Estimator, length
from semprop.providers.limits.limiter import Limiter, Terms
from semprop.providers.limits.lines import Place
from semprop.providers.pictures import UNTOLD, Pictures
from semprop.providers.wire.profiles import cost_of, settled


class Limits:
    """The layer: every attempt waits for its turn, and its outcome is booked."""

    def __init__(self, limiter: Limiter, terms: Terms, pictures: Pictures = UNTOLD) -> None:
        """
        Args:
            limiter: may be shared with other providers.
            terms: what these requests are bound by.
            pictures: what pictures cost there; where that is not known, it is learned with the text around them.
        """
        self._pictures = pictures
        self._limiter = limiter
        self._terms = terms
        self._lane = limiter.lane(terms)
        self._estimator = Estimator()

    def __repr__(self) -> str:
        return f"Limits({self._lane.name}, {self._limiter!r})"

    def around(self, send: Send) -> Send:
        """`send`, each time after a permit: its own, or the one that a pool brings along."""
        limiter, lane, pictures = self._limiter, self._lane, self._pictures

        async def complete(request: Request) -> Completion:
            characters, seen = length(request), pictures.expected(request)
            cost = self._cost(request, characters, seen)
            chosen = request.admission.way
            permit = await limiter.acquire(lane, cost, request.admission) if chosen is None else chosen.permit
            try:
                completion = await send(request)
            except ProviderError as error:
                limiter.failed(permit, error)
                raise
            except BaseException:
                limiter.abandon(permit)
                raise
            self._estimator.observe(request, completion.usage, characters, seen)
            final = settled(lane.profile, cost, completion.usage, request.sampling.max_tokens)
            limiter.settle(permit, final, completion.limits)
            return completion

        return complete

    def cost(self, request: Request) -> Cost:
        """What a request is taken to cost before it is sent."""
        return self._cost(request, length(request), self._pictures.expected(request))

    def place(self, request: Request) -> Place:
        """Where it would be sent, for a pool that chooses."""
        return Place(self._lane, self.cost(request))

    @property
    def is_failing(self) -> bool:
        """Whether nothing succeeds there."""
        return self._lane.groups[0].is_failing

    @property
    def in_flight(self) -> int:
        """Requests that are out."""
        return self._lane.groups[0].in_flight

    @property
    def in_flight_limit(self) -> int:
        """As many as may be, for now."""
        return int(self._lane.groups[0].slots.limit)

    def usage(self, request: Request) -> Usage:
        """The tokens that a request is expected to take."""
        estimator = self._estimator
        given = estimator.input_tokens(request) + self._pictures.expected(request)
        return Usage(round(given), 0, 0, round(estimator.output_tokens(request)))

    def _cost(self, request: Request, characters: int, pictures: int) -> Cost:
        estimator = self._estimator
        given = pictures + estimator.of_length(characters, len(request.messages), request.admission.node)
        return cost_of(self._lane.profile, given, estimator.output_tokens(request), request.sampling.max_tokens)

    def statistics(self) -> Mapping[str, object]:
        """Bounds, who is in flight and who waits; `limits` says of every group and dimension why it does not run."""
        group = self._lane.groups[0]
        return {
            "in_flight_limit": self.in_flight_limit,
            "in_flight": self.in_flight,
            "in_flight_peak": group.peak,
            "waiting": group.waiting,
            "limits": self._limiter.statistics(),
            "tokens_estimated": self._estimator.statistics(),
        }
