"""From a specification to a provider: the one place that knows every kind and the order of the layers.

Takes a specification and what time, randomness and the environment are; gives a provider. Synchronous, and
opens nothing: keys, certificates and weights are looked for at the first call.

    batches → defaults → meter → hedge → retry → limits → valve → http, embedded or simulated

A request that waits to be asked again stands outside the limits: it holds no place in flight, and keeps its place
in the queue. A pool has the choice of a member where a single provider has its limits:

    defaults → meter → entrance → hedge → retry → routes → one of: (defaults → limits → valve → http, …)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple

import orjson
import structlog
from yarl import URL

from semprop.providers import embedded
from semprop.providers.base import Capabilities, Provider, Usage
from semprop.providers.batches.layer import Batching, Beside, Costs, Priced
from semprop.providers.batches.provider import Batches
from semprop.providers.endpoints import BATCHED, batches_over, over_http
from semprop.providers.hedging import Hedge, Hedging
from semprop.providers.kinds import KINDS
from semprop.providers.layers import Defaults, InFlight, Layer, Meter, Price, Stack
from semprop.providers.limits.learning import limiter_waits
from semprop.providers.limits.limiter import Limiter, Terms
from semprop.providers.limits.limiting import Limits
from semprop.providers.pictures import Pictures
from semprop.providers.pools.members import Member, Pace, Pool, Signed, Tariffs, dearest_pictures
from semprop.providers.pools.routes import Entrance, Routes
from semprop.providers.pools.routing import Policy
from semprop.providers.prices import Free, Processing, price_of
from semprop.providers.retry import Retry
from semprop.providers.simulated import model as simulated
from semprop.providers.specification import Specification, resolve
from semprop.providers.surroundings import Surroundings
from semprop.providers.transport import Transport
from semprop.providers.valve import Valve
from semprop.providers.wire.profiles import PROFILES, Profile, profile_of

_log = structlog.get_logger(__name__)

IN_FLIGHT: Mapping[str, int] = {"embedded": 1, "simulated": 64}
"""Requests at once where nobody said: one for the embedded model, whose replies repeat only so. Found out for
endpoints, between their profile's `start` and `most`."""

PRICED_BY = ("service_tier", "speed")
"""Fields of a body that choose another price of the same model."""


def connect(
    specification: str | Specification,
    *,
    named: Mapping[str, Specification] | None = None,
    in_flight: int | InFlight | None = None,
    surroundings: Surroundings | None = None,
    limiter: Limiter | None = None,
    transport: Transport | None = None,
    hedge: Hedge | None = None,
    valve: Valve | None = None,
) -> Stack:
    """A provider for a specification. Opens nothing.

    Args:
        specification: `kind:model[@base]`, a NAME in `named`, `pool:MEMBER,MEMBER`, or a parsed specification.
        named: the tables of a providers file (`specification.load`).
        in_flight: requests at once, or a bound that several providers share. None: the specification's, else
            that of its kind (`IN_FLIGHT`).
        surroundings: the environment, clock, randomness and retry policy.
        limiter: shared by providers that share limits (one account, several models or roles). None: its own.
        transport: shared by providers that share connections (one endpoint, several models). None: its own.
        hedge: when to send a second attempt beside a slow one. None: as the specification says, else never.
        valve: what every attempt passes last: a budget, and what stops a run. None: nothing.

    Raises:
        StopError: no such provider, or a setting that cannot be used (CONFIGURATION).
    """
    if isinstance(specification, str):
        specification = resolve(specification, named or {})
    around = surroundings or Surroundings()
    if limiter is None:
        limiter = Limiter(clock=around.clock, random=around.random or Random())
    ground = _Ground(around, limiter, transport, valve, in_flight)
    hedge = hedge or specification.hedge
    if specification.members:
        return _pooled(specification, ground, hedge)
    made = _made(specification, ground)
    endpoint, batching, price = _with_batches(made, specification, ground)
    layers = [*_outer(specification, ground, price, batching)]
    retry = Retry(around.retry, around.clock, ground.random, limiter_waits)
    layers += [retry, made.limits] if hedge is None else [Hedging(hedge, around.clock, retry, made.limits)]
    layers += made.inner
    shown, promised = specification.shown, _promised(specification, endpoint)
    return Stack(endpoint, layers, identity=shown, capabilities=promised, price=price, pictures=made.pictures)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What all providers that are connected together stand on."""

    around: Surroundings
    limiter: Limiter
    transport: Transport | None
    valve: Valve | None
    in_flight: int | InFlight | None

    @property
    def random(self) -> Random:
        """What draws waits."""
        return self.around.random or Random()


class _Made(NamedTuple):
    """A provider's inner parts: what it sends to, under which limits, and what stands between."""

    endpoint: Provider
    limits: Limits
    inner: tuple[Layer, ...]
    price: Price
    pictures: Pictures


def _made(specification: Specification, ground: _Ground) -> _Made:
    in_flight = ground.in_flight
    if in_flight is None:
        in_flight = (
            specification.in_flight if specification.in_flight is not None else IN_FLIGHT.get(specification.kind)
        )
    shared = in_flight if isinstance(in_flight, InFlight) else None
    bound = in_flight if not isinstance(in_flight, InFlight) else in_flight.limit
    profile = _profile(specification)
    connections = profile.most if bound is None else bound
    endpoint = _endpoint(specification, connections, profile, ground.around, ground.transport)
    price = tariff_of(specification)
    inner: list[Layer] = [] if shared is None else [shared]
    pictures = Pictures(KINDS[specification.kind].pictures, specification.model)
    if ground.valve is not None:
        inner.append(ground.valve.around(price, pictures))
    limits = Limits(ground.limiter, _terms(specification, bound, profile), pictures)
    return _Made(endpoint, limits, tuple(inner), price, pictures)


def _outer(
    specification: Specification, ground: _Ground, price: Price, batching: Sequence[Layer] = ()
) -> Iterator[Layer]:
    if ground.around.watch is not None:
        yield ground.around.watch(specification)
    yield from batching
    if specification.sampling:
        yield Defaults(specification.sampling)
    yield Meter(price)


def _promised(specification: Specification, endpoint: Provider) -> Capabilities | None:
    if not specification.capabilities:
        return None
    changes: dict[str, Any] = dict(specification.capabilities)
    return replace(endpoint.capabilities, **changes)


def _pooled(specification: Specification, ground: _Ground, hedge: Hedge | None) -> Stack:
    """A pool: retries and hedges outside, then the choice of a member, then what is that member's own."""
    around, rules, name = ground.around, specification.rules, specification.name
    members = [_member(each, ground, specification.model) for each in specification.members]
    mixture = specification.mixture
    pool = Pool(name, specification.model or "several models", members, mixture)
    price, pictures = tariff_of(specification), dearest_pictures([member.stack.pictures for member in members])
    for member in members:
        if rules.policy is Policy.CHEAPEST and member.price(Usage(1, 0, 0, 1)) is None:
            _log.warning("pool_price_unknown", pool=name, member=member.name, meaning="it is asked last")
    retry = Retry(around.retry, around.clock, ground.random, limiter_waits)
    routes = Routes(specification.called, members, rules, ground.limiter, around.clock)
    entrance = Entrance(specification.called, members, mixture, around.clock)
    layers = [*_outer(specification, ground, price), entrance]
    layers += [retry, routes] if hedge is None else [Hedging(hedge, around.clock, retry, routes)]
    return Stack(
        pool,
        layers,
        identity=specification.shown,
        capabilities=_promised(specification, pool),
        price=price,
        pictures=pictures,
    )


def _member(specification: Specification, ground: _Ground, model: str) -> Member:
    """One member of a pool whose members are all of `model`; "": each of its own."""
    if specification.in_flight is not None or specification.kind == "embedded":
        ground = replace(ground, in_flight=specification.in_flight)
    made, pace = _made(specification, ground), Pace(ground.around.clock)
    layers: list[Layer] = [] if specification.sampling is None else [Defaults(specification.sampling)]
    signed = Signed(made.endpoint, specification.called, pace)
    stack = Stack(
        signed,
        (*layers, made.limits, *made.inner),
        identity=specification.shown,
        capabilities=_promised(specification, signed),
        price=made.price,
        pictures=made.pictures,
    )
    kind = KINDS[specification.kind]
    return Member(specification.called, model or specification.model, stack, made.limits, made.price, pace, kind.lacks)


def computed_at_once(specification: Specification) -> int:
    """How many requests an embedded model computes in one batch: what its own table says, else one.

    The caller's bound does not count: replies differ with the size of a batch, and must not differ with a bound.
    """
    return specification.in_flight or 1


def _profile(specification: Specification) -> Profile:
    if specification.profile is not None:
        return PROFILES[specification.profile]
    kind = KINDS[specification.kind]
    if kind.profile is not None:
        return PROFILES[kind.profile]
    return profile_of(URL(specification.base or kind.base).host or "")


def _terms(specification: Specification, in_flight: int | None, profile: Profile) -> Terms:
    account = specification.account
    if account is None:
        kind = KINDS[specification.kind]
        key = kind.key_env if specification.key_env is None else specification.key_env
        account = f"{URL(specification.base or kind.base).authority}[{key}]" if kind.is_http else kind.name
    return Terms(
        account=account,
        group=specification.group or specification.model,
        limits=specification.limits,
        account_limits=specification.account_limits,
        in_flight=in_flight,
        profile=profile,
    )


def batches_of(specification: Specification, surroundings: Surroundings) -> Batches:
    """The batch API of a provider by itself, to look at batches and stop them; close it.

    Raises:
        StopError: it has none that is spoken here (CONFIGURATION).
    """
    transport = Transport()
    endpoint = _endpoint(specification, 1, _profile(specification), surroundings, transport)
    return batches_over(endpoint, specification, surroundings, transport)


def _with_batches(
    made: _Made, specification: Specification, ground: _Ground
) -> tuple[Provider, tuple[Layer, ...], Price]:
    """The endpoint with its batch API if that is used, the layer that leads there, and the price of either way."""
    if specification.kind not in BATCHED and specification.batch is None:
        return made.endpoint, (), made.price
    # Earlier sittings of a run may have used its batches even if this one does not.
    in_batch = tariff_of(specification, Processing.BATCH)
    price = Priced(made.price, in_batch)
    if specification.batch is None:
        return made.endpoint, (), price
    valve = ground.valve or Valve()
    batches = batches_over(made.endpoint, specification, ground.around, ground.transport, valve)
    identity = specification.shown(made.endpoint.identity)
    costs = Costs(in_batch, made.pictures, valve)
    layer = Batching(batches, identity, specification.batch, costs, specification.sampling)
    return Beside(made.endpoint, batches), (layer,), price


def _endpoint(
    specification: Specification,
    connections: int,
    profile: Profile,
    around: Surroundings,
    transport: Transport | None,
) -> Provider:
    match specification.kind:
        case "embedded":
            return embedded.connect(specification.model, computed_at_once(specification))
        case "simulated":
            return simulated.connect(specification.model)
        case _:
            return over_http(specification, connections, profile, around, transport)


def tariff_of(specification: Specification, processing: Processing = Processing.STANDARD) -> Price:
    """What its requests cost, handed in one by one or by a batch."""
    if specification.members:
        return Tariffs({each.called: tariff_of(each, processing) for each in specification.members})
    kind = KINDS[specification.kind]
    if not kind.is_http and specification.prices is None:
        return Free()
    fields = orjson.loads(specification.body)
    context = {name: fields[name] for name in PRICED_BY if isinstance(fields.get(name), str)}
    base = specification.base or kind.base
    return price_of(specification.model, base, specification.prices, processing=processing, context=context)
