"""The members of a pool: each a stack of its own, with limits, price and a name that stands in what it answers.

Takes stacks; gives the endpoint that hands an attempt on to the member that was chosen for it. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from semprop.providers.base import Capabilities, Completion, Mixture, Provider, Quiescent, Request, Usage
from semprop.providers.clock import Clock
from semprop.providers.errors import StopError
from semprop.providers.layers import Layer, Price, Stack
from semprop.providers.limits.estimates import NODES, Average
from semprop.providers.limits.groups import Permit
from semprop.providers.limits.limiting import Limits
from semprop.providers.pictures import Pictures

STALE = 60.0
"""Seconds after which the pace of a member that is not asked any more says nothing about it."""


class Pace:
    """How fast a member answered lately: seconds from the send to the reply, by node. Only routing reads it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._all = Average(0.0)
        self._first = Average(0.0)
        self._nodes: dict[str, Average] = {}
        self._at = 0.0

    def now(self) -> float:
        """Seconds on the clock."""
        return self._clock.now()

    def add(self, node: str, seconds: float, first: float | None) -> None:
        """An answer took so many seconds, its first token so many. After a pause everything is learned anew."""
        now = self._clock.now()
        if now - self._at > STALE:
            self._all, self._first = Average(0.0), Average(0.0)
            self._nodes.clear()
        self._at = now
        self._all.observe(seconds)
        if first is not None:
            self._first.observe(first)
        found = self._nodes.get(node)
        if found is None and len(self._nodes) < NODES:
            found = self._nodes[node] = Average(0.0)
        if found is not None:
            found.observe(seconds)

    def expected(self, node: str, load: int) -> float | None:
        """Seconds that a request of a node is expected to take; None where nothing, or nothing new, is known."""
        if not self._all.count or (not load and self._clock.now() - self._at > STALE):
            return None
        return self._nodes.get(node, self._all).mean

    def statistics(self) -> Mapping[str, object]:
        """The averages over all nodes."""
        return {
            "seconds": round(self._all.mean, 4) if self._all.count else None,
            "first_token_seconds": round(self._first.mean, 4) if self._first.count else None,
        }


class Signed:
    """An endpoint whose replies say which member gave them, and whose pace is kept."""

    def __init__(self, endpoint: Provider, name: str, pace: Pace) -> None:
        self._endpoint = endpoint
        self._name = name
        self._pace = pace
        if isinstance(endpoint, Quiescent):
            self.quiescent = endpoint.quiescent

    def __repr__(self) -> str:
        return f"Signed({self._name}, {self._endpoint!r})"

    @property
    def identity(self) -> str:
        return self._endpoint.identity

    @property
    def model(self) -> str:
        return self._endpoint.model

    @property
    def capabilities(self) -> Capabilities:
        return self._endpoint.capabilities

    async def complete(self, request: Request) -> Completion:
        """Answer one request; see `Provider.complete`."""
        began = self._pace.now()
        completion = await self._endpoint.complete(request)
        first = None if completion.timing is None else completion.timing.first_token
        self._pace.add(request.admission.node, self._pace.now() - began, first)
        return replace(completion, usage=replace(completion.usage, member=self._name))

    def statistics(self) -> Mapping[str, object]:
        return self._endpoint.statistics()

    async def __aenter__(self) -> Self:
        await self._endpoint.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._endpoint.__aexit__(kind, error, trace)


@dataclass(slots=True)
class Member:
    """One member, and what is known of it.

    Attributes:
        name: as it is called in the pool.
        model: which model it is; equal words, the same model.
        stack: limits → valve → endpoint.
        limits: the layer of the stack that lets requests go.
        price: dollars of a usage.
        pace: how fast it answers.
        lacks: fields of sampling that it has no place for.
        out: why it is not asked any more; None while it is.
        load: requests that the pool has there.
        answered, failed: attempts.
        was_failing: whether that was said.
    """

    name: str
    model: str
    stack: Stack
    limits: Limits
    price: Price
    pace: Pace
    lacks: tuple[str, ...] = ()
    out: StopError | None = None
    load: int = 0
    answered: int = 0
    failed: int = 0
    was_failing: bool = False

    @property
    def promises(self) -> Capabilities:
        """What may be asked of it."""
        return self.stack.capabilities

    def statistics(self, stack: Stack) -> Mapping[str, object]:
        """What a stack of it says, and how it stands in the pool; `state` says why it is not asked."""
        state = "out" if self.out is not None else "failing" if self.limits.is_failing else "asked"
        shown = {**stack.statistics(), **self.pace.statistics()}
        shown |= {"state": state, "answered": self.answered, "failed": self.failed, "load": self.load}
        # Of the limiter all members share one; it is shown once.
        shown.pop("limits", None)
        return shown if self.out is None else {**shown, "out": str(self.out)}


class Chosen:
    """Where an attempt goes, and its leave to go there: what `Admission.way` is on the way from the choice on."""

    __slots__ = ("member", "permit")

    def __init__(self, member: int, permit: Permit) -> None:
        self.member = member
        self.permit = permit


class Pool:
    """The endpoint of a pool: hands each attempt on to the member that was chosen for it."""

    def __init__(
        self,
        name: str,
        model: str,
        members: Sequence[Member],
        mixture: Mixture,
        stacks: Sequence[Stack] | None = None,
    ) -> None:
        """
        Args:
            name: of the pool, a part of its identity.
            model: what its members are, for reports.
            members: in their order, which is a part of it, too.
            mixture: of how many models they are.
            stacks: who answers for each member; None: its own.
        """
        self._name = name
        self._model = model
        self._members = tuple(members)
        self._mixture = mixture
        self._stacks = tuple(member.stack for member in members) if stacks is None else tuple(stacks)
        self._opened: list[AsyncExitStack] = []
        if any(isinstance(stack, Quiescent) for stack in self._stacks):
            self.quiescent = self._quiescent

    def __repr__(self) -> str:
        return f"Pool({self._name!r}, {', '.join(member.name for member in self._members)})"

    @property
    def identity(self) -> str:
        """Its name and its members in their order; not who answered."""
        members = ", ".join(member.stack.identity for member in self._members)
        return f"pool:{self._name}[{members}]"

    @property
    def model(self) -> str:
        return self._model

    @property
    def capabilities(self) -> Capabilities:
        """What every member promises, so that each can answer what is asked; pictures go to those who take them."""
        promised = [member.promises for member in self._members]
        return Capabilities(
            schema=all(each.schema for each in promised),
            choices=all(each.choices for each in promised),
            logprobs=all(each.logprobs for each in promised),
            simulated=any(each.simulated for each in promised),
            images=any(each.images for each in promised),
            mixture=self._mixture,
        )

    async def complete(self, request: Request) -> Completion:
        """Answer one request by the member that its admission names."""
        chosen: Chosen = request.admission.way
        return await self._stacks[chosen.member].complete(request)

    def within(self, layer: Layer) -> Pool:
        """The same with one more layer around each attempt of every member."""
        stacks = [stack.within(layer) for stack in self._stacks]
        return Pool(self._name, self._model, self._members, self._mixture, stacks)

    def statistics(self) -> Mapping[str, object]:
        """Every member by itself, attempts and errors summed."""
        pairs = zip(self._members, self._stacks, strict=True)
        members = {member.name: member.statistics(stack) for member, stack in pairs}
        attempts = [shown.get("attempts", 0) for shown in members.values()]
        return {"attempts": sum(each for each in attempts if isinstance(each, int)), "members": members}

    def _quiescent(self) -> None:
        for stack in self._stacks:
            if isinstance(stack, Quiescent):
                stack.quiescent()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            for stack in self._stacks:
                await opening.enter_async_context(stack)
            self._opened.append(opening.pop_all())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._opened.pop().__aexit__(kind, error, trace)


class Tariffs:
    """The price of a pool: that of the member that answered; where nobody did yet, the dearest one's."""

    def __init__(self, prices: Mapping[str, Price]) -> None:
        """
        Args:
            prices: by the members' names.
        """
        self._prices = dict(prices)

    def __call__(self, usage: Usage) -> float | None:
        """Dollars of a usage; None if the member's price is unknown, or, without a member, that of any."""
        own = self._prices.get(usage.member)
        if own is not None:
            return own(usage)
        return _most([price(usage) for price in self._prices.values()])

    def dearest(self, given: int, produced: int) -> float | None:
        """The most that a request may cost, whoever answers; None if that is unknown of any member."""
        told = []
        for price in self._prices.values():
            dearest = getattr(price, "dearest", None)
            told.append(price(Usage(given, 0, 0, produced)) if dearest is None else dearest(given, produced))
        return _most(told)


def dearest_pictures(members: Sequence[Pictures]) -> Pictures:
    """What pictures cost at whichever member takes most for them; unknown where it is of any."""

    def rule(model: str, width: int, height: int) -> int | None:
        found = [None if each.rule is None else each.rule(each.model, width, height) for each in members]
        known = [tokens for tokens in found if tokens is not None]
        return max(known) if len(known) == len(found) else None

    return Pictures(rule)


def _most(found: Sequence[float | None]) -> float | None:
    known = [usd for usd in found if usd is not None]
    return max(known) if len(known) == len(found) else None
