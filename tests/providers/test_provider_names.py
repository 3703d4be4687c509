"""The public names of `semprop.providers`, listed once."""

from __future__ import annotations

import semprop.providers as providers

NAMES = [
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
    "Rules",
    "Role",
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


def test_the_public_names_are_these_and_exist() -> None:
    assert sorted(providers.__all__) == sorted(NAMES)
    assert [name for name in NAMES if not hasattr(providers, name)] == []


def test_every_public_class_and_function_says_what_it_is() -> None:
    documented = [getattr(providers, name) for name in NAMES if name not in ("KINDS", "Constraint", "Part", "Role")]
    assert [thing for thing in documented if not thing.__doc__] == []
