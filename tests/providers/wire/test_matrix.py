"""Every kind of provider × (text, streaming, structured output, usage, each class of error), over HTTP.

Complete by construction: a kind without its entries in the corpus fails, and so does a class of error without an entry
or a reason why there is none. The last test holds the mock endpoint against the same classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import pytest
from answering import reply as written
from corpus import REFUSALS, REPLIES, Refusal
from wired import events_of, first_of, learned, provider_at, serving_bytes

from semprop.providers.base import Choices, JsonSchema, Message, Request, Sampling, Stop
from semprop.providers.errors import ErrorClass, ProviderError
from semprop.providers.kinds import KINDS, Kind, Speaks
from semprop.tools.endpoint import Endpoint, parse, serving

KINDS_OVER_HTTP = {name: kind for name, kind in KINDS.items() if kind.is_http}
CLASSES = [each for each in ErrorClass if each is not ErrorClass.REFUSAL]
"""A refusal in words is a reply with a reason to stop, not an error of the endpoint."""

REQUEST = Request((Message.of("user", "hello"),), Sampling(max_tokens=9))
SCHEMA = JsonSchema.of(
    "reply",
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False},
)

every = pytest.mark.parametrize("kind", KINDS_OVER_HTTP.values(), ids=KINDS_OVER_HTTP)
both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def sent(kind: Kind, stream: bool) -> bytes:
    entry = REPLIES[kind.name]
    if stream:
        return written(events_of(kind, entry.events), b"Content-Type: text/event-stream")
    return written(orjson.dumps(entry.body), b"Content-Type: application/json")


# Completeness --------------------------------------------------------------------------------------------------------


def test_the_corpus_has_a_row_for_every_kind_and_no_other() -> None:
    assert list(REPLIES) == list(KINDS_OVER_HTTP)
    assert list(REFUSALS) == list(KINDS_OVER_HTTP)


@every
def test_a_row_has_a_cell_for_every_class_of_error_with_its_source_or_the_reason_why_it_is_empty(kind: Kind) -> None:
    row = REFUSALS[kind.name]
    assert sorted(row) == sorted(CLASSES)
    for cell in (*row.values(), REPLIES[kind.name]):
        source = cell if isinstance(cell, str) else cell.source
        assert source.startswith("https://") is not isinstance(cell, str)


# Replies -------------------------------------------------------------------------------------------------------------


@every
@both
async def test_text_and_usage_are_read(kind: Kind, stream: bool) -> None:
    async with serving_bytes(sent(kind, stream)) as server, provider_at(server.base, kind, stream) as provider:
        completion = await provider.complete(REQUEST)
    assert (completion.text, completion.stop, completion.model) == ("fine", Stop.END, "m-1")
    assert completion.usage == REPLIES[kind.name].usage
    assert (completion.timing is not None) is stream
    assert completion.attempts == 1


def _answering(text: str, kind: Kind) -> bytes:
    """The corpus' reply of a kind with another text; Anthropic's is the input of the tool that was asked for."""
    body = orjson.dumps(REPLIES[kind.name].body)
    if kind.speaks is Speaks.MESSAGES:
        block = {"type": "tool_use", "id": "t", "name": "n", "input": orjson.loads(text)}
        return orjson.dumps({**REPLIES[kind.name].body, "content": [block], "stop_reason": "tool_use"})
    return body.replace(b'"fine"', orjson.dumps(text))


@every
async def test_a_schema_is_asked_for_where_it_can_be_and_its_json_comes_back(kind: Kind) -> None:
    data = written(_answering('{"a":2}', kind), b"Content-Type: application/json")
    async with serving_bytes(data) as server, provider_at(server.base, kind) as provider:
        completion = await provider.complete(Request(REQUEST.messages, REQUEST.sampling, SCHEMA))
    assert orjson.loads(completion.text) == {"a": 2}
    assert b'"additionalProperties":false' in server.bodies[0]
    field = {
        Speaks.CHAT: b'"response_format":{"type":"json_schema"',
        Speaks.RESPONSES: b'"text":{"format":{"type":"json_schema"',
        Speaks.MESSAGES: b'"tool_choice":{"type":"tool"',
        Speaks.GENERATE: b'"responseJsonSchema":',
    }[kind.speaks]
    assert field in server.bodies[0]


@every
async def test_a_choice_comes_back_as_its_text(kind: Kind) -> None:
    text = "red" if kind.speaks is Speaks.GENERATE else '{"answer":"red"}'
    data = written(_answering(text, kind), b"Content-Type: application/json")
    async with serving_bytes(data) as server, provider_at(server.base, kind) as provider:
        completion = await provider.complete(Request(REQUEST.messages, REQUEST.sampling, Choices(("red", "green"))))
    assert completion.text == "red"


# Refusals ------------------------------------------------------------------------------------------------------------

CELLS = {
    f"{name}-{error_class.value}": (KINDS[name], error_class, cell)
    for name, row in REFUSALS.items()
    for error_class, cell in row.items()
    if isinstance(cell, Refusal)
}


@both
@pytest.mark.parametrize(("kind", "error_class", "cell"), CELLS.values(), ids=CELLS)
async def test_a_refusal_is_of_its_class_with_its_wait_its_dimension_and_the_limits_that_it_tells(
    kind: Kind, error_class: ErrorClass, cell: Refusal, stream: bool
) -> None:
    headers = [f"{name}: {value}".encode() for name, value in cell.headers.items()]
    data = written(orjson.dumps(cell.body), *headers, status=b"%d Refused" % cell.status)
    async with serving_bytes(data) as server, provider_at(server.base, kind, stream) as provider:
        with pytest.raises(ProviderError) as caught:
            await provider.complete(REQUEST)
        limits = provider.statistics()["limits"]
    error = first_of(caught.value)
    assert (error.error_class, error.status) == (error_class, cell.status)
    assert error.retry_after == (None if cell.wait is None else pytest.approx(cell.wait))
    assert (error.dimension, error.limits) == (cell.dimension, cell.limits)
    for limit in cell.limits:
        assert learned(limits)[limit.dimension] == limit.limit


# The mock endpoint speaks for the same kinds --------------------------------------------------------------------------

DIALECTS = {"anthropic": "anthropic", "gemini": "gemini", "azure": "azure", "groq": "groq", "mistral": "mistral"}
DIALECTS |= {name: name for name in ("together", "vllm", "ollama", "llamacpp")}
"""Kinds whose errors the mock has words of their own for; the others speak OpenAI's."""

FAULTS: Mapping[str, ErrorClass] = {
    "throttle": ErrorClass.RATE,
    "overloaded": ErrorClass.OVERLOAD,
    "unavailable": ErrorClass.OVERLOAD,
    "server_error": ErrorClass.TRANSIENT,
    "timeout": ErrorClass.TRANSIENT,
    "billing": ErrorClass.QUOTA,
    "auth": ErrorClass.AUTH,
    "context": ErrorClass.CONTEXT,
    "half_json": ErrorClass.TRANSIENT,
    "reset_after_headers": ErrorClass.TRANSIENT,
    "error_after_200": ErrorClass.TRANSIENT,
}


def _expected(kind: Kind, fault: str) -> ErrorClass:
    # Gemini tells an account without billing in the words of a region that is not served.
    return ErrorClass.CONFIGURATION if (kind.name, fault) == ("gemini", "billing") else FAULTS[fault]


@every
@both
async def test_against_the_mock_a_reply_is_read_and_every_error_is_of_its_class(kind: Kind, stream: bool) -> None:
    head = f'[reply]\ntext = "fine"\n[headers]\ndialect = "{DIALECTS.get(kind.name, "openai")}"\n'
    for fault in FAULTS:
        config = parse(f'{head}[[fault]]\nkind = "{fault}"\nevery = 2\n')
        async with serving(Endpoint(config)) as served, provider_at(served.url, kind, stream) as provider:
            seen = []
            for _ in range(2):
                try:
                    seen.append((await provider.complete(REQUEST)).text)
                except ProviderError as error:
                    seen.append(first_of(error).error_class.value)
        assert sorted(seen) == sorted(["fine", _expected(kind, fault).value]), fault
