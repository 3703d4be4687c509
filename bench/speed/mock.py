"""The mock endpoint as a process of its own: `semprop endpoint`, on a processor of its own, with its ledger.

    async with mock({"latency": {"first": 0.2}, "reply": {"bytes": 3000}}, settings) as endpoint:
        provider = connect(f"openai:any@{endpoint.url}")
        ...
        attempts = await endpoint.ledger()

It is started as anybody starts it, by its command: this package knows nothing of `semprop.tools`.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson

from semprop.bench.speed.children import server
from semprop.bench.speed.rows import Settings


@dataclass(frozen=True, slots=True)
class Attempt:
    """One line of the ledger: what was sent to the endpoint, and what became of it.

    Times are in seconds since the endpoint was started or reset. `key` is equal for equal bodies; `status` is 499 if
    the client left, None if nothing was answered; `answered` is None while it is under way; `fault` is the one that it
    met, `batch` the batch that it is a row of, `images` how many pictures it shows.
    """

    seq: int
    key: str
    model: str
    arrived: float
    connection: int
    answered: float | None
    status: int | None
    input: int
    output: int
    fault: str | None
    batch: str | None = None
    images: int = 0

    @property
    def seconds(self) -> float:
        """From the last byte of the request to the last of the reply; 0 while it is under way."""
        return 0.0 if self.answered is None else self.answered - self.arrived

    @property
    def is_answered(self) -> bool:
        """Whether a whole reply was sent."""
        return self.status == 200 and self.answered is not None and self.fault is None


@dataclass(frozen=True, slots=True)
class Mock:
    """A mock endpoint that listens. `url` is the base address for clients (`openai:MODEL@URL`), `origin` that of its
    own pages."""

    url: str
    origin: str
    pid: int

    async def ledger(self, since: int = 0) -> list[Attempt]:
        """Every attempt after number `since`, in the order of arrival."""
        address = f"{self.origin}/ledger?since={since}"
        async with aiohttp.ClientSession() as session, session.get(address) as response:
            response.raise_for_status()
            text = await response.read()
        return [Attempt(**orjson.loads(line)) for line in text.splitlines()]

    async def health(self) -> Mapping[str, object]:
        """Counts: attempts, those in flight, open connections, statuses, faults."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.origin}/health") as response:
            response.raise_for_status()
            found: Mapping[str, object] = orjson.loads(await response.read())
            return found

    async def reset(self) -> None:
        """Empty the ledger, the windows and the fault script, and set its time to 0."""
        async with aiohttp.ClientSession() as session, session.post(f"{self.origin}/reset") as response:
            response.raise_for_status()


@asynccontextmanager
async def mock(config: Mapping[str, object] | str, settings: Settings) -> AsyncIterator[Mock]:
    """Run `semprop endpoint` while the block runs; it is ended and reaped in any case, when cancelled too.

    Args:
        config: what the endpoint's TOML file holds, as data or as text.
        settings: names the processor that it is pinned to (where the system can do that).

    Raises:
        RunError: it did not begin to listen; its own words are on stderr.
    """
    text = config if isinstance(config, str) else toml(config)
    with tempfile.TemporaryDirectory(prefix="semprop-bench-") as directory:
        file = Path(directory) / "endpoint.toml"
        file.write_text(text, encoding="utf-8")
        arguments = ["endpoint", "--config", str(file), "--port", "0"]
        async with server(arguments, settings.endpoint_core) as told:
            yield Mock(told["url"], told["url"].removesuffix("/v1"), told["pid"])


def toml(document: Mapping[str, object]) -> str:
    """A mapping as TOML: every value inline.

    Raises:
        TypeError: a value is none of text, number, truth value, sequence and mapping.
    """
    return "".join(f"{_quoted(key)} = {_value(value)}\n" for key, value in document.items())


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float() if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        case int() | float():
            return repr(value)
        case str():
            return _quoted(value)
        case Mapping():
            return "{" + ", ".join(f"{_quoted(str(key))} = {_value(entry)}" for key, entry in value.items()) + "}"
        case Sequence():
            return "[" + ", ".join(map(_value, value)) + "]"
    raise TypeError(f"{type(value).__name__} is no value of TOML")


def _quoted(text: str) -> str:
    # JSON and TOML write text alike but for one character, which TOML wants escaped.
    return orjson.dumps(text).decode().replace("\x7f", "\\u007f")
