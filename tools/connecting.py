"""From the names of providers to providers that share what they can: limits, connections, a budget. Opens nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from semprop.engine.errors import SpecificationError
from semprop.engine.training.runs import Run
from semprop.engine.training.telemetry import Price
from semprop.providers.base import Noting, Usage
from semprop.providers.batches.notes import drafts, pending
from semprop.providers.batches.terms import BatchTerms
from semprop.providers.budget import Caps
from semprop.providers.endpoints import BATCHED
from semprop.providers.layers import Stack
from semprop.providers.limits.limiter import Limiter
from semprop.providers.specification import load as load_providers
from semprop.providers.specification import resolve as resolve_provider
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings
from semprop.providers.transport import Transport
from semprop.providers.valve import Valve
from semprop.tools.budgets import check_caps
from semprop.tools.descriptors import SPARE, raise_file_limit


@dataclass(frozen=True, slots=True)
class Connecting:
    """How providers are reached: the file that names some, requests at once, what may be spent, and whether requests
    that nobody waits for go by batch APIs."""

    providers: Path | None
    in_flight: int | None
    caps: Caps
    batch: bool = False


def waiting(run: Run) -> int:
    """How many requests of a run stand in a batch and have no outcome on record."""
    return sum(len(keys) for _, keys in pending([*drafts(run.notes()).values()], run.settled()))


def check_batches(run: Run, batched: Sequence[str]) -> None:
    """Make sure that what a batch may answer is not asked once more in another way.

    Raises:
        SpecificationError: a batch of the run may be under way, and the run is to go on without.
    """
    if not batched and (count := waiting(run)):
        raise SpecificationError(
            f"{count} requests of {run.path} stand in a batch, and its results are not on record: resume it with "
            f"--batch as before, which fetches them (semprop batches {run.path} shows it, --cancel stops it)"
        )


def connected(order: Connecting, roles: Mapping[str, str], around: Surroundings, valve: Valve) -> dict[str, Stack]:
    """One provider for each different specification, and one limiter and one transport for all: roles of one account
    share its limits, those of one endpoint its connections."""
    named = {} if order.providers is None else load_providers(order.providers)
    stacks: dict[str, Stack] = {}
    limiter, transport = Limiter(clock=around.clock, random=around.random), Transport()
    for role, text in roles.items():
        if text in stacks:
            continue
        specification = resolve_provider(text, named)
        if order.batch and specification.kind in BATCHED:
            specification = replace(specification, batch=specification.batch or BatchTerms())
        # The embedded model keeps its own bound: its replies repeat only one at a time.
        bound = None if specification.kind == "embedded" or specification.in_flight is not None else order.in_flight
        if bound is not None and bound < 1:
            raise SpecificationError(f"--in-flight is {bound} for {role}: give 1 or more")
        stack = stacks[text] = connect(
            specification, in_flight=bound, surroundings=around, limiter=limiter, transport=transport, valve=valve
        )
        check_caps(order.caps, text, stack.price, specification)
    if order.batch and not any(isinstance(stack, Noting) for stack in stacks.values()):
        raise SpecificationError(
            f"--batch: none of {', '.join(stacks)} has a batch API that is spoken here; these kinds have: "
            f"{', '.join(BATCHED)}"
        )
    raise_file_limit(transport.connections + SPARE)
    return {role: stacks[text] for role, text in roles.items()}


def priced(providers: Mapping[str, Stack]) -> Price:
    """What a call of a role costs, by its provider's prices."""

    def price(role: str, usage: Usage) -> float | None:
        provider = providers.get(role) or providers.get("forward")
        return None if provider is None else provider.price(usage)

    return price
