"""Why a request is not running, in words and as errors: the answers of the limiter. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from semprop.providers.errors import ErrorClass, ItemError, ProviderError, ProviderFailure, StopError
from semprop.providers.limits.accounts import Cost
from semprop.providers.limits.groups import OUTAGE, Group


class Kind(StrEnum):
    """What holds a request back.

    IN_FLIGHT: as many are out as may be. FAILING: nothing succeeds, one is tried at a time. THROTTLED: the endpoint
    asked to wait, for all or for one dimension. REFUSING: it refuses without a word, and is asked now and then.
    USED_UP: a limit, by our own books. NOTHING: its turn has come.
    """

    IN_FLIGHT = "in_flight"
    FAILING = "failing"
    THROTTLED = "throttled"
    REFUSING = "refusing"
    USED_UP = "used_up"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a request waits: what holds it, the limit's dimension if it is one, and the same in words."""

    kind: Kind
    words: str
    dimension: str | None = None


def reason(group: Group, cost: Cost, now: float) -> Reason:
    """What a request of this cost waits for in a group: of several things the one that holds it longest."""
    if group.in_flight >= int(group.slots.limit):
        return Reason(Kind.IN_FLIGHT, f"{group.in_flight} requests are in flight, as many as may be")
    if group.failures >= OUTAGE:
        return Reason(Kind.FAILING, f"{group.failures} attempts in a row failed, and one at a time is tried")
    if group.learned is not None and group.learned.shut_at is not None:
        return Reason(Kind.REFUSING, "the endpoint refuses, and is asked now and then")
    waits = [(book.eta(cost[book.dimension.resource], now), name) for name, book in group.books.items()]
    wait, name = max(waits, default=(0.0, ""))
    if group.frozen > now and group.frozen - now >= wait:
        return Reason(Kind.THROTTLED, "the endpoint asked to wait")
    if wait <= 0.0:
        return Reason(Kind.NOTHING, "nothing")
    book = group.books[name]
    if book.frozen > now and book.frozen - now >= wait:
        return Reason(Kind.THROTTLED, f"the endpoint asked to wait for {name} (limit {book.limit:g})", name)
    return Reason(Kind.USED_UP, f"{name} (limit {book.limit:g}) is used up", name)


NOTABLE = 2.0
"""Seconds; a limit that holds requests for less, while others are out, is nothing that anybody must be told."""


def in_words(limits: Mapping[str, object]) -> str | None:
    """Why nothing runs, from `Limiter.statistics`: one line for people; None while requests go out as they should."""
    held = [entry for entry in limits.values() if isinstance(entry, Mapping) and "next" in entry]
    for entry in sorted(held, key=lambda entry: entry["waiting"], reverse=True):
        first = entry["next"]
        kind, eta = first["kind"], first["eta_seconds"]
        if kind in (Kind.IN_FLIGHT, Kind.NOTHING):
            continue
        if kind == Kind.USED_UP and entry["in_flight"] and (eta is None or eta < NOTABLE):
            continue
        when = "one is being tried" if eta is None else f"next in {eta:.0f} s"
        match kind:
            case Kind.FAILING:
                return f"failing: {entry['failures_in_a_row']} attempts in a row, {when}"
            case Kind.USED_UP:
                return f"at its limit: waiting for {first['dimension']}, {when}"
            case _:
                return f"throttled: waiting for {first['dimension'] or 'the endpoint'}, {when}"
    return None


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
            f"{groups[0].name}: {reason(slowest, cost, now).words} for another {wait:.0f} s, more than the "
            f"{patience:.0f} s that are waited; run again then, or use another account",
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
