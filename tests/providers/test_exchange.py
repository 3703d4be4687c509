"""One request and its reply on a socket: the short way and the session's own way do the same."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable

import aiohttp
import pytest
from aiohttp.connector import BaseConnector
from answering import Answer, answering, reply
from yarl import URL

from semprop.providers.connection import HttpSettings, Route
from semprop.providers.errors import ItemError
from semprop.providers.exchange import Direct, Exchange, Plain, exchange, fits

LARGEST = 100_000

Way = Callable[[aiohttp.ClientSession, Route, HttpSettings], Exchange]
both = pytest.mark.parametrize("way", [Direct, Plain])


def route_to(base: str, *headers: tuple[str, str]) -> Route:
    return Route(URL(base + "/chat/completions?a=1"), (("Content-Type", "application/json"), *headers), None, ())


def settings_of(base: str) -> HttpSettings:
    return HttpSettings(base, "openai:m", largest=LARGEST)


def writes(*answers: bytes, then_close: bool = False) -> Answer:
    """Each request gets the next of these, the last one for ever."""

    async def answer(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(answers[min(number, len(answers) - 1)])
        await writer.drain()
        if then_close:
            writer.close()

    return answer


@both
async def test_a_request_is_whole_and_its_connection_is_used_again(way: Way) -> None:
    async with answering(writes(reply(b"one"), reply(b"two", b"X-A: b"))) as server, aiohttp.ClientSession() as session:
        ask = way(session, route_to(server.base, ("X-Team", "blue"), ("X-Team", "red")), settings_of(server.base))
        first, second = await ask(b'{"a":1}'), await ask(b"{}")
    assert (first.status, first.body, second.body, second.headers["x-a"]) == (200, b"one", b"two", "b")
    assert server.bodies == [b'{"a":1}', b"{}"]
    assert server.opened == 1
    lines = server.heads[0].decode().split("\r\n")
    assert lines[0] == "POST /v1/chat/completions?a=1 HTTP/1.1"
    host = server.base.removeprefix("http://").removesuffix("/v1")
    for line in (f"Host: {host}", "Content-Type: application/json", "X-Team: blue", "X-Team: red", "Content-Length: 7"):
        assert lines.count(line) == 1
    assert any(line.startswith("Accept-Encoding: gzip") for line in lines)


async def test_both_ways_send_the_same_headers() -> None:
    async with answering(writes(reply(b"ok"))) as server, aiohttp.ClientSession() as session:
        route = route_to(server.base, ("Authorization", "Bearer k"))
        for way in (Direct, Plain):
            await way(session, route, settings_of(server.base))(b"body")
    short, own = ({line for line in head.split(b"\r\n") if line} for head in server.heads)
    assert short == own


@both
@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (reply(gzip.compress(b"x" * 5000), b"Content-Encoding: gzip"), b"x" * 5000),
        (reply(zlib.compress(b"y" * 50), b"Content-Encoding: deflate"), b"y" * 50),
        (reply(b""), b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + reply(b"late"), b"late"),
        (reply(b"refused", status=b"429 Too Many Requests"), b"refused"),
        (reply(b"moved", b"Location: http://127.0.0.1:9/", status=b"307 Moved"), b"moved"),
    ],
)
async def test_every_shape_of_reply_is_read(way: Way, answer: bytes, body: bytes) -> None:
    async with answering(writes(answer, reply(b"next"))) as server, aiohttp.ClientSession() as session:
        ask = way(session, route_to(server.base), settings_of(server.base))
        assert (await ask(b"{}")).body == body
        assert (await ask(b"{}")).body == b"next"
    assert server.opened == 1


@both
async def test_a_reply_without_a_length_ends_with_its_connection(way: Way) -> None:
    answer = writes(b"HTTP/1.1 200 OK\r\n\r\nall of it", then_close=True)
    async with answering(answer) as server, aiohttp.ClientSession() as session:
        ask = way(session, route_to(server.base), settings_of(server.base))
        assert (await ask(b"{}")).body == b"all of it"
        assert (await ask(b"{}")).body == b"all of it"
    assert server.opened == 2


@both
async def test_a_connection_that_the_server_ends_is_not_used_again(way: Way) -> None:
    async with answering(writes(reply(b"ok", b"Connection: close"))) as server, aiohttp.ClientSession() as session:
        ask = way(session, route_to(server.base), settings_of(server.base))
        for _ in range(2):
            assert (await ask(b"{}")).body == b"ok"
    assert server.opened == 2


@both
@pytest.mark.parametrize(
    "answer",
    [
        writes(b"", then_close=True),
        writes(b"HTTP/1.1 200 OK\r\nContent-Le", then_close=True),
        writes(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", then_close=True),
        writes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf", then_close=True),
        writes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        writes(b"SSH-2.0-OpenSSH\r\n\r\n"),
        writes(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"),
        writes(reply(b"no gzip at all", b"Content-Encoding: gzip")),
    ],
    ids=["nothing", "cut head", "cut body", "cut chunk", "no chunk", "no HTTP", "long header", "no gzip"],
)
async def test_what_is_no_whole_reply_is_an_error_of_the_client_library(way: Way, answer: Answer) -> None:
    async with answering(answer) as server, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await way(session, route_to(server.base), settings_of(server.base))(b"{}")
        await server.all_closed()


@both
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_a_reply_is_read_no_further_than_it_may_be_long(way: Way, packed: bool) -> None:
    body = b"x" * (LARGEST * 30)
    answer = reply(gzip.compress(body), b"Content-Encoding: gzip") if packed else reply(body)
    async with answering(writes(answer)) as server, aiohttp.ClientSession() as session:
        with pytest.raises(ItemError, match=f"openai:m sent a reply of more than {LARGEST} bytes") as caught:
            await way(session, route_to(server.base), settings_of(server.base))(b"{}")
        assert caught.value.status == 200
        await server.all_closed()


@both
async def test_an_exchange_that_is_cancelled_closes_its_connection(way: Way) -> None:
    reached = asyncio.Event()

    async def hang(writer: asyncio.StreamWriter, number: int) -> None:
        reached.set()
        await asyncio.Event().wait()

    async with answering(hang) as server, aiohttp.ClientSession() as session:
        ask = way(session, route_to(server.base), settings_of(server.base))
        task = asyncio.ensure_future(ask(b"{}"))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.all_closed()


async def test_many_requests_at_once_each_get_their_own_reply() -> None:
    async def echo(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(reply(server.bodies[number]))
        await writer.drain()

    async with answering(echo) as server, aiohttp.ClientSession() as session:
        ask = Direct(session, route_to(server.base), settings_of(server.base))
        replies = await asyncio.gather(*(ask(b"%d" % number * 999) for number in range(50)))
    assert [reply.body for reply in replies] == [b"%d" % number * 999 for number in range(50)]


async def test_the_short_way_is_taken_where_nothing_speaks_against_it() -> None:
    async with aiohttp.ClientSession() as session:
        settings = settings_of("http://h.test/v1")
        direct = route_to(settings.base, ("X-Team", "blue"))
        assert isinstance(exchange(session, direct, settings), Direct)
        proxied = Route(direct.url, direct.headers, URL("http://proxy.test:3128"), ())
        assert isinstance(exchange(session, proxied, settings), Plain)
        for name in ("Connection", "content-length", "Expect", "Transfer-Encoding"):
            assert isinstance(exchange(session, route_to(settings.base, (name, "x")), settings), Plain)


class Other:
    """An aiohttp whose parts have changed."""

    def connect(self, req: object, traces: object) -> None: ...

    def demanding(self, req: object, traces: object, timeout: object, more: object) -> None: ...

    def wider(self, req: object, traces: object, timeout: object, more: object = None) -> None: ...


def test_another_version_of_the_client_library_is_noticed_by_what_its_parts_take() -> None:
    names = ("traces", "timeout")
    assert fits()
    assert fits(((BaseConnector, "connect", names),))
    assert fits(((Other, "wider", names),))
    assert not fits(((Other, "connect", names),))
    assert not fits(((Other, "demanding", names),))
    assert not fits(((Other, "gone", names),))
