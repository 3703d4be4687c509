"""The embedded provider: its translation both ways, its life, and (with the model) what it promises."""

from __future__ import annotations

import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import pytest

from semprop.providers import embedded, weights
from semprop.providers.base import Choices, JsonSchema, Message, Request, Sampling, Stop
from semprop.providers.embedded import Embedded, Settings, body_of, completion_of, grammar_of, open_server
from semprop.providers.errors import ErrorClass, ItemError, ProviderError, StopError

ASK = Request((Message.of("system", "Be brief."), Message.of("user", "Say hi")))
MODEL = weights.find("smollm2", environment={})

real = [
    pytest.mark.embedded,
    pytest.mark.skipif(find_spec("xllamacpp") is None, reason='no xllamacpp: pip install ".[embedded]"'),
    pytest.mark.skipif(MODEL is None, reason="no embedded model: semprop pull smollm2"),
]


def reply(**changes: Any) -> dict[str, Any]:
    usage = {
        "prompt_tokens": 37,
        "completion_tokens": 6,
        "prompt_tokens_details": {"cached_tokens": 30},
    }
    choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}
    return {"choices": [choice | changes], "usage": usage, "id": "chatcmpl-1", "model": "2"}


class Engine:
    """A server that answers by a function and counts what runs at once."""

    def __init__(self, answer: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda body: reply()) -> None:
        self.answer = answer
        self.bodies: list[Mapping[str, Any]] = []

    def handle_chat_completions(self, body: dict[str, Any]) -> Mapping[str, Any]:
        self.bodies.append(body)
        return self.answer(body)


class Opener:
    """Gives one engine and records how it was opened."""

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine or Engine()
        self.opened: list[tuple[Settings, threading.Thread]] = []

    def __call__(self, settings: Settings) -> Engine:
        self.opened.append((settings, threading.current_thread()))
        return self.engine


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF")
    return path


def test_the_request_is_sent_as_it_is_and_unset_fields_are_not_sent() -> None:
    body = body_of(ASK)
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Say hi"},
    ]
    assert body["temperature"] == 0.0
    assert not {"top_p", "seed", "stop", "logprobs", "grammar", "response_format"} & set(body)
    assert "temperature" not in body_of(ASK.with_sampling(temperature=None))


def test_every_sampling_field_reaches_the_engine() -> None:
    sampling = Sampling(0.7, top_p=0.9, max_tokens=5, seed=3, stop=("\n",), top_logprobs=2)
    body = body_of(Request(ASK.messages, sampling))
    expected = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 5, "seed": 3, "stop": ["\n"]}
    assert expected.items() <= body.items()
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)


def test_a_request_without_a_bound_gets_one() -> None:
    assert body_of(ASK)["max_tokens"] == embedded.DEFAULT_MAX_TOKENS


def test_a_schema_keeps_the_order_of_its_keys() -> None:
    properties = {"why": {"type": "string"}, "answer": {"type": "string"}}
    request = Request(ASK.messages, schema=JsonSchema.of("reply", {"type": "object", "properties": properties}))
    sent = body_of(request)["response_format"]["json_schema"]
    assert sent["name"] == "reply"
    assert list(sent["schema"]["properties"]) == ["why", "answer"]


def test_choices_become_a_grammar_that_neither_bound_nor_stop_cuts() -> None:
    request = Request(ASK.messages, Sampling(max_tokens=1, stop=("\n",)), schema=Choices(("positive", "naïve\n")))
    body = body_of(request)
    assert body["grammar"] == 'root ::= "positive" | "naïve\\x0A"'
    assert body["max_tokens"] == 9
    assert "stop" not in body


def test_quotes_and_backslashes_cannot_end_a_grammars_literal() -> None:
    assert grammar_of(('say "x" | root', "a\\b")) == 'root ::= "say \\"x\\" | root" | "a\\\\b"'


@pytest.mark.parametrize("options", [(), ("",), ("yes", ""), ("a\0b",)])
def test_choices_that_no_reply_can_be_are_refused(options: tuple[str, ...]) -> None:
    with pytest.raises(ItemError) as caught:
        grammar_of(options)
    assert caught.value.error_class is ErrorClass.BAD_REQUEST


def test_a_reply_becomes_a_completion_with_its_cached_tokens() -> None:
    completion = completion_of(reply(), "smollm2", ASK)
    assert (completion.text, completion.stop, completion.model) == ("hello", Stop.END, "smollm2")
    assert (completion.usage.input, completion.usage.cached_read, completion.usage.output) == (37, 30, 6)
    assert completion.request_id == "chatcmpl-1"


@pytest.mark.parametrize(
    ("reason", "stop"),
    [("stop", Stop.END), ("length", Stop.LENGTH), ("content_filter", Stop.FILTER), ("tool_calls", Stop.OTHER)],
)
def test_the_engines_reasons_to_stop_are_translated(reason: str, stop: Stop) -> None:
    assert completion_of(reply(finish_reason=reason), "m", ASK).stop is stop


def test_log_probabilities_have_as_many_alternatives_as_were_asked_for() -> None:
    top = [{"token": "he", "logprob": -0.1}, {"token": "hi", "logprob": -2.5}]
    answer = reply(logprobs={"content": [{"token": "he", "logprob": -0.1, "top_logprobs": top}]})
    two = completion_of(answer, "m", ASK.with_sampling(top_logprobs=2)).logprobs
    assert [(token.token, token.logprob, token.alternatives) for token in two] == [
        ("he", -0.1, (("he", -0.1), ("hi", -2.5)))
    ]
    assert completion_of(answer, "m", ASK.with_sampling(top_logprobs=0)).logprobs[0].alternatives == ()
    assert completion_of(answer, "m", ASK).logprobs == ()


def test_a_prompt_that_is_too_long_is_a_failure_of_the_model() -> None:
    error = {"code": 400, "message": "5031 tokens exceed 2048", "type": "exceed_context_size_error"}
    with pytest.raises(ItemError, match="5031") as caught:
        completion_of({"error": error}, "m", ASK)
    assert caught.value.error_class is ErrorClass.CONTEXT
    assert caught.value.error_class.is_model_failure
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": 400, "message": "bad grammar", "type": "invalid_request_error"}},
        {"error": "as a text"},
        {"choices": []},
        {},
        {"choices": [{"message": None, "finish_reason": "stop"}], "usage": {}},
    ],
)
def test_any_other_refusal_or_form_is_a_bad_request(answer: dict[str, Any]) -> None:
    with pytest.raises(ItemError) as caught:
        completion_of(answer, "m", ASK)
    assert caught.value.error_class is ErrorClass.BAD_REQUEST


async def test_the_file_is_opened_once_at_the_first_call_in_a_worker_thread(file: Path) -> None:
    opener = Opener()
    provider = Embedded(str(file), 2, opener)
    async with provider:
        assert opener.opened == []
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(provider.complete, ASK)
    settings, thread = opener.opened[0]
    assert len(opener.opened) == 1
    assert (settings.file, settings.in_flight, settings.threads) == (file, 2, 1)
    assert thread is not threading.main_thread()


async def test_each_opening_has_a_random_key_that_its_repr_hides(file: Path) -> None:
    opener = Opener()
    provider = Embedded(str(file), opener=opener)
    for _ in range(2):
        async with provider:
            await provider.complete(ASK)
    first, second = (settings for settings, _ in opener.opened)
    assert first.key != second.key
    assert len(first.key) >= 32
    assert first.key not in repr(first)


async def test_a_provider_entered_twice_closes_when_the_last_one_leaves(file: Path) -> None:
    provider = Embedded(str(file), opener=Opener())
    async with provider:
        async with provider:
            await provider.complete(ASK)
        assert "open" in repr(provider)
        await provider.complete(ASK)
    assert "closed" in repr(provider)
    with pytest.raises(StopError, match="async with"):
        await provider.complete(ASK)


async def test_no_more_requests_run_than_were_asked_for(file: Path) -> None:
    lock, running, peak = threading.Lock(), 0, 0

    def answer(body: Mapping[str, Any]) -> Mapping[str, Any]:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        with lock:
            running -= 1
        return reply()

    async with Embedded(str(file), 2, Opener(Engine(answer))) as provider, anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(provider.complete, ASK)
    assert 1 <= peak <= 2


async def test_cancelling_waits_for_the_running_call(file: Path) -> None:
    started, release = threading.Event(), threading.Event()
    ended = []

    def answer(body: Mapping[str, Any]) -> Mapping[str, Any]:
        started.set()
        release.wait(10)
        ended.append(body)
        return reply()

    async with Embedded(str(file), opener=Opener(Engine(answer))) as provider:
        async with anyio.create_task_group() as group:
            group.start_soon(provider.complete, ASK)
            await anyio.to_thread.run_sync(started.wait)
            group.cancel_scope.cancel()
            assert ended == []
            release.set()
        assert len(ended) == 1


async def test_what_the_engine_raises_is_a_bad_request_and_is_counted(file: Path) -> None:
    def answer(body: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ValueError("JSON schema error: unrecognized type")

    async with Embedded(str(file), opener=Opener(Engine(answer))) as provider:
        with pytest.raises(ItemError, match="unrecognized type") as caught:
            await provider.complete(ASK)
    assert caught.value.error_class is ErrorClass.BAD_REQUEST
    assert provider.statistics()["refused"] == 1


async def test_the_statistics_count_calls_tokens_and_name_the_file(file: Path) -> None:
    async with Embedded(str(file), opener=Opener()) as provider:
        await provider.complete(ASK)
        await provider.complete(ASK)
        seen = provider.statistics()
    assert (seen["calls"], seen["tokens"]) == (2, {"input": 74, "cached": 60, "output": 12})
    assert seen["sha256"] == weights.fingerprint(file)


def test_the_identity_names_the_files_content_and_not_its_place(file: Path, tmp_path: Path) -> None:
    provider = Embedded(str(file))
    assert provider.identity == f"embedded:tiny.gguf#{weights.fingerprint(file)[:12]}"
    assert str(tmp_path) not in provider.identity


def test_connecting_opens_nothing_and_needs_no_file() -> None:
    provider = embedded.connect("smollm2")
    assert provider.model == "smollm2"
    assert (provider.capabilities.choices, provider.capabilities.simulated) == (True, False)


def test_nothing_in_flight_is_refused_at_once() -> None:
    with pytest.raises(StopError, match="in_flight"):
        embedded.connect("smollm2", 0)


async def test_an_absent_file_is_a_stop_that_names_it() -> None:
    async with Embedded("nowhere.gguf", opener=Opener()) as provider:
        with pytest.raises(StopError, match=r"nowhere\.gguf") as caught:
            await provider.complete(ASK)
    assert caught.value.error_class is ErrorClass.CONFIGURATION


def test_an_absent_engine_is_a_stop_with_the_two_commands(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(StopError, match=r'pip install "\.\[embedded\]" and semprop pull smollm2') as caught:
        open_server(Settings(file, "key"))
    assert caught.value.error_class is ErrorClass.CONFIGURATION


@pytest.mark.skipif(find_spec("xllamacpp") is None, reason='no xllamacpp: pip install ".[embedded]"')
def test_a_file_that_is_no_model_is_a_stop_that_names_it(file: Path) -> None:
    with pytest.raises(StopError, match=r"tiny.gguf") as caught:
        open_server(Settings(file, "key"))
    assert caught.value.error_class is ErrorClass.CONFIGURATION


class TestRealModel:
    pytestmark = real

    async def test_the_same_request_has_the_same_reply_and_a_warm_cache(self) -> None:
        async with embedded.connect("smollm2") as provider:
            request = ASK.with_sampling(max_tokens=8, seed=0)
            first, second = await provider.complete(request), await provider.complete(request)
        assert first.text == second.text != ""
        assert first.stop is Stop.LENGTH
        assert first.usage.output == 8
        assert second.usage.cached_read

    async def test_choices_and_schemas_bind_the_reply(self) -> None:
        schema = JsonSchema.of("city", {"type": "object", "properties": {"city": {"enum": ["Oslo"]}}})
        async with embedded.connect("smollm2") as provider:
            odd = Choices(('"quoted"\\', "two\nlines"))
            chosen = await provider.complete(Request(ASK.messages, Sampling(max_tokens=1), schema=odd))
            typed = await provider.complete(Request(ASK.messages, Sampling(max_tokens=40), schema=schema))
        assert chosen.text in odd.options
        assert chosen.stop is Stop.END
        assert typed.text.replace(" ", "").replace("\n", "") in ('{"city":"Oslo"}', "{}")

    async def test_log_probabilities_come_with_the_tokens(self) -> None:
        async with embedded.connect("smollm2") as provider:
            seen = await provider.complete(ASK.with_sampling(max_tokens=3, top_logprobs=2))
        assert len(seen.logprobs) == 3
        assert all(token.logprob <= 0 and len(token.alternatives) == 2 for token in seen.logprobs)

    async def test_what_the_engine_refuses_is_typed(self) -> None:
        async with embedded.connect("smollm2") as provider:
            for request, error_class in (
                (Request((Message.of("user", "word " * 6000),)), ErrorClass.CONTEXT),
                (Request(ASK.messages, schema=JsonSchema.of("x", {"type": "odd"})), ErrorClass.BAD_REQUEST),
            ):
                with pytest.raises(ProviderError) as caught:
                    await provider.complete(request)
                assert caught.value.error_class is error_class

    def test_the_port_answers_nobody_without_the_key(self) -> None:
        assert MODEL is not None
        server: Any = open_server(Settings(MODEL, "the-key"))
        body = b'{"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}'
        url = server.listening_address + "/v1/chat/completions"
        assert url.startswith("http://127.0.0.1:")

        def status(headers: dict[str, str]) -> int:
            request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})
            try:
                with urllib.request.urlopen(request) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code

        assert status({}) == 401
        assert status({"Authorization": "Bearer another"}) == 401
        assert status({"Authorization": "Bearer the-key"}) == 200
