"""What stands in a limiter's queues: the terms of a provider, and requests that wait for their turn. Starts nothing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from semprop.providers.base import Admission
from semprop.providers.errors import ProviderError
from semprop.providers.limits.accounts import Cost
from semprop.providers.limits.fairqueue import State, Waiter
from semprop.providers.limits.groups import Group, Lane, Permit
from semprop.providers.limits.reasons import reason
from semprop.providers.wire.profiles import PROFILES, Profile


@dataclass(frozen=True, slots=True)
class Terms:
    """What a provider's requests are bound by.

    Attributes:
        account: who pays: requests of one account and group share limits.
        group: the models that share them; often one model.
        limits: (dimension, amount) that bind account and group, as stated by a user.
        account_limits: the same for the account as a whole, over all its groups.
        in_flight: requests at once; None: found out, between the profile's `start` and `most`.
        profile: the service's habits.
    """

    account: str
    group: str
    limits: tuple[tuple[str, float], ...] = ()
    account_limits: tuple[tuple[str, float], ...] = ()
    in_flight: int | None = None
    profile: Profile = PROFILES["unknown"]


class Place(NamedTuple):
    """Where a request may be sent: a lane, and what it costs there."""

    lane: Lane
    cost: Cost = Cost()


class Queued(Waiter):
    """A waiter, its cost, and the future that it waits on.

    A request that may be sent to one of several stands in the queue of each, with one future: the first that has room
    takes it. `beside` are all of them then.
    """

    __slots__ = ("beside", "cost", "deadline", "future", "groups", "permit")

    def __init__(
        self, admission: Admission, place: Place, arrived: float, future: asyncio.Future[Permit | None] | None = None
    ) -> None:
        came = arrived if admission.arrived is None else admission.arrived
        size = max(group.size(place.cost) for group in place.lane.groups) or 1.0
        super().__init__(admission.flow, admission.weight, admission.priority, admission.sequence, came, size)
        # What stands in several queues may leave and come again without having been sent: it is no retry.
        self.returns = admission.arrived is not None and future is None
        self.groups = place.lane.groups
        self.cost = place.cost
        self.deadline = admission.deadline
        self.future: asyncio.Future[Permit | None] = future or asyncio.get_running_loop().create_future()
        self.permit: Permit | None = None
        self.beside: list[Queued] = []

    def refuse(self, error: ProviderError) -> None:
        """Its turn will not come here: it fails, unless it still stands elsewhere."""
        if not self.future.done() and not any(other.state is State.WAITING for other in self.beside):
            self.future.set_exception(error)


def give_up(future: asyncio.Future[Permit | None]) -> None:
    """It has waited for as long as it would."""
    if not future.done():
        future.set_result(None)


def first_in_line(head: Queued, groups: Sequence[Group], now: float) -> Mapping[str, object]:
    """Who is next, and what it waits for, for statistics."""
    wait, _, blocker = max((group.eta(head.cost, now), group.name, group) for group in groups)
    why = reason(blocker, head.cost, now)
    return {
        "flow": head.flow,
        "priority": head.priority,
        "waited_seconds": round(now - head.arrived, 3),
        "eta_seconds": None if wait == math.inf else round(wait, 3),
        "kind": why.kind.value,
        "dimension": why.dimension,
        "waits_for": why.words,
    }
