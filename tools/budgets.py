"""What a command may spend: from flags to caps, and what earlier sittings of a run have spent already.

Worst case where nothing better is known: an intent without a reply may have been charged in full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from semprop.engine.errors import SpecificationError
from semprop.engine.outcomes import Failure
from semprop.engine.training.calls import Call
from semprop.engine.training.runs import Run
from semprop.providers.base import Completion, Usage
from semprop.providers.budget import NOTHING, PER_MESSAGE, PER_REQUEST, Amount, Caps, most_picodollars, settled
from semprop.providers.layers import Price
from semprop.providers.pictures import LARGEST
from semprop.providers.specification import Specification
from semprop.providers.stack import tariff_of

UNBOUNDED = (
    *("n", "best_of", "max_tokens", "max_completion_tokens", "max_output_tokens"),
    *("maxOutputTokens", "candidateCount", "candidate_count"),
)
"""Fields of a body, or of Gemini's `generationConfig` in it, that change how long replies may be."""


def check_caps(caps: Caps, name: str, price: Price, specification: Specification) -> None:
    """Refuse a provider whose worst case cannot be known.

    Raises:
        SpecificationError: dollars are capped and its price is unknown, or its body changes how long replies may be; of
            a pool, those of any member.
    """
    for member in specification.members:
        check_caps(caps, f"{member.called} (of {name})", tariff_of(member), member)
    if caps.usd is not None and price(Usage(1, 0, 0, 1)) is None:
        raise SpecificationError(
            f"no price is known for {name!r}, so its dollars cannot be capped: give it `prices` in the "
            "providers file, or cap calls and tokens instead"
        )
    if caps.usd is not None and specification.prompt_cache and price(Usage(1, 0, 1, 1)) is None:
        raise SpecificationError(
            f"{name!r} writes to a prompt cache at an unknown price, so its dollars cannot be capped: give "
            "`cache_write` among its `prices`, or leave `prompt_cache` out"
        )
    if caps.usd is not None and specification.batch is not None and price(Usage(1, 0, 0, 1, batch=True)) is None:
        raise SpecificationError(
            f"no batch price is known for {name!r}, so its dollars cannot be capped: give `prices` with `batch` in the "
            "providers file, or cap calls and tokens instead"
        )
    fields = orjson.loads(specification.body)
    inner = [fields.get(name) for name in ("generationConfig", "generation_config")]
    places = [fields, *(place for place in inner if isinstance(place, dict))]
    unbounded = next((field for field in UNBOUNDED if any(field in place for place in places)), None)
    if caps.bounds_output and unbounded is not None:
        raise SpecificationError(
            f"the `body` of {name!r} sets {unbounded!r}, so the length of its replies cannot be capped: leave "
            "it out, and give `max_tokens` under `sampling`"
        )


def spent_before(run: Run, price: Callable[[str, Usage], float | None]) -> Amount:
    """What all sittings of a run so far may have cost at most."""
    total = NOTHING
    for call in run.calls():
        total += amount_of(call, lambda usage, role=call.role: price(role, usage))  # type: ignore[misc]
    return total


def amount_of(call: Call, price: Price) -> Amount:
    """What the attempts at one position may have cost."""
    worst = _worst(call.request, price)
    total = NOTHING
    for charge in call.charges if call.charge is None else (call.charge, *call.charges):
        total += _all(worst, charge.attempts) if charge.spent is None else Amount.of(charge.spent)
        if charge.is_open:
            total += worst
    for _ in range(call.unknown):
        total += worst
    if call.is_plain and isinstance(call.outcome, Completion):
        total += settled(worst, call.outcome, price)
    elif call.is_plain and isinstance(call.outcome, Failure):
        total += _all(worst, call.outcome.attempts)
    return total


def _all(worst: Amount, attempts: int) -> Amount:
    """So many attempts at their worst."""
    return Amount(attempts, attempts * worst.input, attempts * worst.output, attempts * worst.picodollars)


def _worst(request: Mapping[str, Any], price: Price) -> Amount:
    """As `providers.budget.worst_case`, of a recorded request."""
    given = sum(len(message["content"].encode(errors="replace")) for message in request["messages"])
    if request["constraint"] is not None:
        given += len(orjson.dumps(request["constraint"]))
    given += LARGEST * sum(message.get("pictures", 0) for message in request["messages"])
    given += PER_MESSAGE * len(request["messages"]) + PER_REQUEST
    produced = request["sampling"]["max_tokens"] or 0
    return Amount(1, given, produced, most_picodollars(given, produced, price))
