"""The reference: a bare loop over aiohttp, orjson and uvloop, which does nothing but send, read and parse.

    session.post(url, data=orjson.dumps(body)) → orjson.loads(await response.read()) → the text

As many plain workers as are to be in flight, each asking one request after the other; no limits, no retries, no
store, no checks but the status.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import aiohttp
import anyio
import orjson

Body = Callable[[int], object]
"""The body of the how-manieth request, as data."""

HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer none"}


@dataclass(frozen=True, slots=True)
class Spent:
    """What a number of calls cost: seconds of processor time of all threads, and seconds by the clock."""

    calls: int
    cpu: float
    wall: float

    @property
    def cpu_per_call(self) -> float:
        """Processor time of one call in seconds."""
        return self.cpu / self.calls

    @property
    def wall_per_call(self) -> float:
        """Time by the clock over the number of calls, in seconds."""
        return self.wall / self.calls


class Stopwatch:
    """Processor time of this process, all threads together, and time by the clock, since it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def spent(self, calls: int) -> Spent:
        """What has passed since."""
        return Spent(calls, time.process_time() - self._cpu, time.perf_counter() - self._wall)


async def bare_loop(url: str, body: Body, calls: int, in_flight: int) -> Spent:
    """Send so many calls, and say what they cost; connections are opened inside, as they are for the subject."""
    numbers = iter(range(calls))
    watch = Stopwatch()
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector) as session, anyio.create_task_group() as tasks:
        for _ in range(min(in_flight, calls)):
            tasks.start_soon(_work, session, f"{url}/chat/completions", body, numbers)
    return watch.spent(calls)


async def _work(session: aiohttp.ClientSession, url: str, body: Body, numbers: Iterator[int]) -> None:
    for number in numbers:
        async with session.post(url, data=orjson.dumps(body(number)), headers=HEADERS) as response:
            document = orjson.loads(await response.read())
            response.raise_for_status()
            document["choices"][0]["message"]["content"]
