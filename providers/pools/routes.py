"""The layer that sends each attempt of a pool to one of its members, and to the next where that may help.

Takes the members and the rules (`routing` decides); gives a layer that stands where the limits do.
One call is a *round*: every member that may answer is asked once at most, so what stands outside (retries) bounds the
rounds and waits between them. A request that waits stands in the queues of the members themselves, beside whoever else
waits there: it polls nothing. Starts no task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

import structlog

from semprop.providers.base import Completion, Lost, Mixture, Request
from semprop.providers.budget import settled, worst_case
from semprop.providers.clock import Clock
from semprop.providers.errors import ErrorClass, ProviderError, RetryError, StopError
from semprop.providers.layers import Send
from semprop.providers.limits.limiter import Limiter
from semprop.providers.limits.lines import Place
from semprop.providers.pools.members import Chosen, Member
from semprop.providers.pools.routing import (
    REFUSED,
    Fate,
    Go,
    Policy,
    Rules,
    Standing,
    beginning,
    choose,
    fate,
    lacking,
    weight,
)
from semprop.providers.wire.refusals import NoPlace

PREFIXES = 1024
"""Beginnings of prompts whose owners are remembered, so that they are not worked out for each request."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Way:
    """What is known of one request on its way through a pool, over all of its rounds and its hedge.

    Attributes:
        came: when it first came, which keeps its place in every queue.
        members: those that may answer it: of its model, and able to.
        busy: those that have an attempt of it on the wire.
        unable: those that can never answer it, with what they said.
        refused: the first reply in which a member refused it, and went on to the next.
        given_up: what that reply cost, which is for nothing if another member answers.
    """

    came: float
    members: tuple[int, ...]
    busy: list[int] = field(default_factory=list)
    unable: dict[int, ProviderError] = field(default_factory=dict)
    refused: Completion | None = None
    given_up: Lost | None = None


@dataclass(slots=True)
class _Round:
    """One round: who failed in it, and what it sent."""

    failed: dict[int, ProviderError] = field(default_factory=dict)
    attempts: int = 0


class Entrance:
    """The layer outside of hedges and retries: notes when a request came, and who may answer it."""

    def __init__(self, name: str, members: Sequence[Member], mixture: Mixture, clock: Clock) -> None:
        self._name = name
        self._members = tuple(members)
        self._mixture = mixture
        self._clock = clock
        self._models = tuple(dict.fromkeys(member.model for member in members))

    def around(self, send: Send) -> Send:
        """`send` of a request that has a way."""

        async def complete(request: Request) -> Completion:
            way = Way(self._clock.now(), self.able(request))
            return await send(_on(request, way))

        return complete

    def able(self, request: Request) -> tuple[int, ...]:
        """The members that can do what a request asks for.

        Raises:
            NoPlace: none can (CONFIGURATION).
        """
        model = pinned(request, self._models) if self._mixture is Mixture.PINNED else None
        found, missing = [], {}
        for number, member in enumerate(self._members):
            if model is not None and member.model != model:
                continue
            lacks = lacking(request, member.promises, member.lacks)
            if lacks is None:
                found.append(number)
            else:
                missing[member.name] = lacks
        if not found:
            told = "; ".join(f"{name} has no {what}" for name, what in missing.items())
            raise NoPlace(
                f"nobody in the pool {self._name!r} can do what is asked ({told}): leave it out, or add a member that "
                "can",
                ErrorClass.CONFIGURATION,
                attempts=0,
            )
        return tuple(found)

    def statistics(self) -> Mapping[str, object]:
        return {}


def pinned(request: Request, models: Sequence[str]) -> str:
    """The one of several models that answers a request: always the same for equal pins, whatever else is going on."""
    pin = request.admission.pin or request.draw or beginning(request) + request.messages[-1].text
    return max(models, key=lambda model: (weight(model, pin), model))


class Routes:
    """The layer; see the module."""

    def __init__(self, name: str, members: Sequence[Member], rules: Rules, limiter: Limiter, clock: Clock) -> None:
        """
        Args:
            name: of the pool, for messages.
            members: all of them, in their order; their limits are those of `limiter`.
            rules: how one is chosen.
            limiter: where requests wait for any of several.
            clock: what waits are measured on.
        """
        self._name = name
        self._members = tuple(members)
        self._rules = rules
        self._limiter = limiter
        self._clock = clock
        self._owners: dict[str, tuple[float, ...]] = {}
        self._moved = 0
        self._waiting = 0

    def __repr__(self) -> str:
        return f"Routes({self._name!r}, {self._rules}, waiting={self._waiting})"

    def around(self, send: Send) -> Send:
        """`send`, of which each call is one attempt at one member."""

        async def complete(request: Request) -> Completion:
            way: Way = request.admission.way
            this = _Round()
            while True:
                chosen = await self._chosen(request, way, this)
                if chosen is None:
                    if way.refused is not None and not this.failed:
                        _take_back(request, way)
                        return replace(way.refused, attempts=way.refused.attempts + this.attempts)
                    self._end(way, this)
                answered = await self._attempt(send, request, way, this, chosen)
                if answered is not None:
                    return answered

        return complete

    def statistics(self) -> Mapping[str, object]:
        """The policy, attempts that moved on to another member, who waits, and `limits`: of every member and dimension
        why it does not run."""
        limits = [member.limits for member in self._members]
        return {
            "policy": self._rules.policy.value,
            "moved": self._moved,
            "waiting": self._waiting,
            "in_flight": sum(each.in_flight for each in limits),
            "in_flight_limit": sum(each.in_flight_limit for each in limits),
            "limits": self._limiter.statistics(),
        }

    async def _attempt(self, send: Send, request: Request, way: Way, this: _Round, chosen: Chosen) -> Completion | None:
        """One attempt; None if the next member is to be asked."""
        number, member = chosen.member, self._members[chosen.member]
        way.busy.append(number)
        member.load += 1
        try:
            completion = await send(_on(request, chosen))
        except ProviderError as error:
            this.attempts += error.attempts
            member.failed += 1
            self._learn(number, way, this, error)
            return None
        finally:
            member.load -= 1
            way.busy.remove(number)
            if chosen.permit.open:
                self._limiter.give_back(chosen.permit)
        member.answered += 1
        self._works(member)
        if self._rules.passes_refusals and completion.stop in REFUSED:
            this.attempts += completion.attempts
            lost = _gone(request, member, completion)
            if way.refused is None:
                way.refused, way.given_up = replace(completion, attempts=0), lost
            way.unable[number] = _refusal(member)
            return None
        return replace(completion, attempts=completion.attempts + this.attempts) if this.attempts else completion

    def _learn(self, number: int, way: Way, this: _Round, error: ProviderError) -> None:
        """What an error means for the rest of the way; raises it where it is the request's."""
        member = self._members[number]
        match fate(error, self._rules):
            case Fate.END:
                error.attempts = this.attempts
                raise error
            case Fate.OUT if isinstance(error, StopError):
                self._take_out(member, error)
            case Fate.UNABLE:
                way.unable[number] = error
            case _:
                this.failed[number] = error
                if member.limits.is_failing and not member.was_failing:
                    member.was_failing = True
                    _log.warning("pool_member_failing", pool=self._name, member=member.name, reason=str(error))
        self._moved += 1

    def _take_out(self, member: Member, error: StopError) -> None:
        if member.out is None:
            member.out = error
            _log.warning("pool_member_out", pool=self._name, member=member.name, reason=str(error))

    def _works(self, member: Member) -> None:
        if member.was_failing:
            member.was_failing = False
            _log.warning("pool_member_back", pool=self._name, member=member.name)

    async def _chosen(self, request: Request, way: Way, this: _Round) -> Chosen | None:
        """The member for the next attempt, with leave to go there; None if there is none left in this round."""
        while True:
            open_to = [
                number
                for number in way.members
                if self._members[number].out is None and number not in way.unable and number not in this.failed
            ]
            # A hedge goes to somebody else where there is one: what is slow there may be quick here.
            open_to = [number for number in open_to if number not in way.busy] or open_to
            places = {number: self._members[number].limits.place(request) for number in open_to}
            waited = self._clock.now() - way.came
            decision = choose(self._standings(request, places), self._rules, waited)
            if decision is None:
                return None
            if isinstance(decision, Go):
                permit = self._limiter.acquire_nowait(places[decision.member])
                if permit is None:
                    raise RuntimeError(f"{self._members[decision.member].name} has room, and gives no permit")
                return Chosen(decision.member, permit)
            chosen = await self._turn(request, way, this, places, decision.members, decision.seconds)
            if chosen is not None:
                return chosen

    async def _turn(
        self,
        request: Request,
        way: Way,
        this: _Round,
        places: Mapping[int, Place],
        members: Sequence[int],
        seconds: float | None,
    ) -> Chosen | None:
        """Stand in the queues of some members; None if it is to be decided anew."""
        standing = {places[number].lane.groups: number for number in reversed(members)}
        admission = request.admission
        if admission.arrived is None:
            admission = admission._replace(arrived=way.came)
        self._waiting += 1
        try:
            permit = await self._limiter.acquire_any(
                [places[number] for number in standing.values()], admission, seconds
            )
        except ProviderError as error:
            # Its quota or its daily limit does not let the request through; whoever else may is asked.
            for number in members:
                self._learn(number, way, this, error)
            return None
        finally:
            self._waiting -= 1
        return None if permit is None else Chosen(standing[permit.lane.groups], permit)

    def _standings(self, request: Request, places: Mapping[int, Place]) -> dict[int, Standing]:
        rules, node = self._rules, request.admission.node
        owners = self._ownership(request) if rules.affinity and rules.policy is not Policy.FAILOVER else None
        standings = {}
        for number, place in places.items():
            member = self._members[number]
            standings[number] = Standing(
                wait=self._limiter.wait(place),
                is_failing=member.limits.is_failing,
                price=member.price(member.limits.usage(request)) if rules.policy is Policy.CHEAPEST else None,
                seconds=member.pace.expected(node, member.load) if rules.policy is Policy.FASTEST else None,
                load=member.load,
                affinity=0.0 if owners is None else owners[number],
            )
        return standings

    def _ownership(self, request: Request) -> tuple[float, ...]:
        """Of every member, how much the beginning of this prompt is its own."""
        start = beginning(request)
        found = self._owners.get(start)
        if found is None:
            if len(self._owners) >= PREFIXES:
                self._owners.clear()
            found = self._owners[start] = tuple(weight(member.name, start) for member in self._members)
        return found

    def _end(self, way: Way, this: _Round) -> NoReturn:
        """Nobody is left to ask in this round."""
        for kind in (RetryError, ProviderError):
            for error in (*this.failed.values(), *way.unable.values()):
                if isinstance(error, kind):
                    error.attempts = this.attempts
                    raise error
        out = [self._members[number] for number in way.members]
        last = next(member.out for member in reversed(out) if member.out is not None)
        reasons = "; ".join(f"{member.name}: {member.out}" for member in out if member.out is not None)
        raise StopError(
            f"nobody is left in the pool {self._name!r} to answer: {reasons}",
            last.error_class,
            status=last.status,
            attempts=this.attempts,
        )


def _on(request: Request, way: Way | Chosen) -> Request:
    """The request on its way. Made by hand: `dataclasses.replace` takes several times as long."""
    admission = request.admission._replace(way=way)
    return Request(request.messages, request.sampling, request.schema, request.draw, request.sample, admission)


def _gone(request: Request, member: Member, completion: Completion) -> Lost | None:
    """Count a reply that somebody else's is to replace, as a budget did, where attempts are counted."""
    sent = request.admission.sent
    if sent is None or sent.spent is None:
        return None
    amount = settled(worst_case(request, member.price, member.stack.pictures), completion, member.price)
    lost = Lost(False, amount.calls, amount.input, amount.output, amount.picodollars)
    sent.lost, sent.answered = (*sent.lost, lost), False
    return lost


def _take_back(request: Request, way: Way) -> None:
    """The first reply that refused is the answer after all: it is not lost."""
    sent = request.admission.sent
    if sent is not None and way.given_up is not None:
        sent.lost, sent.answered = tuple(each for each in sent.lost if each is not way.given_up), True


def _refusal(member: Member) -> ProviderError:
    """What a reply that refuses is, among the errors."""
    return ProviderError(f"{member.name} refused", ErrorClass.REFUSAL, attempts=0)
