"""From a specification to a provider over HTTP: the one place that knows which kind speaks which wire format.

Takes a specification and what time and the environment are; gives an `HttpProvider`. Opens nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from yarl import URL

from semprop.providers.base import Provider
from semprop.providers.batches.anthropic import AnthropicBatches
from semprop.providers.batches.calls import Calls
from semprop.providers.batches.openai import OpenAIBatches
from semprop.providers.batches.provider import Batches
from semprop.providers.batches.submitting import Gate, Outside
from semprop.providers.batches.terms import BatchTerms
from semprop.providers.connection import HttpSettings, is_loopback
from semprop.providers.errors import ErrorClass, StopError
from semprop.providers.http import HttpProvider, WireFormat
from semprop.providers.kinds import KINDS, Kind, Speaks
from semprop.providers.specification import Specification
from semprop.providers.surroundings import Surroundings
from semprop.providers.transport import Transport
from semprop.providers.wire.anthropic import AnthropicFormat
from semprop.providers.wire.classify import Origin
from semprop.providers.wire.gemini import GeminiFormat
from semprop.providers.wire.openai import OpenAIFormat
from semprop.providers.wire.profiles import Profile
from semprop.providers.wire.responses import ResponsesFormat

AZURE_VERSION = "2024-10-21"
"""The latest version of Azure's deployments API that stays as it is; `query = {api-version = "…"}` gives another."""

_KEY_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key")


def over_http(
    specification: Specification,
    connections: int,
    profile: Profile,
    around: Surroundings,
    transport: Transport | None,
) -> HttpProvider:
    """The provider of a kind that is reached over the network.

    Args:
        connections: the most sockets at once.
        profile: the service's habits with limits.
        transport: shared by providers whose connections may be; None: its own.
    """
    kind = KINDS[specification.kind]
    base = specification.base or kind.base
    key_env = kind.key_env if specification.key_env is None else specification.key_env
    carries_key = any(name.lower() in _KEY_HEADERS for name, _ in specification.headers)
    if carries_key and specification.key_env is None:
        key_env = ""
    identity = f"{kind.name}:{specification.model}@{base}"
    origin = Origin(identity, key_env, dialect=profile.dialect)
    settings = HttpSettings(
        base=base,
        identity=identity,
        key_env=key_env,
        needs_key=not is_loopback(URL(base).host or ""),
        headers=specification.headers,
        query=_query(specification, kind, base),
        timeout=specification.timeout,
        connections=connections,
        ca=specification.ca,
        environment=os.environ if around.environment is None else around.environment,
    )
    clock = around.clock if specification.stream else None
    return HttpProvider(settings, _wire(specification, kind, origin, base), kind.capabilities, transport, clock)


BATCHED: Mapping[str, str] = {"openai": "/v1", "openai-responses": "/v1", "anthropic": ""}
"""Kinds whose batch API is spoken here, and what its lines have before the path of a single request."""


def batches_over(
    endpoint: Provider,
    specification: Specification,
    around: Surroundings,
    transport: Transport | None,
    gate: Gate | None = None,
) -> Batches:
    """The batch API of an endpoint.

    Args:
        gate: what may stop it from sending.

    Raises:
        StopError: the kind has none that is spoken here (CONFIGURATION).
    """
    if specification.kind not in BATCHED or not isinstance(endpoint, HttpProvider):
        raise StopError(
            f"{endpoint.identity} has no batch API that is spoken here; these have: {', '.join(BATCHED)}",
            ErrorClass.CONFIGURATION,
            attempts=0,
        )
    calls = Calls(endpoint.settings, endpoint.wire, transport or Transport())
    anthropic = KINDS[specification.kind].speaks is Speaks.MESSAGES
    url = f"{BATCHED[specification.kind]}{endpoint.wire.path}"
    service = AnthropicBatches(calls) if anthropic else OpenAIBatches(calls, url)
    outside = Outside(around.clock, around.wall, around.token, gate)
    identity = specification.shown(endpoint.identity)
    return Batches(service, calls, endpoint.wire, identity, specification.batch or BatchTerms(), outside)


def _wire(specification: Specification, kind: Kind, origin: Origin, base: str) -> WireFormat:
    model, body = specification.model, specification.body
    match kind.speaks:
        case Speaks.MESSAGES:
            return AnthropicFormat(
                model, origin, body, lacks=kind.lacks, sees=kind.sees, cached=specification.prompt_cache
            )
        case Speaks.GENERATE:
            return GeminiFormat(model, origin, body, lacks=kind.lacks, sees=kind.sees)
        case Speaks.RESPONSES:
            return ResponsesFormat(model, origin, body, lacks=kind.lacks, sees=kind.sees)
        case _:
            return _chat(specification, kind, origin, base)


def _chat(specification: Specification, kind: Kind, origin: Origin, base: str) -> OpenAIFormat:
    azure = kind.name == "azure"
    deployed = f"/openai/deployments/{specification.model}/chat/completions"
    return OpenAIFormat(
        model=specification.model,
        origin=origin,
        body=specification.body,
        # OpenAI itself takes the new name for all of its chat models; most others know the old one only.
        limit_field="max_completion_tokens" if URL(base).host == "api.openai.com" else "max_tokens",
        at=deployed if azure and not _is_versionless(base) else "/chat/completions",
        key_header="api-key" if azure else "Authorization",
        lacks=kind.lacks,
        sees=kind.sees,
        names=kind.names,
        cut_above=kind.cut_above,
    )


def _is_versionless(base: str) -> bool:
    """Whether an address of Azure is that of its version without versions, which names the model in the body."""
    return URL(base).path.rstrip("/").endswith("/openai/v1")


def _query(specification: Specification, kind: Kind, base: str) -> tuple[tuple[str, str], ...]:
    given = specification.query
    if kind.name != "azure" or _is_versionless(base) or any(name == "api-version" for name, _ in given):
        return given
    return (*given, ("api-version", AZURE_VERSION))
