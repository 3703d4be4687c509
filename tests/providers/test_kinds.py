"""Kinds of provider: each reaches its own address with its own key, in its own format."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import pytest
from answering import answering, reply

from semprop.providers.base import Message, Request, Sampling
from semprop.providers.connection import HttpSettings, route
from semprop.providers.errors import StopError
from semprop.providers.kinds import KINDS, Kind, Speaks
from semprop.providers.specification import Specification, parse, tables
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings
from semprop.providers.wire.anthropic import AnthropicFormat
from semprop.providers.wire.profiles import PROFILES

OVER_HTTP = {name: kind for name, kind in KINDS.items() if kind.is_http}
REQUEST = Request((Message.of("user", "hello"),), Sampling(max_tokens=9))
ANSWERS: Mapping[Speaks, object] = {
    Speaks.CHAT: {"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]},
    Speaks.RESPONSES: {
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "fine"}]}],
    },
    Speaks.MESSAGES: {"content": [{"type": "text", "text": "fine"}], "stop_reason": "end_turn"},
    Speaks.GENERATE: {"candidates": [{"content": {"parts": [{"text": "fine"}]}, "finishReason": "STOP"}]},
}
PATHS: Mapping[Speaks, str] = {
    Speaks.CHAT: "/v1/chat/completions",
    Speaks.RESPONSES: "/v1/responses",
    Speaks.MESSAGES: "/v1/messages",
    Speaks.GENERATE: "/v1/models/m:generateContent",
}
HEADERS: Mapping[Speaks, str] = {
    Speaks.CHAT: "Authorization: Bearer planted-key",
    Speaks.RESPONSES: "Authorization: Bearer planted-key",
    Speaks.MESSAGES: "x-api-key: planted-key",
    Speaks.GENERATE: "x-goog-api-key: planted-key",
}


@pytest.mark.parametrize("kind", OVER_HTTP.values(), ids=OVER_HTTP)
async def test_a_kind_speaks_its_format_at_its_path_and_sends_its_key_in_its_header(kind: Kind) -> None:
    key_env = kind.key_env or "SOME_KEY"
    around = Surroundings(environment={key_env: "planted-key"})

    async with answering(lambda writer, number: _write(writer, ANSWERS[kind.speaks])) as server:
        specification = Specification(kind.name, "m", server.base, key_env=key_env)
        async with connect(specification, surroundings=around) as provider:
            completion = await provider.complete(REQUEST)
    assert completion.text == "fine"
    head = server.heads[0].decode()
    azure = "/v1/openai/deployments/m/chat/completions?api-version=2024-10-21"
    assert head.startswith(f"POST {azure if kind.name == 'azure' else PATHS[kind.speaks]} ")
    assert ("api-key: planted-key" if kind.name == "azure" else HEADERS[kind.speaks]) in head


async def _write(writer, document) -> None:  # type: ignore[no-untyped-def]
    writer.write(reply(orjson.dumps(document)))
    await writer.drain()


@pytest.mark.parametrize("kind", OVER_HTTP.values(), ids=OVER_HTTP)
def test_a_kind_is_named_without_an_address_unless_it_has_none_of_its_own(kind: Kind) -> None:
    if kind.base:
        assert connect(f"{kind.name}:m").identity == f"{kind.name}:m@{kind.base}"
    else:
        with pytest.raises(StopError, match=f"names no address: write {kind.name}"):
            parse(f"{kind.name}:m")


def test_azures_version_may_be_given_or_be_none() -> None:
    versionless = "https://r.openai.azure.com/openai/v1"
    assert connect(f"azure:m@{versionless}").identity == f"azure:m@{versionless}"
    given = Specification("azure", "m", "https://r.openai.azure.com", query=(("api-version", "2030-01-01"),))
    assert connect(given).identity == "azure:m@https://r.openai.azure.com"


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kinds_profile_exists_and_what_it_lacks_is_a_field_of_sampling(kind: Kind) -> None:
    assert kind.profile is None or kind.profile in PROFILES
    assert all(name in Sampling.__dataclass_fields__ for name in kind.lacks)
    assert kind.written.startswith(f"{kind.name}:")


def test_a_stream_and_a_prompt_cache_are_switches_of_a_providers_file() -> None:
    table = {"provider": {"a": {"spec": "anthropic:m", "stream": True, "prompt_cache": True}}}
    specification = tables(table, "here")["a"]
    assert (specification.stream, specification.prompt_cache) == (True, True)
    with pytest.raises(StopError, match="'stream' must be true or false"):
        tables({"provider": {"a": {"spec": "anthropic:m", "stream": "yes"}}}, "here")


def test_a_header_of_the_users_own_takes_the_place_of_ours_and_is_not_sent_twice() -> None:
    settings = HttpSettings("https://x.test/v1", "m", headers=(("Anthropic-Version", "2024-01-01"),))
    way = route(settings, "/messages", AnthropicFormat("m").headers("secret-key-of-mine"), "secret-key-of-mine")
    assert [value for name, value in way.headers if name.lower() == "anthropic-version"] == ["2024-01-01"]
    assert dict(way.headers)["x-api-key"] == "secret-key-of-mine"
