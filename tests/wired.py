"""Providers of a kind against a server of bytes: one try, no key, and what was refused before retries were used up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import orjson
from answering import Answering, answering

from semprop.providers.errors import ProviderError, ProviderFailure, RetryError
from semprop.providers.kinds import Kind, Speaks
from semprop.providers.layers import Stack
from semprop.providers.retry import RetryPolicy
from semprop.providers.scripted import VirtualClock
from semprop.providers.specification import Specification
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings


def provider_at(base: str, kind: Kind, stream: bool = False) -> Stack:
    around = Surroundings(
        environment={}, clock=VirtualClock(), random=Random(0), retry=RetryPolicy(tries=1, throttles=1)
    )
    return connect(Specification(kind.name, "m", base, key_env="", stream=stream), surroundings=around)


@asynccontextmanager
async def serving_bytes(data: bytes) -> AsyncIterator[Answering]:
    async def answer(writer: Any, number: int) -> None:
        writer.write(data)
        await writer.drain()

    async with answering(answer) as server:
        yield server


def events_of(kind: Kind, events: tuple[Any, ...]) -> bytes:
    """A stream as its service writes it: text is a line of its own (a comment), or the mark of the end."""
    named = kind.speaks in (Speaks.MESSAGES, Speaks.RESPONSES)
    pieces = []
    for event in events:
        if isinstance(event, str):
            pieces.append(event.encode() if event.startswith(":") else b"data: " + event.encode())
        else:
            name = b"event: " + event["type"].encode() + b"\n" if named else b""
            pieces.append(name + b"data: " + orjson.dumps(event))
    return b"\n\n".join(pieces) + b"\n\n"


def first_of(error: ProviderError) -> ProviderError:
    """What was refused, before retries were used up."""
    if isinstance(error, ProviderFailure) and isinstance(error.__cause__, RetryError):
        return error.__cause__
    return error


def learned(limits: Any) -> Mapping[str, float]:
    """Dimension → limit, over all groups of a limiter."""
    found: dict[str, float] = {}
    for group in limits.values():
        for name, book in group["dimensions"].items():
            found[name] = book["limit"]
    return found
