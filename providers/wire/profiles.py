"""What services charge, and how: one frozen value a service.

Takes hosts and usages; gives profiles and costs. Data and pure functions. Sources: the services' own pages on rate
limits; where they leave something open, the headers of every reply correct it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from semprop.providers.base import Usage
from semprop.providers.limits.accounts import Cost, Pace


class Charge(StrEnum):
    """What a request counts against a limit of tokens (input and output together).

    LARGEST: the larger of its input and its `max_tokens`, and nothing is given back. SUM: both together, and nothing is
    given back. ACTUAL: what it turned out to use.
    """

    LARGEST = "largest"
    SUM = "sum"
    ACTUAL = "actual"


HOSTED = 512
"""Requests in flight, at most, at services whose limits are of rates: 6,000 a minute that take 5 s each are 500."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The habits of a service.

    Attributes:
        name: as `profile` in a providers file.
        dialect: of its headers (`headers.DIALECTS`).
        charge: what counts against `tokens` limits.
        cached_counts: whether input read from a cache counts.
        refused_counts: whether a refused request counts as a request.
        rounding: what remains of a token limit is told in multiples of this.
        pace: how close to a limit to go.
        zone: where a day of its daily limits begins.
        start: requests in flight at the beginning where nobody stated a bound. They grow up to `most`.
        most: the bound of that growth.
    """

    name: str
    dialect: str = "openai"
    charge: Charge = Charge.ACTUAL
    cached_counts: bool = True
    refused_counts: bool = False
    rounding: float = 1.0
    pace: Pace = Pace()
    zone: str = "UTC"
    start: int = 16
    most: int = 128


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("unknown"),
        Profile("openai", charge=Charge.LARGEST, refused_counts=True, most=HOSTED),
        Profile("azure", charge=Charge.SUM, refused_counts=True, most=HOSTED),
        Profile("anthropic", dialect="anthropic", cached_counts=False, rounding=1000.0, most=HOSTED),
        Profile("gemini", zone="America/Los_Angeles", most=HOSTED),
        Profile("groq", dialect="groq", cached_counts=False, most=HOSTED),
        Profile("mistral", most=HOSTED),
        Profile("together", dialect="together", most=HOSTED),
        Profile("vllm"),
        Profile("ollama", start=2, most=16),
        Profile("llamacpp", start=2, most=16),
        Profile("local", most=64),
    )
}

_OF_HOST = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure",
    "services.ai.azure.com": "azure",
    "anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
    "groq.com": "groq",
    "mistral.ai": "mistral",
    "together.xyz": "together",
    "together.ai": "together",
}


def profile_of(host: str) -> Profile:
    """The profile of a host; `unknown` where nothing is known."""
    host = host.lower()
    for suffix, name in _OF_HOST.items():
        if host == suffix or host.endswith("." + suffix):
            return PROFILES[name]
    return PROFILES["unknown"]


def zone_of(profile: Profile) -> tzinfo:
    """The zone of a profile's days; UTC where the machine has no list of zones."""
    if profile.zone == "UTC":
        return UTC
    try:
        return ZoneInfo(profile.zone)
    except ZoneInfoNotFoundError:
        return UTC


def cost_of(profile: Profile, given: float, produced: float, bound: int | None) -> Cost:
    """What a request counts, by estimates before it or by its usage after it.

    Args:
        profile: the service.
        given, produced: tokens of input (cached ones left out where they do not count) and of output.
        bound: its `max_tokens`.
    """
    charge = profile.charge
    if charge is Charge.LARGEST:
        tokens = max(given, float(bound or 0))
    elif charge is Charge.SUM:
        tokens = given + (produced if bound is None else bound)
    else:
        tokens = given + produced
    return Cost(1.0, tokens, given, produced)


def settled(profile: Profile, reserved: Cost, usage: Usage, bound: int | None) -> Cost:
    """What it counts now that its usage is known; what the endpoint did not tell stays as reserved."""
    if usage.input is None and usage.output is None:
        return reserved
    given = reserved.input_tokens if usage.input is None else float(usage.input)
    if not profile.cached_counts and usage.input is not None:
        given -= usage.cached_read or 0
    produced = reserved.output_tokens if usage.output is None else float(usage.output)
    return cost_of(profile, given, produced, bound)
