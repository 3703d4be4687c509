"""The mock endpoint as a process: it listens, it is pinned, its ledger is typed, and nothing of it is left."""

from __future__ import annotations

import os
import sys
import tomllib

import aiohttp
import anyio
import pytest

from semprop.bench.speed.mock import mock, toml
from semprop.bench.speed.rows import Settings
from semprop.engine.errors import RunError

BODY = {"model": "any", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}


async def ask(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.post(f"{url}/chat/completions", json=BODY) as response:
        text: str = (await response.json())["choices"][0]["message"]["content"]
        return text


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_its_ledger_lists_every_attempt_typed() -> None:
    async with mock({"reply": {"text": "yes"}, "latency": {"first": 0.001}}, Settings()) as endpoint:
        assert await ask(endpoint.url) == "yes"
        assert await ask(endpoint.url) == "yes"
        first, second = await endpoint.ledger()
        assert (first.seq, second.seq, first.status, first.output) == (1, 2, 200, 1)
        assert first.key == second.key and first.is_answered and first.seconds >= 0.0005
        assert await endpoint.ledger(since=1) == [second]
        assert (await endpoint.health())["attempts"] == 2
        await endpoint.reset()
        assert await endpoint.ledger() == []
    assert not is_alive(endpoint.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux pins processes to processors")
async def test_it_runs_on_the_processor_that_the_settings_name() -> None:
    core = max(os.sched_getaffinity(0))
    async with mock("", Settings(endpoint_core=core)) as endpoint:
        assert os.sched_getaffinity(endpoint.pid) == {core}


async def test_a_cancelled_block_leaves_no_process() -> None:
    with anyio.CancelScope() as scope:
        async with mock({}, Settings()) as endpoint:
            scope.cancel()
            await anyio.sleep_forever()
    assert not is_alive(endpoint.pid)


async def test_one_that_cannot_start_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RunError, match="ended before it listened"):
        async with mock({"nonsense": 1}, Settings()):
            raise AssertionError("it does not listen")
    assert "nonsense" in capfd.readouterr().err


def test_what_is_written_as_toml_is_read_back_the_same() -> None:
    document = {
        "seed": 3,
        "text \x7f": 'a "b"\n\t\\ é',
        "on": True,
        "latency": {"first": {"median": 0.25, "sigma": 0.0}},
        "limit": [{"of": "requests", "most": 600, "seconds": 60}, {"of": "tokens", "most": 1e6}],
        "end": float("inf"),
        "empty": [],
    }
    assert tomllib.loads(toml(document)) == document
    with pytest.raises(TypeError, match="no value of TOML"):
        toml({"none": None})
