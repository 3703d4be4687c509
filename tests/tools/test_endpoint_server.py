"""The mock endpoint over real sockets: faults as clients see them, streams, the ledger, and what must not kill it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
import orjson
import pytest

from semprop.tools.endpoint import Endpoint, Served, parse, serving
from semprop.tools.serving.times import Times

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
FIXED = "[reply]\ntext = 'twelve chars'\n"


@dataclass
class Clock:
    """Monotonic time that stands still until it is moved."""

    at: float = 100.0

    def now(self) -> float:
        return self.at


@dataclass
class Mock:
    """A served endpoint and a client."""

    served: Served
    session: aiohttp.ClientSession
    clock: Clock = field(default_factory=Clock)

    async def ask(self, **changes: object) -> tuple[int, bytes]:
        """Status and body of one attempt."""
        async with self.session.post(f"{self.served.url}/chat/completions", json={**BODY, **changes}) as response:
            return response.status, await response.read()

    async def ledger(self, since: int = 0) -> list[dict[str, object]]:
        async with self.session.get(f"{self.served.ledger}?since={since}") as response:
            return [orjson.loads(line) for line in (await response.read()).splitlines()]

    async def page(self, name: str, method: str = "GET") -> dict[str, object]:
        async with self.session.request(method, f"{self.served.origin}/{name}") as response:
            document: dict[str, object] = orjson.loads(await response.read())
            return document

    async def raw(self, data: bytes) -> bytes:
        """Everything that comes back on a connection of its own until the server closes it."""
        host, port = self.served.origin.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(data)
        try:
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


Start = Callable[..., Awaitable[Mock]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Serve the endpoint that a TOML text describes."""
    async with AsyncExitStack() as stack:

        async def begin(toml: str = FIXED, clock: Clock | None = None) -> Mock:
            times = Times() if clock is None else Times(now=clock.now)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            served = await stack.enter_async_context(serving(Endpoint(parse(toml)), times=times))
            return Mock(served, session, clock or Clock())

        yield begin


def events(body: bytes) -> list[object]:
    """The events of a stream; its end mark as text."""
    data = [line.removeprefix(b"data: ") for line in body.split(b"\n\n") if line.startswith(b"data: ")]
    return ["[DONE]" if each == b"[DONE]" else orjson.loads(each) for each in data]


# Answers ------------------------------------------------------------------------------------------------------------


async def test_a_request_is_answered_with_its_usage(start):
    status, body = await (await start()).ask()
    document = orjson.loads(body)
    assert status == 200
    assert document["choices"][0]["message"]["content"] == "twelve chars"
    assert document["usage"]["prompt_tokens"] == 2
    assert document["usage"]["completion_tokens"] == 3


async def test_a_stream_says_the_same_in_pieces_and_ends_with_usage_where_it_is_asked_for(start):
    mock = await start()
    _, body = await mock.ask(stream=True, stream_options={"include_usage": True})
    *chunks, usage, done = events(body)
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in chunks) == "twelve chars"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert (usage["choices"], usage["usage"]["total_tokens"], done) == ([], 5, "[DONE]")
    _, plain = await mock.ask(stream=True)
    assert all("usage" not in each for each in events(plain)[:-1])


async def test_tokens_of_a_stream_come_one_by_one(start):
    mock = await start(FIXED + "[latency]\nfirst = 0.004\ngap = 0.004\n")
    loop = asyncio.get_running_loop()
    begun, times = loop.time(), []
    async with mock.session.post(f"{mock.served.url}/chat/completions", json={**BODY, "stream": True}) as response:
        async for line in response.content:
            if b'"content":"' in line and b'"content":""' not in line:
                times.append(loop.time() - begun)
    assert len(times) == 3
    assert times[0] >= 0.003 and times[2] >= 0.010


async def test_an_answer_comes_after_its_latency_and_the_ledger_says_when(start):
    mock = await start(FIXED + "[latency]\nfirst = 0.005\ngap = 0.005\n")
    await mock.ask()
    (row,) = await mock.ledger()
    assert row["answered"] - row["arrived"] >= 0.014


# Limits -------------------------------------------------------------------------------------------------------------


async def test_a_limit_refuses_by_a_true_sliding_window(start):
    clock = Clock()
    mock = await start(FIXED + "[[limit]]\nof = 'requests'\nmost = 2\nseconds = 10\n", clock)
    seen = []
    for at in (0.0, 6.0, 9.9, 10.0, 15.9, 16.0):
        clock.at = 100.0 + at
        seen.append((await mock.ask())[0])
    assert seen == [200, 200, 429, 200, 429, 200]


async def test_headers_tell_of_limits_as_they_are_when_the_answer_is_sent(start):
    mock = await start(FIXED + "[[limit]]\nof = 'requests'\nmost = 5\n[[limit]]\nof = 'tokens'\nmost = 1000\n")
    for _ in range(2):
        async with mock.session.post(f"{mock.served.url}/chat/completions", json=BODY) as response:
            await response.read()
            headers = response.headers
    assert headers["x-ratelimit-remaining-requests"] == "3"
    # Charged as OpenAI does: the larger of max_tokens and the input, twice.
    assert headers["x-ratelimit-remaining-tokens"] == "996"
    assert headers["x-request-id"] == "req_00000002"


async def test_stale_headers_tell_what_was_true_some_time_ago(start):
    clock = Clock()
    mock = await start(FIXED + "[headers]\ntold = 'stale'\nage = 5\n[[limit]]\nof = 'requests'\nmost = 9\n", clock)
    seen = []
    for at in (0.0, 4.9, 5.0):
        clock.at = 100.0 + at
        async with mock.session.post(f"{mock.served.url}/chat/completions", json=BODY) as response:
            await response.read()
            seen.append(response.headers["x-ratelimit-remaining-requests"])
    assert seen == ["8", "8", "6"]


async def test_a_full_queue_is_an_overload(start):
    slots = "[slots]\nparallel = 1\nqueue = 0\n"
    mock = await start("[reply]\ntext = 'a'\n[headers]\ndialect = 'ollama'\n[latency]\nfirst = 0.01\n" + slots)
    statuses = sorted(status for status, _ in await asyncio.gather(mock.ask(), mock.ask()))
    assert statuses == [200, 503]


async def test_a_prompt_beyond_the_context_is_refused_or_cut_without_a_word(start):
    long = [{"role": "user", "content": "x" * 100}]
    status, body = await (await start("context = 10\n" + FIXED)).ask(messages=long)
    assert (status, orjson.loads(body)["error"]["code"]) == (400, "context_length_exceeded")
    status, body = await (await start("context = 10\n" + FIXED + "[headers]\ndialect = 'ollama'\n")).ask(messages=long)
    assert (status, orjson.loads(body)["usage"]["prompt_tokens"]) == (200, 10)


# Faults -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("throttle", 429, b"rate_limit_exceeded"),
        ("daily", 429, b"(RPD)"),
        ("server_error", 500, b"server_error"),
        ("unavailable", 503, b"server_is_overloaded"),
        ("overloaded", 529, b"overloaded"),
        ("timeout", 504, b"timed out"),
        ("billing", 429, b"insufficient_quota"),
        ("auth", 401, b"invalid_api_key"),
        ("too_large", 429, b"Request too large"),
        ("context", 400, b"context_length_exceeded"),
        ("filter", 400, b"content_policy_violation"),
    ],
)
async def test_a_refusing_fault_answers_an_error_and_is_in_the_ledger(start, kind, status, words):
    mock = await start(FIXED + f"[[fault]]\nkind = '{kind}'\nlast_attempt = 1\nretry_after = 89\n")
    async with mock.session.post(f"{mock.served.url}/chat/completions", json=BODY) as response:
        assert (response.status, words in await response.read()) == (status, True)
        assert response.headers["retry-after"] == "89"
    assert (await mock.ask())[0] == 200
    first, second = await mock.ledger()
    assert (first["status"], first["fault"], first["output"]) == (status, kind, 0)
    assert (second["status"], second["fault"], second["key"]) == (200, None, first["key"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset_before_headers", aiohttp.ClientOSError),
        ("reset_after_headers", (aiohttp.ClientPayloadError, aiohttp.ClientOSError)),
        ("garbage", aiohttp.ClientPayloadError),
    ],
)
async def test_a_broken_connection_is_seen_by_the_client_and_is_in_the_ledger(start, kind, error, stream):
    mock = await start(FIXED + f"[[fault]]\nkind = '{kind}'\nlast_attempt = 1\n")
    with pytest.raises(error):
        await mock.ask(stream=stream)
    assert (await mock.ask(stream=stream))[0] == 200
    first, _ = await mock.ledger()
    assert first["fault"] == kind and first["answered"] is not None
    assert first["status"] == (None if kind == "reset_before_headers" else 200)


async def test_headers_come_before_a_reset_that_is_to_come_after_them(start):
    mock = await start(FIXED + "[[fault]]\nkind = 'reset_after_headers'\n")
    async with mock.session.post(f"{mock.served.url}/chat/completions", json=BODY) as response:
        assert response.status == 200
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
            await response.read()


async def test_half_json_is_a_whole_reply_that_cannot_be_parsed(start):
    mock = await start(FIXED + "[[fault]]\nkind = 'half_json'\n")
    status, body = await mock.ask()
    assert status == 200 and body.startswith(b'{"id"')
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(body)
    _, stream = await mock.ask(stream=True)
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(stream.split(b"\n\n")[-1].removeprefix(b"data: "))


async def test_an_error_comes_after_the_status_200(start):
    mock = await start(FIXED + "[[fault]]\nkind = 'error_after_200'\n")
    status, body = await mock.ask()
    assert (status, list(orjson.loads(body))) == (200, ["error"])
    status, body = await mock.ask(stream=True)
    *chunks, error, done = events(body)
    assert (status, len(chunks) > 0, list(error), done) == (200, True, ["error"], "[DONE]")


async def test_a_stream_can_end_without_its_mark(start):
    mock = await start(FIXED + "[[fault]]\nkind = 'no_done'\n")
    _, body = await mock.ask(stream=True)
    assert events(body)[-1] != "[DONE]" and b"stop" in body


async def test_a_slow_reply_arrives_whole(start):
    mock = await start("[reply]\ntext = 'a'\n[[fault]]\nkind = 'slow'\nrate = 20000\n")
    status, body = await mock.ask()
    assert status == 200 and orjson.loads(body)["choices"]
    (row,) = await mock.ledger()
    assert row["answered"] - row["arrived"] >= len(body) / 20000 - 0.001


async def test_a_huge_reply_is_as_large_as_it_was_said_to_be_and_holds_the_answer(start):
    mock = await start("[reply]\ntext = 'a'\n[[fault]]\nkind = 'huge'\nsize = 3000000\n")
    _, body = await mock.ask()
    assert len(body) == 3_000_000 and orjson.loads(body)["choices"]
    _, stream = await mock.ask(stream=True)
    assert len(stream) > 3_000_000 and events(stream)[-1] == "[DONE]"


async def test_a_hang_lasts_until_the_client_leaves_and_the_ledger_says_so(start):
    mock = await start(FIXED + "[[fault]]\nkind = 'hang'\nlast_attempt = 1\n")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(mock.ask(), 0.02)
    # The second request comes after the server has seen the first one's connection end.
    assert (await mock.ask())[0] == 200
    first, _ = await mock.ledger()
    assert (first["fault"], first["status"], first["output"]) == ("hang", 499, 0)


async def test_a_connection_is_closed_behind_an_answer_that_did_not_announce_it(start):
    mock = await start(FIXED + "[[fault]]\nkind = 'close'\nlast_attempt = 1\n")
    body = orjson.dumps(BODY)
    one = POST + b"content-length: %d\r\n\r\n" % len(body) + body
    answered = await mock.raw(one + one)
    assert answered.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" not in answered.lower()
    assert (await mock.ask())[0] == 200


async def test_the_first_tries_of_every_request_fail(start):
    mock = await start(FIXED + "[[fault]]\nkind = 'server_error'\ntries = 2\n")
    seen = [(await mock.ask(user=user))[0] for user in ("a", "b", "a", "a", "b", "b")]
    assert seen == [500, 500, 500, 200, 500, 200]


async def test_a_fault_that_begins_later_waits_for_its_time(start):
    clock = Clock()
    mock = await start(FIXED + "[[fault]]\nkind = 'throttle'\nbegin = 10\nend = 20\n", clock)
    seen = []
    for at in (0.0, 10.0, 19.9, 20.0):
        clock.at = 100.0 + at
        seen.append((await mock.ask())[0])
    assert seen == [200, 429, 429, 200]


# The ledger ---------------------------------------------------------------------------------------------------------


async def test_the_ledger_agrees_with_what_the_client_counted(start):
    faults = "[[fault]]\nkind = 'server_error'\nshare = 0.3\n[[fault]]\nkind = 'overloaded'\nevery = 7\n"
    mock = await start("seed = 5\n" + FIXED + faults)
    answers = await asyncio.gather(*(mock.ask(user=str(number)) for number in range(60)))
    rows = await mock.ledger()
    statuses = [status for status, _ in answers]
    assert [row["seq"] for row in rows] == list(range(1, 61))
    assert sorted(row["status"] for row in rows) == sorted(statuses)
    assert len({row["key"] for row in rows}) == 60
    assert sum(row["output"] for row in rows) == 3 * statuses.count(200)
    assert set(rows[0]) == {
        *("seq", "key", "model", "arrived", "answered", "status", "input", "output", "fault", "batch", "connection"),
        "images",
    }
    health = await mock.page("health")
    assert (health["attempts"], health["finished"], health["in_flight"]) == (60, 60, 0)
    assert health["statuses"] == {str(status): statuses.count(status) for status in dict.fromkeys(statuses)}


async def test_the_ledger_can_be_read_from_a_number_on_and_started_anew(start):
    mock = await start()
    for _ in range(3):
        await mock.ask()
    assert [row["seq"] for row in await mock.ledger(since=1)] == [2, 3]
    await mock.page("reset", "POST")
    assert await mock.ledger() == []
    await mock.ask()
    assert [row["seq"] for row in await mock.ledger()] == [1]


async def test_a_bounded_ledger_forgets_rows_and_not_totals(start):
    mock = await start("ledger_rows = 2\n" + FIXED)
    for _ in range(5):
        await mock.ask()
    assert [row["seq"] for row in await mock.ledger()] == [4, 5]
    assert (await mock.page("health"))["finished"] == 5


async def test_attempts_under_way_are_in_the_ledger(start):
    mock = await start(FIXED + "[[fault]]\nkind = 'hang'\n")
    host, port = mock.served.origin.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    body = orjson.dumps(BODY)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    (row,) = await mock.ledger()
    assert (row["answered"], row["status"], row["fault"]) == (None, None, "hang")
    writer.close()
    await writer.wait_closed()


# Robustness ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x00\x01garbage", b"400"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", b"431"),
        (POST + b"content-length: many\r\n\r\n", b"400"),
        (POST + b"content-length: 99999999999\r\n\r\n", b"413"),
        (POST + b"content-length: 1\r\nconnection: close\r\n\r\n{", b"400"),
        (b"DELETE /v1/files HTTP/1.0\r\n\r\n", b"404"),
        (b"GET /ledger?since=x HTTP/1.0\r\n\r\n", b"400"),
    ],
)
async def test_what_is_no_request_is_answered_and_kills_nothing(start, data, status):
    mock = await start()
    assert (await mock.raw(data)).split(b" ")[1] == status
    assert (await mock.ask())[0] == 200


async def test_a_body_that_is_shorter_than_its_length_waits_and_its_client_can_leave(start):
    mock = await start()
    host, port = mock.served.origin.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(POST + b"content-length: 500\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await mock.ask())[0] == 200
    assert len(await mock.ledger()) == 1


async def test_pipelined_requests_are_answered_in_their_order(start):
    mock = await start()
    body = orjson.dumps(BODY)
    one = POST + b"content-length: %d\r\n\r\n" % len(body) + body
    last = POST + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    answered = await mock.raw(one * 199 + last)
    ids = [int(part.split(b'"')[0]) for part in answered.split(b"chatcmpl-")[1:]]
    assert ids == list(range(1, 201))


async def test_one_connection_is_kept_for_many_requests(start):
    mock = await start()
    for _ in range(5):
        await mock.ask()
    assert {row["connection"] for row in await mock.ledger()} == {1}


async def test_a_client_that_waits_for_a_word_gets_it(start):
    mock = await start()
    body = orjson.dumps(BODY)
    async with mock.session.post(
        f"{mock.served.url}/chat/completions", data=body, expect100=True, headers={"content-type": "application/json"}
    ) as response:
        assert response.status == 200
        await response.read()


async def test_closing_breaks_off_what_is_under_way():
    async with aiohttp.ClientSession() as session:
        async with serving(Endpoint(parse("[[fault]]\nkind = 'hang'\n"))) as served:
            mock = Mock(served, session)
            host, port = served.origin.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            body = orjson.dumps(BODY)
            writer.write(POST + b"content-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            assert [row["answered"] for row in await mock.ledger()] == [None]
        assert await reader.read() == b""
        assert served.endpoint.ledger.summary()["in_flight"] == 0
        writer.close()
        await writer.wait_closed()
