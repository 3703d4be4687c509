"""Bodies of any size, read line by line while they come."""

import asyncio
import contextlib

import pytest

from semprop.providers.batches.calls import Calls
from semprop.providers.connection import HttpSettings
from semprop.providers.errors import RetryError, StopError
from semprop.providers.transport import Transport
from tests.providers.batches.serving import WHO, WIRE


async def fetched(pieces, pause, seconds, status=200):
    """The lines of a body that comes in pieces, with a pause before each; `seconds` are those of a reply."""
    gone, done = asyncio.Event(), asyncio.Event()

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 %d OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, sum(map(len, pieces)))
        )
        for piece in pieces:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), pause)
                break
            writer.write(piece)
            await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        done.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    calls = Calls(HttpSettings(address, WHO, timeout=seconds), WIRE, Transport())
    found = []
    try:
        await calls.lines("/results", lambda line: found.append(line) or True)
    finally:
        await calls.close()
        gone.set()
        await done.wait()
        server.close()
    return found


async def test_results_may_take_longer_than_a_reply_while_they_come():
    # Cut off by the seconds of one reply, a large batch could never be fetched, however often it is tried.
    assert await fetched([b"a\nb", b"b\n", b"c\n", b"d"] * 3, 0.03, seconds=0.2) == [
        *[b"a\n", b"bb\n", b"c\n", b"da\n", b"bb\n", b"c\n", b"da\n", b"bb\n", b"c\n", b"d"]
    ]


@pytest.mark.parametrize(
    ("status", "words"), [(400, "see its own words"), (413, "fewer `rows`"), (422, "own words"), (410, "own words")]
)
@pytest.mark.parametrize("body", [b"{}", b'{"error":{"message":"This exceeds the maximum context length"}}'])
async def test_a_call_that_is_refused_is_no_failure_of_the_requests_in_a_batch(status, words, body):
    # As one of each request it would be on record as thousands of wrong answers that no model gave.
    with pytest.raises(StopError, match=words):
        await fetched([body], 0.0, seconds=5.0, status=status)


async def test_results_that_come_no_more_are_given_up():
    with pytest.raises(RetryError, match="within"):
        await fetched([b"a\n"], 5.0, seconds=0.1)
