"""Which member of a pool a request goes to: a pure decision, of transport only. No prompt, key or verdict reads it.

Takes how every member stands for one request, the pool's rules, and how long it has waited; gives the member that it
goes to, or the members whose queues it stands in until the first has room. What an error means for the rest of a
request's way is decided here, too.

    rank      failover: in the order of the pool · cheapest: by the price of this request, unknown last ·
              fastest: by the seconds that its kind of request took there lately, whoever is not known first
    affinity  whoever had the beginning of the prompt before goes first, where that costs nothing: among equal prices,
              or among members that take no more than twice as long as the fastest. Failover has its order anyway
    patience  a member that is full is waited for, for so long, before the next one is asked as well; one that fails,
              or whose limits let nothing through for longer than that, is passed at once
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from semprop.providers.base import Capabilities, Choices, JsonSchema, Request, Stop
from semprop.providers.budget import BudgetSpent
from semprop.providers.errors import ErrorClass, ItemError, ProviderError, RetryError, StopError
from semprop.providers.wire.refusals import NoPlace

AFFINE = 2.0
"""So many times the fastest member's seconds may one take that has the beginning of the prompt."""

BEGINNING = 256
"""Characters of a prompt of one message that are its beginning; of several messages it is the whole first one."""

REFUSED = (Stop.FILTER, Stop.REFUSAL)
"""Replies that ended so refuse a request for its content."""

_WORD = 1 << 64


class Policy(StrEnum):
    """The order in which members are asked."""

    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    FAILOVER = "failover"


PATIENCE: Mapping[Policy, float] = {Policy.CHEAPEST: 10.0, Policy.FASTEST: 0.0, Policy.FAILOVER: 10.0}
"""Seconds where nobody said: who wants the cheapest waits for it, who wants the fastest does not wait."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a pool routes. Nothing of it is a part of a key.

    Attributes:
        policy: the order.
        patience: seconds that a request waits for a member before the next one is asked as well; None: by the policy.
        affinity: whether requests that begin alike go to one member, for its prompt cache.
        passes_refusals: whether a request that a member refuses for its content is sent to the next.
        is_pinned: whether a pool of several models is wanted, which are then pinned.
    """

    policy: Policy = Policy.FAILOVER
    patience: float | None = None
    affinity: bool = True
    passes_refusals: bool = False
    is_pinned: bool = False

    @property
    def waits(self) -> float:
        """The seconds of patience."""
        return PATIENCE[self.policy] if self.patience is None else self.patience


@dataclass(frozen=True, slots=True)
class Standing:
    """How a member stands for one request.

    Attributes:
        wait: seconds until it could be sent there; infinite where it is not known, as while everything is in flight.
        is_failing: nothing succeeds there; one request at a time is tried.
        price: dollars that the request is expected to cost; None: unknown.
        seconds: that its kind of request is expected to take; None: unknown.
        load: requests that the pool has there now.
        affinity: in [0, 1); the highest has the beginning of the prompt.
    """

    wait: float = 0.0
    is_failing: bool = False
    price: float | None = None
    seconds: float | None = None
    load: int = 0
    affinity: float = 0.0


@dataclass(frozen=True, slots=True)
class Go:
    """It goes to this member now."""

    member: int


@dataclass(frozen=True, slots=True)
class Line:
    """It stands in the queues of these, the first that has room takes it; after `seconds` it is decided anew (None: it
    stays)."""

    members: tuple[int, ...]
    seconds: float | None = None


def choose(standings: Mapping[int, Standing], rules: Rules, waited: float = 0.0) -> Go | Line | None:
    """Where a request goes that has waited for so many seconds; None: nobody may be asked.

    Args:
        standings: of the members that may be asked, by their place in the pool.
    """
    if not standings:
        return None
    order = ranked(standings, rules)
    usable = [member for member in order if not standings[member].is_failing or not standings[member].wait]
    if not usable:
        return Line(tuple(order))
    line: list[int] = []
    opens, until = 0.0, math.inf
    for place, member in enumerate(usable):
        if place:
            opens += _patience(standings[usable[place - 1]], standings[member], rules)
        if opens > waited:
            until = opens - waited
            break
        if not standings[member].wait:
            return Go(member)
        line.append(member)
    # Those that fail are not stood in line for, but looked at again when the next trial is due.
    trials = [standings[member].wait for member in order if standings[member].is_failing and standings[member].wait]
    until = min([until, *trials])
    return Line(tuple(line), None if until == math.inf else until)


def _patience(one: Standing, following: Standing, rules: Rules) -> float:
    """Seconds that a member is waited for before the one that follows it is asked as well."""
    if rules.policy is Policy.CHEAPEST and one.price == following.price:
        return 0.0
    return rules.waits if one.wait <= rules.waits or one.wait == math.inf else 0.0


def ranked(standings: Mapping[int, Standing], rules: Rules) -> list[int]:
    """The members in the order in which they are asked."""
    match rules.policy:
        case Policy.FAILOVER:
            return sorted(standings)
        case Policy.CHEAPEST:
            return sorted(standings, key=lambda member: (*_price(standings[member], rules), member))
        case Policy.FASTEST:
            order = sorted(standings, key=lambda member: (*_speed(standings[member]), member))
            return _affine_first(order, standings) if rules.affinity else order


def _price(standing: Standing, rules: Rules) -> tuple[float, float]:
    affinity = -standing.affinity if rules.affinity else 0.0
    return (math.inf if standing.price is None else standing.price), affinity


def _speed(standing: Standing) -> tuple[int, float]:
    """Whoever is not known is tried by one request; further ones spread until there is something to compare."""
    if standing.seconds is not None:
        return 1, standing.seconds
    return (2, float(standing.load)) if standing.load else (0, 0.0)


def _affine_first(order: list[int], standings: Mapping[int, Standing]) -> list[int]:
    if _speed(standings[order[0]])[0] == 0:
        return order
    known = [standing.seconds for standing in standings.values() if standing.seconds is not None]
    most = AFFINE * min(known, default=math.inf)
    near = [member for member in order if (standings[member].seconds or 0.0) <= most]
    first = max(near, key=lambda member: standings[member].affinity)
    return [first, *(member for member in order if member != first)]


class Fate(StrEnum):
    """What becomes of a request after an error of a member, and of the member.

    END: the error is the request's. NEXT: the next member may answer; this one may be asked again later. UNABLE: the
    next may answer, this one never will. OUT: the member answers nobody any more.
    """

    END = "end"
    NEXT = "next"
    UNABLE = "unable"
    OUT = "out"


_ELSEWHERE = (ErrorClass.CONTEXT, ErrorClass.TOO_LARGE_FOR_QUOTA, ErrorClass.BAD_REQUEST, ErrorClass.DAILY)
"""Refusals that say something of the member: its window, its quota, the fields that it knows. They cost nothing."""


def fate(error: ProviderError, rules: Rules) -> Fate:
    """What an error of one member means."""
    match error:
        case BudgetSpent():
            return Fate.END
        case NoPlace():
            return Fate.UNABLE
        case StopError():
            return Fate.OUT
        case RetryError():
            return Fate.NEXT
        case ItemError(error_class=ErrorClass.FILTER | ErrorClass.REFUSAL):
            return Fate.UNABLE if rules.passes_refusals else Fate.END
        case _:
            return Fate.UNABLE if error.error_class in _ELSEWHERE else Fate.END


def lacking(request: Request, promises: Capabilities, lacks: Sequence[str]) -> str | None:
    """What a request asks for that a member cannot do; None: nothing.

    Args:
        promises: what may be asked of the member.
        lacks: fields of sampling that it has no place for.
    """
    if isinstance(request.schema, JsonSchema) and not promises.schema:
        return "JSON-schema output"
    if isinstance(request.schema, Choices) and not promises.choices:
        return "output constrained to given texts"
    if not promises.images and any(message.images for message in request.messages):
        return "place for pictures"
    return next((name for name in lacks if getattr(request.sampling, name) not in (None, ())), None)


def beginning(request: Request) -> str:
    """What requests share that a prompt cache serves: who asks, and how the prompt begins."""
    messages = request.messages
    text = messages[0].text if messages else ""
    return f"{request.admission.node}\n{text if len(messages) > 1 else text[:BEGINNING]}"


def weight(who: str, what: str) -> float:
    """A number in [0, 1) of a pair. The one with the highest owns `what`: when somebody joins or leaves, nothing moves
    but what is theirs (rendezvous hashing: Thaler and Ravishankar 1998)."""
    digest = hashlib.blake2b(what.encode(errors="replace"), digest_size=8, key=_key(who)).digest()
    return int.from_bytes(digest, "big") / _WORD


def _key(who: str) -> bytes:
    return hashlib.blake2b(who.encode(errors="replace"), digest_size=32).digest()
