"""Why a request is not running, in words and as errors: the answers of the limiter. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from semprop.providers.errors import ErrorClass, ItemError, ProviderError, ProviderFailure, StopError
from semprop.providers.groups import Group
from semprop.providers.limits import Cost


def reason(group: Group, cost: Cost, now: float) -> str:
    """What a request of this cost waits for in a group."""
    if group.in_flight >= int(group.slots.limit):
        return f"{group.in_flight} requests are in flight, as many as may be"
    if group.frozen > now:
        return "the endpoint asked to wait, or is failing,"
    if group.learned is not None and group.learned.shut_at is not None:
        return "the endpoint refuses, and is asked now and then"
    slowest = max(group.books.values(), key=lambda book: book.eta(cost[book.dimension.resource], now), default=None)
    if slowest is None:
        return "nothing"
    return f"{slowest.dimension.name} (limit {slowest.limit:g}) is used up"


def hopeless(
    groups: Sequence[Group], cost: Cost, wait: float, now: float, *, deadline: float | None, patience: float
) -> ProviderError | None:
    """The error of a request that must not wait for its turn, which is `wait` seconds away; None if it may."""
    for group in groups:
        large = group.too_large(cost)
        if large is not None:
            book, amount = large
            return ItemError(
                f"{group.name}: one request of about {amount:.0f} is larger than the whole limit of "
                f"{book.limit:g} {book.dimension.name}; shorten it, bound its max_tokens or raise the limit",
                ErrorClass.TOO_LARGE_FOR_QUOTA,
                dimension=book.dimension.name,
                attempts=0,
            )
    if wait == math.inf:
        return None
    if deadline is not None and now + wait > deadline:
        return late(groups[0], wait, deadline - now)
    if wait > patience:
        slowest = max(groups, key=lambda group: group.eta(cost, now))
        return ProviderFailure(
            f"{groups[0].name}: {reason(slowest, cost, now)} for another {wait:.0f} s, more than the {patience:.0f} s "
            "that are waited; run again then, or use another account",
            ErrorClass.DAILY,
            retry_after=wait,
            attempts=0,
        )
    return None


def late(group: Group, wait: float | None, left: float) -> ProviderFailure:
    """The error of a request whose turn, `wait` seconds away if that is known, comes after its deadline."""
    when = "its turn did not come" if wait is None else f"its turn would come in {wait:.1f} s"
    return ProviderFailure(
        f"{group.name}: {when} before its deadline, {max(0.0, left):.1f} s from now; give it a later one",
        ErrorClass.RATE,
        retry_after=wait,
        attempts=0,
    )


def fault(message: str) -> StopError:
    """The error of limits that cannot be used."""
    return StopError(message, ErrorClass.CONFIGURATION, attempts=0)
