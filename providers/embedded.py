"""A real language model inside this process: llama.cpp through the optional package `xllamacpp`.

Takes requests, gives completions. The engine is imported and the file loaded at the first call, in a worker
thread; one thread computes, and one request runs at a time unless more were asked for. Never fetches the weights
(that is `weights.pull`), and never runs two servers for one provider.

The engine cannot be told not to listen: its server opens a port on the loopback interface. It is closed to others
by a random key that never leaves this module (only `/health` answers without it).

Replies repeat at temperature 0 for one file, one version of the engine and one request at a time. Nothing is
promised across versions, machines or batches.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import anyio
import anyio.to_thread
import orjson

from semprop.providers import weights
from semprop.providers.base import (
    Capabilities,
    Choices,
    Completion,
    JsonSchema,
    Provider,
    Request,
    Stop,
    TokenLogprob,
    Usage,
)
from semprop.providers.errors import ErrorClass, ItemError, StopError
from semprop.providers.wire.classify import Origin
from semprop.providers.wire.refusals import check_seen

CONTEXT = 4096
"""Tokens of prompt and reply together, for each request in flight."""

DEFAULT_MAX_TOKENS = 512
"""Output tokens where a request names no bound: a running call cannot be broken off, so it must end by itself."""

_PROMPT_CACHE_MIB = 256
_MEND = 'pip install ".[embedded]" and semprop pull smollm2'


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is opened: the model file, the key of its port, and how much may run at once."""

    file: Path
    key: str = field(repr=False)
    in_flight: int = 1
    threads: int = 1
    context: int = CONTEXT


class Server(Protocol):
    """What is used of the engine's server; tests pass their own."""

    def handle_chat_completions(self, body: dict[str, Any]) -> Mapping[str, Any]:
        """Answer one request of the chat-completions format; blocks. A refusal is a mapping with `error`."""


Opener = Callable[[Settings], Server]
"""Loads a model file; blocks.

Raises:
    StopError: the engine is absent, or the file cannot be loaded.
"""


def connect(model: str, in_flight: int = 1) -> Provider:
    """A provider for `smollm2` or the path of a GGUF file; opens nothing.

    Args:
        model: a name in `weights.KNOWN`, or a path.
        in_flight: requests that run at once; above 1 replies may differ from run to run.
    """
    return Embedded(model, in_flight)


class Embedded:
    """The provider. See the module's docstring for what it promises."""

    def __init__(self, model: str, in_flight: int = 1, opener: Opener | None = None) -> None:
        if in_flight < 1:
            raise StopError(
                f"in_flight is {in_flight}: at least one request must be able to run", ErrorClass.CONFIGURATION
            )
        self._name = model
        self._in_flight = in_flight
        self._opener = opener or open_server
        self._server: Server | None = None
        self._entered = 0
        self._lock = anyio.Lock()
        self._limiter = anyio.CapacityLimiter(in_flight)
        self._totals = _Totals()

    @property
    def identity(self) -> str:
        """Kind, model and the file's sha256 (12 digits), since another file gives other answers.

        Raises:
            StopError: there is no such file.
        """
        return f"embedded:{self.model}#{weights.fingerprint(self._file())[:12]}"

    @property
    def model(self) -> str:
        return Path(self._name).name if weights.is_path(self._name) else self._name

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(schema=True, choices=True, logprobs=True, simulated=False)

    async def complete(self, request: Request) -> Completion:
        """Answer one request. Cancelling waits until the running call has ended.

        `Choices` bounds the reply by itself, so `max_tokens` and `stop` do not cut it.

        Raises:
            ItemError: CONTEXT if the prompt is too long, BAD_REQUEST for all else that the engine refuses.
            StopError: CONFIGURATION: engine or file is absent or broken, or the provider was not entered.
        """
        body = body_of(request)
        server = await self._opened()
        try:
            reply = await anyio.to_thread.run_sync(server.handle_chat_completions, body, limiter=self._limiter)
            completion = completion_of(reply, self.model, request)
        except (ValueError, RuntimeError) as error:
            self._totals.refused += 1
            message = f"the embedded model could not take the request: {error}"
            raise ItemError(message, ErrorClass.BAD_REQUEST) from error
        except ItemError:
            self._totals.refused += 1
            raise
        self._totals.add(completion.usage)
        return completion

    def statistics(self) -> Mapping[str, object]:
        """Calls, refused calls, tokens; the file's sha256 and the engine's version once the file is open."""
        opened = self._server is not None
        return {
            "calls": self._totals.calls,
            "refused": self._totals.refused,
            "tokens": {
                "input": self._totals.input,
                "cached": self._totals.cached,
                "output": self._totals.output,
            },
            "open": opened,
            "in_flight": self._in_flight,
            "sha256": weights.fingerprint(self._file()) if opened else None,
            "xllamacpp": _engine_version(),
        }

    def __repr__(self) -> str:
        state = "open" if self._server is not None else "closed"
        return f"Embedded({self._name!r}, {state}, {self._totals.calls} calls)"

    async def __aenter__(self) -> Self:
        self._entered += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered -= 1
        if self._entered or self._server is None:
            return
        # The last reference goes in a worker thread: ending the engine joins its threads.
        holder, self._server = [self._server], None
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(holder.clear)

    def _file(self) -> Path:
        found = weights.find(self._name)
        if found is None:
            raise StopError(
                f"the embedded model {self._name!r} is not on this machine; fetch it: {_MEND}",
                ErrorClass.CONFIGURATION,
            )
        return found

    async def _opened(self) -> Server:
        if not self._entered:
            raise StopError(
                "the embedded provider is closed; use it inside `async with provider:`", ErrorClass.CONFIGURATION
            )
        async with self._lock:
            if self._server is None:
                settings = Settings(self._file(), secrets.token_urlsafe(24), self._in_flight)
                self._server = await anyio.to_thread.run_sync(self._opener, settings)
            return self._server


@dataclass(slots=True)
class _Totals:
    calls: int = 0
    refused: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0

    def add(self, usage: Usage) -> None:
        self.calls += 1
        self.input += usage.input or 0
        self.cached += usage.cached_read or 0
        self.output += usage.output or 0


def open_server(settings: Settings) -> Server:
    """Load the file into llama.cpp. Blocks for about a second.

    Raises:
        StopError: CONFIGURATION: `xllamacpp` is not installed, or it cannot load the file.
    """
    try:
        import xllamacpp  # an optional extra: only who calls the embedded model needs it
    except ImportError as error:
        raise StopError(
            f"the embedded model needs the package xllamacpp ({error}); install it: {_MEND}",
            ErrorClass.CONFIGURATION,
        ) from error
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(settings.file)
    parameters.n_parallel = settings.in_flight
    parameters.n_ctx = settings.context * settings.in_flight
    parameters.cpuparams.n_threads = settings.threads
    parameters.cpuparams_batch.n_threads = settings.threads
    # Calls of different nodes alternate: with their prefixes kept, a chain of two ran in half the time.
    parameters.cache_ram_mib = _PROMPT_CACHE_MIB
    parameters.api_keys = [settings.key]
    parameters.verbosity = -1
    parameters.ui = False
    try:
        server: Server = xllamacpp.Server(parameters)
    except RuntimeError as error:
        raise StopError(
            f"llama.cpp cannot load {settings.file.name!r} ({error}); it must be a GGUF model file: semprop pull "
            "smollm2 fetches a good one",
            ErrorClass.CONFIGURATION,
        ) from error
    return server


def body_of(request: Request) -> dict[str, Any]:
    """The request in the chat-completions format, with the engine's own field `grammar` for choices.

    Raises:
        ItemError: BAD_REQUEST: choices that no grammar can express.
        StopError: it holds a picture (CONFIGURATION).
    """
    for message in request.messages:
        check_seen(message.images, (), Origin("embedded"), "a model inside this process")
    sampling = request.sampling
    bound = DEFAULT_MAX_TOKENS if sampling.max_tokens is None else sampling.max_tokens
    body: dict[str, Any] = {
        "messages": [{"role": message.role, "content": message.text} for message in request.messages],
        "cache_prompt": True,
        "max_tokens": bound,
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    for name in ("temperature", "top_p", "seed"):
        value = getattr(sampling, name)
        if value is not None:
            body[name] = value
    if sampling.top_logprobs is not None:
        # The engine gives nothing at all for 0 alternatives; the surplus is dropped when the reply is read.
        body |= {"logprobs": True, "top_logprobs": max(1, sampling.top_logprobs)}
    match request.schema:
        case JsonSchema(name, document):
            schema = {"name": name, "strict": True, "schema": orjson.loads(document)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        case Choices(options):
            body["grammar"] = grammar_of(options)
            body["max_tokens"] = 1 + max(len(option.encode()) for option in options)
            body.pop("stop", None)
    return body


def grammar_of(options: tuple[str, ...]) -> str:
    """A GBNF grammar that accepts exactly these texts.

    Raises:
        ItemError: BAD_REQUEST: there is no option, an empty one, or one with a NUL.
    """
    if not options or not all(options):
        raise ItemError(
            f"the choices {options!r} must be one text or more, none of them empty; mend the node's choices",
            ErrorClass.BAD_REQUEST,
        )
    return "root ::= " + " | ".join(f'"{"".join(map(_escaped, option))}"' for option in options)


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    if letter == "\0":
        raise ItemError("a choice holds a NUL character, which no reply can; remove it", ErrorClass.BAD_REQUEST)
    if ord(letter) < 0x20:
        return f"\\x{ord(letter):02X}"
    return letter


_STOPS = {"stop": Stop.END, "length": Stop.LENGTH, "content_filter": Stop.FILTER}


def completion_of(reply: Mapping[str, Any], model: str, request: Request) -> Completion:
    """The engine's reply as a completion.

    Raises:
        ItemError: the reply is a refusal, or not of the expected form.
    """
    if "error" in reply:
        raise _refusal(reply["error"])
    try:
        choice = reply["choices"][0]
        usage = reply["usage"]
        completion = Completion(
            text=choice["message"]["content"] or "",
            stop=_STOPS.get(choice["finish_reason"], Stop.OTHER),
            usage=Usage(
                input=usage["prompt_tokens"],
                cached_read=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
                output=usage["completion_tokens"],
            ),
            model=model,
            request_id=reply.get("id"),
        )
        if request.sampling.top_logprobs is None:
            return completion
        tokens = (choice.get("logprobs") or {}).get("content") or ()
        return replace(completion, logprobs=_logprobs(tokens, request.sampling.top_logprobs))
    except (LookupError, TypeError) as error:
        raise ItemError(
            f"the engine's reply has another form than expected ({type(error).__name__}: {error}); install the version "
            "of xllamacpp that the extra `embedded` names",
            ErrorClass.BAD_REQUEST,
        ) from error


def _logprobs(tokens: Any, wanted: int) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            token["token"],
            token["logprob"],
            tuple((other["token"], other["logprob"]) for other in token["top_logprobs"][:wanted]),
        )
        for token in tokens
    )


def _refusal(error: Any) -> ItemError:
    details = error if isinstance(error, Mapping) else {"message": str(error)}
    message, code = str(details.get("message", details)), details.get("code")
    status = code if isinstance(code, int) else None
    if details.get("type") == "exceed_context_size_error":
        return ItemError(
            f"the prompt is too long for the embedded model: {message}; shorten it",
            ErrorClass.CONTEXT,
            status=status,
        )
    return ItemError(f"the embedded model refused the request: {message}", ErrorClass.BAD_REQUEST, status=status)


def _engine_version() -> str | None:
    try:
        return version("xllamacpp")
    except PackageNotFoundError:
        return None
