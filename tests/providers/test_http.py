"""The one boundary to the network, against real servers on this machine."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import anyio
import orjson
import pytest
from aiohttp import web
from structlog.testing import capture_logs
from yarl import URL

from semprop.providers.base import Capabilities, Completion, JsonSchema, Message, Request, Sampling, Usage
from semprop.providers.connection import HttpSettings, is_loopback, proxy_for, tls_context
from semprop.providers.errors import ErrorClass, ItemError, ProviderError, ProviderFailure, RetryError, StopError
from semprop.providers.http import HttpProvider
from semprop.providers.layers import Stack
from semprop.providers.retry import RetryPolicy
from semprop.providers.scripted import VirtualClock
from semprop.providers.specification import Specification
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings
from semprop.providers.wire.openai import OpenAIFormat

REQUEST = Request((Message.of("user", "hello"),), Sampling(temperature=0.0, max_tokens=9, seed=1))
SECRET = "sk-planted-0123456789"
CERTIFICATE = Path(__file__).with_name("localhost.pem")


Answers = Callable[[web.BaseRequest, int], Awaitable[web.StreamResponse]]


@dataclass
class Endpoint:
    """A server, its address, and every request that reached it (path, headers, body)."""

    base: str
    seen: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)

    @property
    def bodies(self) -> list[Any]:
        return [body for _, _, body in self.seen]


Serve = Callable[[Answers], Awaitable[Endpoint]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start servers; each gives its requests with their number, from 0, to the function."""
    runners: list[web.ServerRunner] = []

    async def start(answers: Answers) -> Endpoint:
        endpoint = Endpoint("")

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            raw = await request.read()
            number = len(endpoint.seen)
            endpoint.seen.append((str(request.rel_url), request.headers, orjson.loads(raw) if raw else None))
            return await answers(request, number)

        server = web.Server(handle)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        endpoint.base = f"http://{host}:{port}/v1"
        return endpoint

    yield start
    for runner in runners:
        await runner.cleanup()


def answered(text: str = "fine", **more: Any) -> web.Response:
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return web.json_response({"id": "c", "model": "m-1", "choices": [choice], "usage": usage, **more})


def refused(status: int, message: str = "no", headers: Mapping[str, str] | None = None, **error: Any) -> web.Response:
    return web.json_response({"error": {"message": message, **error}}, status=status, headers=headers)


def provider_at(
    base: str,
    clock: VirtualClock | None = None,
    environment: Mapping[str, str] | None = None,
    policy: RetryPolicy | None = None,
    **settings: Any,
) -> Stack:
    around = Surroundings(
        environment={"OPENAI_API_KEY": SECRET} if environment is None else environment,
        clock=clock or VirtualClock(),
        random=Random(0),
        retry=policy or RetryPolicy(tries=2),
    )
    return connect(Specification("openai", "m", base, **settings), surroundings=around)


async def test_a_request_is_answered_over_one_session_and_the_session_is_closed(serve: Serve) -> None:
    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return answered(f"reply {number}")

    endpoint = await serve(answer)
    provider = provider_at(endpoint.base)
    assert provider.statistics()["session"] == "closed"
    async with provider:
        assert provider.statistics()["session"] == "closed", "the session opens at the first call"
        first = await provider.complete(REQUEST)
        assert provider.statistics()["session"] == "open"
        await provider.complete(REQUEST)
    assert provider.statistics()["session"] == "closed"
    assert first == Completion("reply 0", usage=Usage(5, None, None, 2, None), model="m-1", request_id="c")
    path, headers, body = endpoint.seen[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["Content-Type"] == "application/json"
    assert body["messages"] == [{"role": "user", "content": "hello"}]
    assert provider.statistics()["attempts"] == 2


async def test_a_provider_may_be_entered_again_and_closes_when_the_last_one_leaves(serve: Serve) -> None:
    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return answered()

    endpoint = await serve(answer)
    provider = provider_at(endpoint.base)
    async with provider:
        async with provider:
            await provider.complete(REQUEST)
        assert provider.statistics()["session"] == "open"
        await provider.complete(REQUEST)
    async with provider:
        await provider.complete(REQUEST)
    assert provider.statistics()["session"] == "closed"
    assert len(endpoint.seen) == 3


async def test_a_provider_that_was_not_entered_says_so(serve: Serve) -> None:
    provider = provider_at("http://127.0.0.1:9/v1")
    with pytest.raises(StopError, match="use `async with provider:`"):
        await provider.complete(REQUEST)


async def test_a_throttle_is_waited_out_on_the_clock(serve: Serve) -> None:
    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return answered() if number else refused(429, headers={"retry-after": "20"}, code="rate_limit_exceeded")

    endpoint = await serve(answer)
    clock = VirtualClock()
    async with provider_at(endpoint.base, clock) as provider:
        completion = await provider.complete(REQUEST)
    assert (completion.text, completion.attempts, len(endpoint.seen)) == ("fine", 2, 2)
    assert 20.0 <= clock.now() < 21.0


async def test_a_refused_key_stops_at_once_and_for_good(serve: Serve) -> None:
    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return refused(401, f"Incorrect API key provided: {SECRET}", code="invalid_api_key")

    endpoint = await serve(answer)
    async with provider_at(endpoint.base) as provider:
        for attempts in (1, 0, 0):
            with pytest.raises(StopError, match="set OPENAI_API_KEY") as caught:
                await provider.complete(REQUEST)
            assert caught.value.attempts == attempts
            assert caught.value.error_class is ErrorClass.AUTH
            assert SECRET not in str(caught.value)
    assert len(endpoint.seen) == 1, "what cannot succeed is not sent again"


async def test_a_stop_is_forgotten_once_the_provider_was_left(serve: Serve) -> None:
    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return answered() if number else refused(402, "no credit")

    endpoint = await serve(answer)
    provider = provider_at(endpoint.base)
    async with provider:
        with pytest.raises(StopError):
            await provider.complete(REQUEST)
    async with provider:
        assert (await provider.complete(REQUEST)).text == "fine"


async def test_a_missing_key_names_its_variable_at_the_first_call() -> None:
    provider = provider_at("https://api.test/v1", environment={}, key_env="TEAM_KEY")
    async with provider:
        with pytest.raises(StopError, match="environment variable TEAM_KEY") as caught:
            await provider.complete(REQUEST)
    assert (caught.value.error_class, caught.value.attempts) == (ErrorClass.AUTH, 0)


async def test_a_key_that_no_header_takes_is_refused_unseen() -> None:
    async with provider_at("https://api.test/v1", environment={"OPENAI_API_KEY": "sk-two\nlines"}) as provider:
        with pytest.raises(StopError, match="OPENAI_API_KEY holds characters") as caught:
            await provider.complete(REQUEST)
    assert "sk-two" not in str(caught.value)


async def test_this_machine_needs_no_key(serve: Serve) -> None:
    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return answered()

    endpoint = await serve(answer)
    async with provider_at(endpoint.base, environment={}) as provider:
        await provider.complete(REQUEST)
    assert "Authorization" not in endpoint.seen[0][1]


async def test_what_an_endpoint_refuses_is_left_out_from_then_on_and_told_once(serve: Serve) -> None:
    schema = JsonSchema.of("s", {"type": "object", "properties": {}, "required": [], "additionalProperties": False})
    request = Request(REQUEST.messages, REQUEST.sampling, schema)

    async def answer(_: web.BaseRequest, number: int) -> web.StreamResponse:
        body = endpoint.bodies[number]
        for name in ("max_tokens", "temperature", "response_format", "seed"):
            if name in body:
                return refused(400, f"Unsupported parameter: '{name}'", code="unsupported_parameter", param=name)
        return answered()

    endpoint = await serve(answer)
    async with provider_at(endpoint.base) as provider:
        before = provider.capabilities
        with capture_logs() as logs:
            first = await provider.complete(request)
            second = await provider.complete(request)
        statistics = provider.statistics()
    assert (first.attempts, second.attempts) == (5, 1)
    assert provider.capabilities == before
    assert statistics["degraded"] == [
        "max_tokens sent as max_completion_tokens",
        "temperature not sent",
        "response_format not sent: the schema stands in the prompt",
        "seed not sent",
    ]
    assert statistics["attempts"] == 6
    assert [entry["refused"] for entry in logs] == ["max_tokens", "temperature", "response_format", "seed"]
    assert endpoint.bodies[-1]["max_completion_tokens"] == 9


async def test_requests_that_are_refused_together_degrade_once(serve: Serve) -> None:
    async def answer(_: web.BaseRequest, number: int) -> web.StreamResponse:
        if "temperature" in endpoint.bodies[number]:
            return refused(400, "'temperature' is not supported", param="temperature", code="unsupported_value")
        return answered()

    endpoint = await serve(answer)
    with capture_logs() as logs:
        async with provider_at(endpoint.base) as provider, asyncio.TaskGroup() as group:
            tasks = [group.create_task(provider.complete(REQUEST)) for _ in range(8)]
    assert [task.result().text for task in tasks] == ["fine"] * 8
    assert len(logs) == 1
    assert sum(task.result().attempts for task in tasks) == len(endpoint.seen)


async def test_a_field_that_cannot_be_left_out_fails_its_request(serve: Serve) -> None:
    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return refused(400, "Invalid 'temperature': too high", param="temperature")

    endpoint = await serve(answer)
    async with provider_at(endpoint.base) as provider:
        with pytest.raises(ItemError) as caught:
            await provider.complete(REQUEST)
    assert (caught.value.error_class, len(endpoint.seen)) == (ErrorClass.BAD_REQUEST, 1)


async def half_json(request: web.BaseRequest, number: int) -> web.StreamResponse:
    return web.Response(body=b'{"choices": [{"message": {"content": "fi', content_type="application/json")


async def reset_before_headers(request: web.BaseRequest, number: int) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def body_cut_short(request: web.BaseRequest, number: int) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices": [')
    assert request.transport is not None
    request.transport.close()
    return response


async def hang(request: web.BaseRequest, number: int) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


async def drip(request: web.BaseRequest, number: int) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"choices"')
    await asyncio.Event().wait()
    return response


@pytest.mark.parametrize("fault", [half_json, reset_before_headers, body_cut_short, hang, drip])
async def test_a_broken_reply_is_asked_for_again_and_counted_once_each(serve: Serve, fault: Any) -> None:
    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return answered() if number else await fault(request, number)

    endpoint = await serve(answer)
    async with provider_at(endpoint.base, timeout=0.2) as provider:
        completion = await provider.complete(REQUEST)
    assert (completion.text, completion.attempts, len(endpoint.seen)) == ("fine", 2, 2)
    assert provider.statistics()["attempts"] == 2


async def test_a_broken_endpoint_fails_its_request_with_all_its_attempts(serve: Serve) -> None:
    endpoint = await serve(half_json)
    async with provider_at(endpoint.base, policy=RetryPolicy(tries=3)) as provider:
        with pytest.raises(ProviderFailure, match="given up after 3 attempts") as caught:
            await provider.complete(REQUEST)
    assert (caught.value.attempts, len(endpoint.seen)) == (3, 3)


async def test_an_endpoint_that_is_not_there_counts_no_attempt() -> None:
    async with provider_at("http://127.0.0.1:9/v1") as provider:
        with pytest.raises(ProviderError, match="cannot be reached") as caught:
            await provider.complete(REQUEST)
    assert caught.value.attempts == 0
    assert provider.statistics()["attempts"] == 0
    assert isinstance(caught.value.__cause__, RetryError)


async def test_a_reply_without_end_fails_its_request_and_no_other(serve: Serve) -> None:
    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return answered() if number else answered("x" * 5000)

    endpoint = await serve(answer)
    settings = HttpSettings(endpoint.base, "openai:m", needs_key=False, largest=1000)
    async with HttpProvider(settings, OpenAIFormat("m"), Capabilities()) as provider:
        with pytest.raises(ItemError, match="more than 1000 bytes") as caught:
            await provider.complete(REQUEST)
        assert caught.value.attempts == 1
        assert (await provider.complete(REQUEST)).text == "fine"
        assert (provider.model, provider.capabilities) == ("m", Capabilities())


@pytest.mark.parametrize("headers", [(("x-team", "a\r\nb"),), (("x\nteam", "a"),), (("x-team", "a\x1bb"),)])
async def test_a_header_with_a_line_break_is_refused(headers: tuple[tuple[str, str], ...]) -> None:
    async with provider_at("https://api.test/v1", headers=headers) as provider:
        with pytest.raises(StopError, match="holds a line break"):
            await provider.complete(REQUEST)


async def test_a_redirect_is_not_followed(serve: Serve) -> None:
    async def other(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return answered()

    elsewhere = await serve(other)

    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"{elsewhere.base}/chat/completions"})

    endpoint = await serve(answer)
    async with provider_at(endpoint.base) as provider:
        with pytest.raises(StopError, match="base address"):
            await provider.complete(REQUEST)
    assert elsewhere.seen == [], "no key went to another address"


async def test_headers_query_and_body_of_the_specification_are_sent(serve: Serve) -> None:
    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return answered()

    endpoint = await serve(answer)
    provider = provider_at(
        endpoint.base,
        environment={"OTHER": "azure-secret"},
        headers=(("api-key", "env:OTHER"), ("x-team", "blue")),
        query=(("api-version", "2024-10-21"),),
        body='{"reasoning_effort":"low"}',
    )
    async with provider:
        await provider.complete(REQUEST)
    path, headers, body = endpoint.seen[0]
    assert path == "/v1/chat/completions?api-version=2024-10-21"
    assert (headers["api-key"], headers["x-team"]) == ("azure-secret", "blue")
    assert "Authorization" not in headers
    assert body["reasoning_effort"] == "low"


async def test_a_header_whose_variable_is_missing_names_it() -> None:
    provider = provider_at("https://api.test/v1", environment={}, headers=(("api-key", "env:AZURE_KEY"),))
    async with provider:
        with pytest.raises(StopError, match="environment variable AZURE_KEY"):
            await provider.complete(REQUEST)


async def test_a_base_may_name_the_whole_path(serve: Serve) -> None:
    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return answered()

    endpoint = await serve(answer)
    async with provider_at(endpoint.base + "/chat/completions") as provider:
        await provider.complete(REQUEST)
    assert endpoint.seen[0][0] == "/v1/chat/completions"


async def test_a_proxy_is_read_from_the_environment_once_and_gets_its_password(serve: Serve) -> None:
    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return answered()

    proxy = await serve(answer)
    address = proxy.base.removeprefix("http://").removesuffix("/v1")
    environment = Reads({"http_proxy": f"http://user:proxy-password@{address}", "OPENAI_API_KEY": "k"})
    async with provider_at("http://model.test/v1", environment=environment) as provider:
        for _ in range(3):
            await provider.complete(REQUEST)
    assert environment.reads["http_proxy"] == 1
    path, headers, _ = proxy.seen[0]
    assert path == "http://model.test/v1/chat/completions" or headers["Host"] == "model.test"
    assert headers["Proxy-Authorization"].startswith("Basic ")


class Reads(dict[str, str]):
    """Variables that count how often each was read."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.reads: dict[str, int] = {}

    def get(self, name: str, default: Any = None) -> Any:
        self.reads[name] = self.reads.get(name, 0) + 1
        return super().get(name, default)


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://api.test/v1", {}, None),
        ("https://api.test/v1", {"https_proxy": "http://p:3128"}, "http://p:3128"),
        ("https://api.test/v1", {"HTTPS_PROXY": "p:3128"}, "http://p:3128"),
        ("https://api.test/v1", {"http_proxy": "http://p:3128"}, None),
        ("http://api.test/v1", {"http_proxy": "http://p:3128", "HTTP_PROXY": "http://q:1"}, "http://p:3128"),
        ("https://api.test/v1", {"all_proxy": "http://p:3128"}, "http://p:3128"),
        ("https://api.test/v1", {"https_proxy": "http://p:3128", "no_proxy": "other.test,.test"}, None),
        ("https://api.test/v1", {"https_proxy": "http://p:3128", "NO_PROXY": "*"}, None),
        ("https://api.test/v1", {"https_proxy": "http://p:3128", "no_proxy": "api.testing"}, "http://p:3128"),
        ("http://127.0.0.1:8000/v1", {"http_proxy": "http://p:3128"}, None),
        ("http://localhost:8000/v1", {"all_proxy": "http://p:3128"}, None),
    ],
)
def test_the_proxy_is_what_the_variables_say(url: str, environment: dict[str, str], proxy: str | None) -> None:
    found = proxy_for(URL(url), environment)
    assert (str(found).rstrip("/") if found is not None else None) == proxy


@pytest.mark.parametrize("address", ["socks5://p:1", "http://", "http://p:port"])
def test_a_proxy_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(StopError, match="https_proxy is not the address of an http proxy"):
        proxy_for(URL("https://api.test"), {"https_proxy": address})


async def test_a_proxy_that_wants_another_password_stops_without_showing_ours() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    environment = {"OPENAI_API_KEY": "k", "https_proxy": f"http://user:{SECRET}@127.0.0.1:{port}"}
    async with server, provider_at("https://model.test/v1", environment=environment) as provider:
        with pytest.raises(StopError, match="the proxy refused the connection with status 407") as caught:
            await provider.complete(REQUEST)
    assert caught.value.attempts == 0
    assert all(SECRET not in repr(error) for error in chain(caught.value))


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("h.test", False)]
)
def test_this_machine_is_known_by_its_addresses(host: str, local: bool) -> None:
    assert is_loopback(host) is local


async def encrypted() -> tuple[web.ServerRunner, str]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return answered("encrypted")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    return runner, f"https://127.0.0.1:{runner.addresses[0][1]}/v1"


@pytest.mark.parametrize("name", ["ca", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
async def test_a_certificate_is_verified_by_the_authority_that_was_named(name: str) -> None:
    runner, base = await encrypted()
    settings: dict[str, Any] = {"ca": str(CERTIFICATE)} if name == "ca" else {}
    environment = {} if name == "ca" else {name: str(CERTIFICATE)}
    async with provider_at(base, environment=environment, **settings) as provider:
        assert (await provider.complete(REQUEST)).text == "encrypted"
    await runner.cleanup()


async def test_a_certificate_of_nobody_known_stops_with_the_mend() -> None:
    runner, base = await encrypted()
    async with provider_at(base) as provider:
        with pytest.raises(StopError, match=r"certificate is not trusted.*SSL_CERT_FILE") as caught:
            await provider.complete(REQUEST)
    assert caught.value.error_class is ErrorClass.CONFIGURATION
    await runner.cleanup()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_authorities_that_cannot_be_read_are_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(StopError, match="that ca names cannot be read"):
        tls_context(HttpSettings("https://h/v1", "openai:m", ca=str(file)))


async def test_a_cancelled_call_leaves_no_place_taken_and_no_session_open(serve: Serve) -> None:
    reached = asyncio.Event()

    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        reached.set()
        return await hang(request, number)

    endpoint = await serve(answer)
    provider = provider_at(endpoint.base)
    async with anyio.create_task_group() as group:

        async def use() -> None:
            async with provider:
                await provider.complete(REQUEST)

        group.start_soon(use)
        await reached.wait()
        assert provider.statistics()["in_flight"] == 1
        group.cancel_scope.cancel()
    assert provider.statistics()["in_flight"] == 0
    assert provider.statistics()["session"] == "closed"
    ours = [task for task in asyncio.all_tasks() if "aiohttp/web_" not in repr(task)]
    assert ours == [asyncio.current_task()], "only the server's own tasks are left"


async def test_no_more_requests_run_at_once_than_the_bound_allows(serve: Serve) -> None:
    running, peak = 0, 0
    released = asyncio.Event()

    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        if running == 3:
            released.set()
        await released.wait()
        running -= 1
        return answered()

    endpoint = await serve(answer)
    async with provider_at(endpoint.base, in_flight=3) as provider, asyncio.TaskGroup() as group:
        for _ in range(9):
            group.create_task(provider.complete(REQUEST))
    assert peak == 3
    assert provider.statistics()["in_flight_peak"] == 3


def chain(error: BaseException | None) -> list[BaseException]:
    found = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


async def echo_error(request: web.BaseRequest, number: int) -> web.StreamResponse:
    status = (400, 401, 403, 404, 413, 429, 500, 503, 302)[number % 9]
    echoed = dict(request.headers)
    return refused(status, f"{'.' * 380}{SECRET} {echoed}", code=SECRET, headers={"Location": f"/{SECRET}"})


async def echo_inside_200(request: web.BaseRequest, number: int) -> web.StreamResponse:
    return web.json_response({"error": {"message": f"bad key {SECRET}", "code": 500}})


async def echo_in_half_json(request: web.BaseRequest, number: int) -> web.StreamResponse:
    return web.Response(body=b'{"choices": "' + SECRET.encode())


@pytest.mark.parametrize(
    "fault", [echo_error, echo_inside_200, echo_in_half_json, half_json, reset_before_headers, body_cut_short, hang]
)
async def test_a_planted_key_is_in_no_error_log_statistic_or_representation(serve: Serve, fault: Any) -> None:
    endpoint = await serve(fault)
    proxied = {"OPENAI_API_KEY": SECRET, "https_proxy": f"http://user:{SECRET}@127.0.0.1:9"}
    shown: list[object] = []
    with capture_logs() as logs:
        for base in (endpoint.base, "http://127.0.0.1:9/v1", "https://model.test/v1"):
            for _ in range(9 if base == endpoint.base and fault is echo_error else 1):
                provider = provider_at(base, environment=proxied, timeout=0.05, headers=(("x-api-token", SECRET),))
                async with provider:
                    with pytest.raises(ProviderError) as caught:
                        await provider.complete(REQUEST)
                for error in chain(caught.value):
                    shown += [str(error), repr(error), error.args, getattr(error, "doc", "")]
                shown += [repr(provider), provider.identity, dict(provider.statistics())]
    shown.append(logs)
    for thing in shown:
        text = orjson.dumps(thing, default=repr).decode()
        assert SECRET[:12] not in text


async def test_a_key_over_an_open_line_is_warned_of_once(serve: Serve) -> None:
    async def answer(request: web.BaseRequest, number: int) -> web.StreamResponse:
        return answered()

    proxy = await serve(answer)
    environment = {"OPENAI_API_KEY": SECRET, "http_proxy": proxy.base.removesuffix("/v1")}
    with capture_logs() as logs:
        async with provider_at("http://model.test/v1", environment=environment) as provider:
            await provider.complete(REQUEST)
            await provider.complete(REQUEST)
    assert [entry["event"] for entry in logs] == ["key_sent_unencrypted"]
