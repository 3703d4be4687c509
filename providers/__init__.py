"""Clients of language models: what is asked, what is answered, and what can go wrong.

    async with connect("openai:gpt-4o-mini") as provider:
        completion = await provider.complete(Request((Message.of("user", "Hello"),)))

`connect` makes a provider of a specification, `wrap` of any async callable, `Scripted` of a script (for tests).
Importing opens nothing and configures nothing.
"""

from semprop.providers.base import (
    Admission,
    Capabilities,
    Choices,
    Completion,
    Constraint,
    JsonSchema,
    LimitSeen,
    Message,
    Mixture,
    Part,
    Provider,
    Quiescent,
    Request,
    Role,
    Sampling,
    Stop,
    Text,
    Timing,
    TokenLogprob,
    Usage,
    content_key,
)
from semprop.providers.clock import Clock, SystemClock
from semprop.providers.errors import (
    ErrorClass,
    ItemError,
    ProviderError,
    ProviderFailure,
    RetryError,
    StopError,
)
from semprop.providers.hedging import Hedge
from semprop.providers.kinds import KINDS, Kind
from semprop.providers.layers import InFlight, Stack
from semprop.providers.limits.limiter import Limiter
from semprop.providers.pools.routing import Policy, Rules
from semprop.providers.prices import Prices, price_of
from semprop.providers.retry import RetryPolicy
from semprop.providers.scripted import Scripted, VirtualClock
from semprop.providers.specification import Specification
from semprop.providers.specification import load as load_specifications
from semprop.providers.specification import parse as parse_specification
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings
from semprop.providers.transport import Transport
from semprop.providers.wrapped import wrap

__all__ = [
    "KINDS",
    "Admission",
    "Capabilities",
    "Choices",
    "Clock",
    "Completion",
    "Constraint",
    "ErrorClass",
    "Hedge",
    "InFlight",
    "ItemError",
    "JsonSchema",
    "Kind",
    "LimitSeen",
    "Limiter",
    "Message",
    "Mixture",
    "Part",
    "Policy",
    "Prices",
    "Provider",
    "ProviderError",
    "ProviderFailure",
    "Quiescent",
    "Request",
    "RetryError",
    "RetryPolicy",
    "Role",
    "Rules",
    "Sampling",
    "Scripted",
    "Specification",
    "Stack",
    "Stop",
    "StopError",
    "Surroundings",
    "SystemClock",
    "Text",
    "Timing",
    "TokenLogprob",
    "Transport",
    "Usage",
    "VirtualClock",
    "connect",
    "content_key",
    "load_specifications",
    "parse_specification",
    "price_of",
    "wrap",
]
