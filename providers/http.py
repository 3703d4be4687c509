"""The one boundary to the network: requests of a wire format over aiohttp.

Takes a `WireFormat` and the settings of an endpoint; gives a provider that sends one attempt for each call (and
at once another where the endpoint refuses a field that can be left out). Its session opens at the first call and
closes when the last user leaves. Never follows a redirect, never sends a key to another host, never lets a
key or a proxy's password into an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self

import aiohttp
import structlog

from semprop.providers.base import Capabilities, Completion, Request, Timing
from semprop.providers.clock import Clock
from semprop.providers.connection import HttpSettings, Route, find_key, is_loopback, route, unusable
from semprop.providers.deadlines import Deadlines
from semprop.providers.errors import ErrorClass, ProviderError, RetryError, StopError
from semprop.providers.exchange import Exchange, Seen, exchange
from semprop.providers.streamed import Streamed
from semprop.providers.transport import Transport
from semprop.providers.wire.classify import Origin, Reply, classify, redacted, without
from semprop.providers.wire.folds import Fold
from semprop.providers.wire.refusals import NoPlace

_log = structlog.get_logger(__name__)


class WireFormat(Protocol):
    """A pure encoder and decoder. A frozen value: doing without a refused field gives another value."""

    @property
    def path(self) -> str:
        """What stands behind the base address."""

    @property
    def stream_path(self) -> str:
        """The same where replies come in events."""

    @property
    def stream_query(self) -> tuple[tuple[str, str], ...]:
        """What the address asks for events with."""

    @property
    def model(self) -> str:
        """The model's name as the endpoint knows it."""

    @property
    def dialect(self) -> str:
        """Of the headers that tell of limits (`semprop.providers.wire.headers.DIALECTS`)."""

    @property
    def degraded(self) -> tuple[str, ...]:
        """What is done without, for people."""

    def headers(self, key: str) -> Mapping[str, str]:
        """The headers that carry the key (empty text: no key)."""

    def encode(self, request: Request) -> bytes:
        """The body of a request."""

    def encode_stream(self, request: Request) -> bytes:
        """The body of a request whose reply is to come in events."""

    def fold(self) -> Fold:
        """What the events of one reply are folded into."""

    def decode(self, reply: Reply, request: Request) -> Completion:
        """What a reply of status 200 says; raises the `ProviderError` that it is otherwise."""

    def refused_field(self, reply: Reply, request: Request) -> str | None:
        """The field that a refusal is about, if the request can do without it."""

    def without(self, name: str) -> Self:
        """The format that does without a field; the same value if it does already."""


@dataclass(frozen=True, slots=True)
class _Line:
    """What every request of an open provider shares."""

    exchange: Exchange
    deadlines: Deadlines
    secrets: tuple[str, ...]


class HttpProvider:
    """One model at one endpoint over HTTP."""

    def __init__(
        self,
        settings: HttpSettings,
        wire: WireFormat,
        capabilities: Capabilities,
        transport: Transport | None = None,
        stream: Clock | None = None,
    ) -> None:
        """
        Args:
            settings: where the endpoint is and how it is reached.
            wire: how it is spoken to.
            capabilities: what it promises.
            transport: shared by providers whose connections may be; None: its own.
            stream: what the pieces of streamed replies are timed on; None: replies come whole.
        """
        self._stream = stream
        self._settings = settings
        self._session = (transport or Transport()).join(settings)
        self._wire = wire
        self._capabilities = capabilities
        self._entered = 0
        self._line: _Line | None = None
        self._stopped: StopError | None = None
        self._attempts = 0
        self._errors: Counter[str] = Counter()

    def __repr__(self) -> str:
        state = "open" if self._line else "closed"
        return f"HttpProvider({self.identity}, session={state}, attempts={self._attempts})"

    def ready(self) -> None:
        """See `Ready`."""
        find_key(self._settings)

    @property
    def settings(self) -> HttpSettings:
        """Where it is and how it is reached."""
        return self._settings

    @property
    def wire(self) -> WireFormat:
        """How it is spoken to, without the fields that it was seen to refuse."""
        return self._wire

    @property
    def identity(self) -> str:
        return self._settings.identity

    @property
    def model(self) -> str:
        return self._wire.model

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def statistics(self) -> Mapping[str, object]:
        """Attempts on the wire, errors by class, what the endpoint refused and is done without, the session."""
        return {
            "attempts": self._attempts,
            "errors": dict(self._errors),
            "degraded": list(self._wire.degraded),
            "session": "open" if self._line else "closed",
        }

    async def __aenter__(self) -> Self:
        self._entered += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered -= 1
        if self._entered:
            return
        line, self._line, self._stopped = self._line, None, None
        if line is not None:
            line.deadlines.close()
            await self._session.leave()

    async def complete(self, request: Request) -> Completion:
        """Send one attempt, and another for each field that the endpoint refuses to be sent.

        Raises:
            ProviderError: as `classify` says; `attempts` counts what this call sent.
            StopError: also when the provider was not entered, has no key, or was stopped before.
        """
        line = self._line or await self._opened()
        if self._stopped is not None:
            raise _again(self._stopped)
        attempts = 0
        while True:
            wire = self._wire
            try:
                if self._stream is None:
                    reply, timing = await self._sent(line, wire.encode(request)), None
                else:
                    reply, timing = await self._streamed(line, wire, request, self._stream)
                completion = self._read(line, wire, reply, request)
            except ProviderError as error:
                self._errors[error.error_class.value] += 1
                if isinstance(error, StopError) and not isinstance(error, NoPlace):
                    self._stopped = error
                error.attempts += attempts
                raise
            attempts += 1
            if completion is not None:
                if attempts == 1 and timing is None:
                    return completion
                return replace(completion, attempts=attempts, timing=timing)

    async def _streamed(
        self, line: _Line, wire: WireFormat, request: Request, clock: Clock
    ) -> tuple[Reply, Timing | None]:
        body = wire.encode_stream(request)
        streamed = Streamed(wire.fold(), clock)
        reply = await self._sent(line, body, streamed.seen)
        return streamed.whole(reply), streamed.timing

    def _read(self, line: _Line, wire: WireFormat, reply: Reply, request: Request) -> Completion | None:
        """What a reply says, or None if the request is to be sent again in another shape.

        The shapes are bounded, since each of them has less than the one before.
        """
        secrets = line.secrets
        if reply.status == 200:
            return _decoded(wire, reply, request, secrets)
        name = wire.refused_field(reply, request)
        if name is not None:
            changed = self._wire.without(name)
            if changed != self._wire:
                self._wire = changed
                _log.warning("provider_degraded", provider=self.identity, refused=name, now=list(changed.degraded))
            if self._wire != wire:
                return None
        raise classify(reply, Origin(self.identity, self._settings.key_env, secrets, wire.dialect))

    async def _sent(self, line: _Line, body: bytes, seen: Seen | None = None) -> Reply:
        self._attempts += 1
        fault: ProviderError
        try:
            with line.deadlines.deadline():
                exchanging = line.exchange(body, seen)
                del body  # As the exchange does, once it is sent.
                return await exchanging
        except aiohttp.ConnectionTimeoutError as error:
            fault = translated(error, self.identity, line.secrets)
        except TimeoutError:
            fault = RetryError(
                f"{self.identity} did not answer within {self._settings.timeout:g} s; it is asked again. "
                "Give the provider a longer `timeout` if its answers take that long",
                ErrorClass.TRANSIENT,
            )
        except (aiohttp.ClientError, OSError) as error:
            fault = translated(error, self.identity, line.secrets)
        self._attempts -= 1 - fault.attempts
        # Outside the handler on purpose: aiohttp's errors carry the request's headers and the proxy's address,
        # so they must not hang on ours as cause or context.
        raise fault

    async def _opened(self) -> _Line:
        settings = self._settings
        if not self._entered:
            raise unusable(f"{self.identity} is not open: use `async with provider:` around its calls")
        key = find_key(settings)
        way = route(settings, self._wire.path, self._wire.headers(key), key)
        if self._stream is not None:
            way = streaming(way, self._wire)
        if way.secrets and way.url.scheme != "https" and not is_loopback(way.url.host or ""):
            _log.warning("key_sent_unencrypted", provider=self.identity, mend="use an https base address")
        session = self._session.enter()
        try:
            self._line = _Line(exchange(session, way, settings), Deadlines(settings.timeout), way.secrets)
        except BaseException:
            await self._session.leave()
            raise
        return self._line


def streaming(way: Route, wire: WireFormat) -> Route:
    """The way to where a format's replies come in events, if that is another address."""
    if wire.stream_path == wire.path:
        return way
    path = way.url.path.removesuffix(wire.path) + wire.stream_path
    return replace(way, url=way.url.with_path(path).with_query(way.url.query).update_query(dict(wire.stream_query)))


def _decoded(wire: WireFormat, reply: Reply, request: Request, secrets: tuple[str, ...]) -> Completion:
    try:
        return wire.decode(reply, request)
    except ProviderError:
        clean = reply._replace(body=without(reply.body, secrets))
        if clean == reply:
            raise
    # The error quoted a body that holds a secret: the same error is made again from the clean one.
    return wire.decode(clean, request)


def translated(error: aiohttp.ClientError | OSError, identity: str, secrets: tuple[str, ...]) -> ProviderError:
    what = redacted(f"{type(error).__name__}: {error}", secrets)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return unusable(
            f"{identity}: its certificate is not trusted ({what}): name your certificate authority as `ca` in the "
            "providers file or in SSL_CERT_FILE"
        )
    if isinstance(error, aiohttp.InvalidURL):
        return unusable(f"{identity}: its base address cannot be used ({what}): check it")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        # Its own text holds the request's headers.
        what = f"the proxy refused the connection with status {error.status}"
        if error.status in (401, 403, 407):
            return unusable(f"{identity}: {what}: check the proxy's variables and its password")
        return RetryError(f"{identity}: {what}", ErrorClass.TRANSIENT, attempts=0)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        # Nothing was sent, so no ledger of the endpoint counts it.
        return RetryError(f"{identity} cannot be reached ({what})", ErrorClass.TRANSIENT, attempts=0)
    return RetryError(f"{identity} broke the connection off ({what})", ErrorClass.TRANSIENT)


def _again(stopped: StopError) -> StopError:
    """The same stop for another request, which was not sent."""
    return StopError(
        str(stopped),
        stopped.error_class,
        status=stopped.status,
        retry_after=stopped.retry_after,
        dimension=stopped.dimension,
        attempts=0,
        limits=stopped.limits,
    )
