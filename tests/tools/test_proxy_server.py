"""The proxy over real sockets, in front of the mock endpoint: what is paid once, what is refused, what never leaves."""

from __future__ import annotations

import asyncio

import aiohttp
import orjson
import pytest
from aiohttp import web
from proxying import FIXED, GREEDY, HELLO, attempts, mocked, proxied

from semprop.engine.errors import SpecificationError, UsageError
from semprop.providers import Message, Request, RetryPolicy, connect
from semprop.providers.specification import parse
from semprop.providers.surroundings import Surroundings
from semprop.tools.proxy import Settings

KEY = "sk-planted-0123456789abcdef"


async def until(condition):
    """Wait for others to make it true, without sleeping."""
    # What is waited for happens in sockets and tasks of others, which set no event.
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


# Answers ------------------------------------------------------------------------------------------------------------


async def test_a_completion_reads_as_openais_own():
    async with mocked() as mock, proxied(f"openai:m@{mock.url}") as proxy:
        said = await proxy.ask()
    assert said.status == 200 and said.headers["content-type"] == "application/json"
    document = said.json
    assert document["object"] == "chat.completion" and document["id"].startswith("chatcmpl-")
    (choice,) = document["choices"]
    assert choice["message"] == {"role": "assistant", "content": "twelve chars", "refusal": None}
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert document["usage"]["prompt_tokens"] == 2 and document["usage"]["total_tokens"] == 5


async def test_what_one_client_asks_for_in_vain_stops_no_upstream_for_the_others():
    async with mocked() as mock, proxied(f"anthropic:m@{mock.url}") as proxy:
        refused = await proxy.ask(seed=3)
        answered = await proxy.ask()
    assert (refused.status, refused.error["type"]) == (400, "invalid_request_error")
    assert "no place for 'seed'" in refused.error["message"]
    assert (answered.status, answered.text) == (200, "twelve chars")


async def test_a_stream_is_the_whole_reply_as_events():
    async with mocked() as mock, proxied(f"openai:m@{mock.url}") as proxy:
        said = await proxy.ask(stream=True, stream_options={"include_usage": True})
    assert said.headers["content-type"] == "text/event-stream"
    *events, done = [line.removeprefix(b"data: ") for line in said.body.split(b"\n\n") if line]
    *chunks, usage = [orjson.loads(event) for event in events]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "twelve chars"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert (usage["choices"], usage["usage"]["total_tokens"], done) == ([], 5, b"[DONE]")


async def test_what_an_upstream_is_sent_is_what_the_client_asked_for():
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.json_response({"choices": [{"message": {"content": '{"a":1}'}, "finish_reason": "length"}]})

    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    asked = {
        "messages": [{"role": "developer", "content": [{"type": "text", "text": "be brief"}]}, *HELLO],
        "top_p": 0.5,
        "max_completion_tokens": 7,
        "seed": 3,
        "stop": "END",
        "logprobs": True,
        "top_logprobs": 2,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True}},
    }
    async with upstream(answer) as url, proxied(f"openai:m@{url}") as proxy:
        said = await proxy.ask(**asked, user="somebody", n=1, tools=[], presence_penalty=0)
    (body,) = seen
    assert body.pop("messages") == [{"role": "system", "content": "be brief"}, *HELLO]
    assert body.pop("response_format")["json_schema"]["schema"] == schema
    expected = {"model": "m", "temperature": 0.0, "top_p": 0.5, "max_tokens": 7, "seed": 3, "stop": ["END"]}
    assert body == {**expected, "logprobs": True, "top_logprobs": 2}
    assert said.json["choices"][0]["finish_reason"] == "length" and said.text == '{"a":1}'
    assert said.json["usage"] is None


async def test_our_own_provider_works_through_the_proxy():
    request = Request((Message.of("user", "hello"),))
    around = Surroundings(environment={})
    async with mocked() as mock, proxied(f"openai:m@{mock.url}") as proxy:
        provider = connect(f"openai:m@{proxy.served.url}", surroundings=around)
        async with provider:
            completion = await provider.complete(request)
    assert (completion.text, completion.usage.input, completion.attempts) == ("twelve chars", 2, 1)


async def test_requests_on_one_connection_are_answered_in_their_order():
    async with mocked() as mock, proxied(f"openai:m@{mock.url}") as proxy:
        host, port = proxy.served.origin.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = orjson.dumps(GREEDY)
        post = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%b"
        writer.write(post % (len(body), body) + b"GET /health HTTP/1.1\r\nconnection: close\r\n\r\n")
        said = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert said.count(b"HTTP/1.1 200") == 2
    assert said.index(b"twelve chars") < said.index(b'"status":"ok"')


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 999999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, b"431"),
    ],
)
async def test_what_is_no_request_is_answered_and_closed(data, status):
    async with proxied("simulated:") as proxy:
        host, port = proxy.served.origin.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(data)
        said = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert said.startswith(b"HTTP/1.1 " + status) and b'"error"' in said
        assert (await proxy.ask(model="simulated")).status == 200


# Paid once ----------------------------------------------------------------------------------------------------------


async def test_a_thousand_equal_requests_at_once_are_one_attempt():
    async with mocked(FIXED + "[latency]\nfirst = 0.3\n") as mock, proxied(f"openai:m@{mock.url}") as proxy:
        texts = await asyncio.gather(*(proxy.ask() for _ in range(1000)))
        assert {said.text for said in texts} == {"twelve chars"}
        assert attempts(mock) == 1
        replies = proxy.served.proxy.statistics()["replies"]
    assert replies["upstream"] == 1 and replies["shared"] + replies["store"] == 999


async def test_an_equal_request_later_is_served_from_the_store():
    async with mocked() as mock, proxied(f"openai:m@{mock.url}") as proxy:
        first, second = await proxy.ask(), await proxy.ask(temperature=0.0, stop=[])
        other = await proxy.ask(max_tokens=5)
        assert attempts(mock) == 2
    assert [said.source for said in (first, second, other)] == ["upstream", "store", "upstream"]


@pytest.mark.parametrize(("sampling", "paid"), [({"temperature": 1}, 2), ({"temperature": None}, 2)])
async def test_random_draws_are_never_shared(sampling, paid):
    async with mocked() as mock, proxied(f"openai:m@{mock.url}") as proxy:
        await asyncio.gather(proxy.ask(**sampling), proxy.ask(**sampling))
        assert attempts(mock) == paid


async def test_random_draws_with_a_seed_are_one_question():
    async with mocked() as mock, proxied(f"openai:m@{mock.url}") as proxy:
        for seed in (1, 1, 2):
            await proxy.ask(temperature=1, seed=seed)
        assert attempts(mock) == 2


async def test_a_store_on_disk_serves_the_next_proxy(tmp_path):
    async with mocked() as mock:
        for source in ("upstream", "store"):
            async with proxied(f"openai:m@{mock.url}", store=tmp_path / "replies") as proxy:
                said = await proxy.ask()
                assert (said.text, said.source) == ("twelve chars", source)
        assert attempts(mock) == 1


async def test_a_directory_that_is_no_store_is_left_alone(tmp_path):
    with pytest.raises(UsageError, match="holds no replies"):
        async with proxied("simulated:", store=tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []


async def test_a_failure_is_shared_by_those_who_wait_and_never_stored():
    toml = FIXED + "[latency]\nfirst = 0.05\n[[fault]]\nkind = 'context'\nlast_attempt = 1\n"
    async with mocked(toml) as mock, proxied(f"openai:m@{mock.url}") as proxy:
        said = await asyncio.gather(*(proxy.ask() for _ in range(5)))
        again = await proxy.ask()
        assert again.status == 200 and {each.status for each in said} <= {400, 200}
        assert said[0].error["code"] == "context_length_exceeded"
        assert attempts(mock) == 2


# Clients that leave -------------------------------------------------------------------------------------------------


class Held:
    """An upstream that answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.left, self.release = 0, 0, asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        return web.json_response({"choices": [{"message": {"content": "late"}, "finish_reason": "stop"}]})


def upstream(answer):
    """A server of one's own as an asynchronous context that gives its base address."""
    application = web.Application()
    application.router.add_post("/{path:.*}", answer)
    return _Running(application)


class _Running:
    def __init__(self, application: web.Application) -> None:
        self.runner = web.AppRunner(application, handler_cancellation=True)

    async def __aenter__(self) -> str:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}/v1"

    async def __aexit__(self, *raised: object) -> None:
        await self.runner.cleanup()


async def test_a_leader_that_leaves_does_not_end_the_attempt_of_those_who_wait():
    held = Held()
    async with upstream(held.answer) as url, proxied(f"openai:m@{url}") as proxy:
        leader = asyncio.ensure_future(proxy.ask())
        await until(lambda: held.asked)
        follower = asyncio.ensure_future(proxy.ask())
        await until(lambda: proxy.served.proxy.statistics()["in_flight"] == 2)
        leader.cancel()
        await until(lambda: proxy.served.proxy.statistics()["in_flight"] == 1)
        held.release.set()
        said = await follower
    assert (said.text, said.source, held.asked, held.left) == ("late", "shared", 1, 0)


async def test_a_reply_whose_client_has_left_is_kept_for_when_it_asks_again():
    held = Held()
    async with upstream(held.answer) as url, proxied(f"openai:m@{url}") as proxy:
        client = asyncio.ensure_future(proxy.ask())
        await until(lambda: held.asked)
        client.cancel()
        await until(lambda: not proxy.served.proxy.statistics()["in_flight"])
        again = asyncio.ensure_future(proxy.ask())
        await until(lambda: proxy.served.proxy.statistics()["in_flight"])
        again.cancel()
        await until(lambda: not proxy.served.proxy.statistics()["in_flight"])
        held.release.set()
        await until(lambda: not proxy.served.proxy.statistics()["flights"])
        said = await proxy.ask()
    assert (said.text, said.source, held.asked, held.left) == ("late", "store", 1, 0)


async def test_a_failed_attempt_that_nobody_waits_for_is_not_made_again():
    class Failing(Held):
        async def answer(self, request: web.Request) -> web.Response:
            await super().answer(request)
            return web.json_response({}, status=500)

    held = Failing()
    async with upstream(held.answer) as url, proxied(f"openai:m@{url}") as proxy:
        client = asyncio.ensure_future(proxy.ask())
        await until(lambda: held.asked)
        client.cancel()
        await until(lambda: not proxy.served.proxy.statistics()["in_flight"])
        held.release.set()
        await until(lambda: not proxy.served.proxy.statistics()["flights"])
        assert held.asked == 1


async def test_a_request_that_waits_for_its_turn_is_dropped_when_its_client_leaves():
    held = Held()
    async with upstream(held.answer) as url:
        named = {"tight": parse(f"openai:m@{url}")}
        named["tight"] = type(named["tight"])(**{**fields(named["tight"]), "name": "tight", "in_flight": 1})
        async with proxied("tight", named=named) as proxy:
            first = asyncio.ensure_future(proxy.ask(model="tight", seed=1))
            await until(lambda: held.asked)
            second = asyncio.ensure_future(proxy.ask(model="tight", seed=2))
            await until(lambda: proxy.served.proxy.statistics()["upstreams"]["tight"]["waiting"])
            second.cancel()
            await until(lambda: proxy.served.proxy.statistics()["flights"] == 1)
            held.release.set()
            await first
            assert (held.asked, proxy.served.proxy.statistics()["journal"]["attempts"]) == (1, 1)


async def test_an_attempt_that_nobody_can_use_is_cancelled_and_may_have_been_charged():
    held = Held()
    async with upstream(held.answer) as url, proxied(f"openai:m@{url}") as proxy:
        client = asyncio.ensure_future(proxy.ask(temperature=1))
        await until(lambda: held.asked)
        client.cancel()
        await until(lambda: held.left)
        statistics = proxy.served.proxy.statistics()
        await until(lambda: not proxy.served.proxy.statistics()["in_flight"])
        assert statistics["flights"] == 0
        assert proxy.served.proxy.statistics()["journal"]["possibly_charged"] == 1
        assert proxy.served.proxy.statistics()["upstreams"]["m"]["in_flight"] == 0


async def test_stopping_the_proxy_leaves_no_task_and_breaks_clients_off():
    held = Held()
    before = len(asyncio.all_tasks())
    async with upstream(held.answer) as url, aiohttp.ClientSession() as session:
        async with proxied(f"openai:m@{url}") as proxy:
            post = session.post(f"{proxy.served.url}/chat/completions", json=GREEDY)
            client = asyncio.ensure_future(post.__aenter__())
            await until(lambda: held.asked)
        with pytest.raises(aiohttp.ClientError):
            await client
        await until(lambda: held.left)
    await until(lambda: len(asyncio.all_tasks()) == before)


# Limits and retries -------------------------------------------------------------------------------------------------


async def test_the_upstreams_limits_are_kept_and_its_throttles_waited_out():
    toml = FIXED + "[[fault]]\nkind = 'throttle'\nretry_after = 7\nlast_attempt = 1\n"
    async with mocked(toml) as mock, proxied(f"openai:m@{mock.url}") as proxy:
        said = await proxy.ask()
        assert (said.status, attempts(mock)) == (200, 2)
        assert proxy.clock.now() >= 7


async def test_stated_limits_hold_for_all_clients_together():
    toml = FIXED + "[latency]\nfirst = 0.01\n"
    async with mocked(toml) as mock:
        named = {"tight": parse(f"openai:m@{mock.url}")}
        named["tight"] = type(named["tight"])(**{**fields(named["tight"]), "name": "tight", "in_flight": 2})
        async with proxied("tight", named=named) as proxy:
            said = await asyncio.gather(*(proxy.ask(model="tight", seed=seed) for seed in range(12)))
            assert [each.status for each in said] == [200] * 12
            rows = [orjson.loads(row) for row in b"".join(mock.endpoint.ledger.lines()).splitlines()]
            shown = proxy.served.proxy.statistics()["upstreams"]["tight"]
    ends = sorted((row["answered"], -1) for row in rows)
    most, open_now = 0, 0
    for _, step in sorted([*((row["arrived"], 1) for row in rows), *ends]):
        open_now += step
        most = max(most, open_now)
    assert (len(rows), most, shown["in_flight_peak"]) == (12, 2, 2)


def fields(specification):
    return {name: getattr(specification, name) for name in specification.__slots__}


async def test_more_than_it_will_hold_open_is_refused():
    held = Held()
    async with upstream(held.answer) as url, proxied(f"openai:m@{url}", most=1) as proxy:
        first = asyncio.ensure_future(proxy.ask())
        await until(lambda: held.asked)
        second = await proxy.ask()
        held.release.set()
        assert ((await first).status, second.status, second.headers["retry-after"]) == (200, 503, "1")


# Errors -------------------------------------------------------------------------------------------------------------

ONCE = RetryPolicy(tries=1, throttles=1)


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("throttle", 429, "rate_limit_exceeded"),
        ("overloaded", 503, "service_unavailable"),
        ("server_error", 502, "upstream_unavailable"),
        ("reset_before_headers", 502, "upstream_unavailable"),
        ("context", 400, "context_length_exceeded"),
        ("filter", 400, "content_filter"),
        ("too_large", 413, "rate_limit_exceeded"),
        ("billing", 429, "insufficient_quota"),
        ("auth", 502, "upstream_authentication"),
    ],
)
async def test_an_upstreams_error_is_one_that_clients_know(kind, status, code):
    wait = "retry_after = 600\n" if kind == "throttle" else ""
    toml = FIXED + f"[[fault]]\nkind = '{kind}'\n{wait}"
    async with mocked(toml) as mock, proxied(f"openai:m@{mock.url}", retry=ONCE) as proxy:
        said = await proxy.ask()
    assert (said.status, said.error["code"]) == (status, code)
    assert set(said.error) == {"message", "type", "param", "code"}
    assert (said.headers.get("retry-after") == "600") == (kind == "throttle")


async def test_a_stopped_upstream_is_not_asked_for_a_while_and_then_again():
    toml = FIXED + "[[fault]]\nkind = 'auth'\nlast_attempt = 1\n"
    async with mocked(toml) as mock, proxied(f"openai:m@{mock.url}") as proxy:
        said = [await proxy.ask(), await proxy.ask()]
        assert [each.status for each in said] == [502, 502] and attempts(mock) == 1
        assert said[1].headers["x-should-retry"] == "false" and int(said[1].headers["retry-after"]) == 30
        await proxy.clock.sleep(31)
        assert (await proxy.ask(max_tokens=9)).status == 200 and attempts(mock) == 2


async def test_an_unknown_model_is_refused_with_those_that_there_are():
    async with mocked() as mock, proxied(f"openai:m@{mock.url}", "simulated:") as proxy:
        said = await proxy.ask(model="gpt-9")
        assert (said.status, said.error["code"], attempts(mock)) == (404, "model_not_found", 0)
        assert "m, simulated" in said.error["message"]
        assert (await proxy.ask(model=f"openai:m@{mock.url}")).status == 200
        listed = (await proxy.get("/v1/models")).json["data"]
        assert [model["id"] for model in listed] == ["m", "simulated"]
        assert (await proxy.get("/v1/models/m")).json["id"] == "m"
        assert (await proxy.get("/v1/models/x")).status == 404


# Who may, and what never leaves -------------------------------------------------------------------------------------


async def test_an_upstreams_key_never_leaves_and_the_clients_never_arrives(capfd):
    seen = []

    async def echo(request: web.Request) -> web.Response:
        key = request.headers.get("authorization", "")
        seen.append(key)
        body = {"error": {"message": f"you sent {key}", "code": key, "type": key, "param": key}}
        status = int((await request.json())["seed"])
        return web.json_response(body, status=status, headers={"x-request-id": key, "x-key": key})

    async with upstream(echo) as url:
        around = {"OPENAI_API_KEY": KEY}
        async with proxied(f"openai:m@{url}", environment=around, retry=ONCE) as proxy:
            said = []
            for status in (400, 404, 429, 500, 401):
                said.append(await proxy.ask({"authorization": "Bearer of-the-client"}, seed=status))
                await proxy.clock.sleep(60)
            said += [await proxy.get(page) for page in ("/", "/statistics", "/v1/models", "/health", "/nothing")]
    assert seen == [f"Bearer {KEY}"] * 5
    assert [each.status for each in said[:5]] == [400, 502, 429, 502, 502]
    for each in said:
        assert KEY.encode() not in each.body and KEY not in str(each.headers)
    assert KEY not in "".join(capfd.readouterr())


async def test_with_a_token_only_those_who_send_it_are_served():
    async with mocked() as mock, proxied(f"openai:m@{mock.url}", token="t0ken") as proxy:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "t0ken"}):
            assert (await proxy.ask(headers)).error["code"] == "invalid_api_key"
            assert (await proxy.get("/statistics", headers)).status == 401
        assert attempts(mock) == 0
        assert (await proxy.ask({"authorization": "Bearer t0ken"})).status == 200
        assert (await proxy.get("/health")).json == {"status": "ok"}


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"origin": "https://evil.example"}, {"origin": "null"}])
async def test_without_a_token_pages_of_other_sites_are_kept_out(headers):
    async with mocked() as mock, proxied(f"openai:m@{mock.url}") as proxy:
        assert (await proxy.ask(headers)).status == 403
        assert attempts(mock) == 0
        assert (await proxy.ask({"origin": "http://localhost:3000"})).status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_to_listen_for_others_a_token_is_needed(host):
    with pytest.raises(SpecificationError, match="--token-env"):
        Settings(upstreams=("simulated:",), host=host)
    assert Settings(upstreams=("simulated:",), host=host, token="x").host == host


def test_two_upstreams_of_one_name_are_refused():
    async def start() -> None:
        async with proxied("openai:m@http://localhost:1/v1", "openai:m@http://localhost:2/v1"):
            pass

    with pytest.raises(SpecificationError, match="two upstreams"):
        asyncio.run(start())


# Pages --------------------------------------------------------------------------------------------------------------


async def test_statistics_say_what_is_in_flight_what_was_served_and_why_limits_hold():
    held = Held()
    async with upstream(held.answer) as url, proxied(f"openai:m@{url}") as proxy:
        client = asyncio.ensure_future(proxy.ask())
        await until(lambda: held.asked)
        statistics = (await proxy.get("/statistics")).json
        held.release.set()
        await client
        later = (await proxy.get("/statistics")).json
    assert (statistics["in_flight"], statistics["flights"], statistics["requests"]) == (1, 1, 1)
    (group,) = statistics["limits"].values()
    assert group["in_flight"] == 1
    assert (later["in_flight"], later["replies"]["upstream"], later["statuses"]) == (0, 1, {"200": 1})
    assert later["upstreams"]["m"]["attempts"] == 1


async def test_the_status_page_shows_names_as_text_and_loads_nothing():
    named = {"<script>": parse("simulated:")}
    named["<script>"] = type(named["<script>"])(**{**fields(named["<script>"]), "name": "<script>"})
    async with proxied("<script>", named=named) as proxy:
        said = await proxy.get("/")
    assert said.headers["content-type"].startswith("text/html")
    page = said.body.decode()
    assert "<script" not in page and "&lt;script&gt;" in page and "http://" not in page and "https://" not in page
