"""Signals, against processes of their own: in order the first time, at once the second time, a result in any case."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from commandline import FIXTURES, LOOKUP, check_frame, check_result

from semprop.engine import Run, load

STUCK = str(FIXTURES / "stuck.py")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


async def start(directory: Path, *arguments: str) -> Process:
    """`semprop ARGUMENTS` in a directory."""
    command = [sys.executable, "-m", "semprop.tools", *arguments]
    return await asyncio.create_subprocess_exec(*command, cwd=directory, stdout=PIPE, stderr=PIPE)


async def until(process: Process, words: bytes) -> None:
    """Wait for a line on stderr that holds these words."""
    assert process.stderr is not None
    told = []
    while line := await process.stderr.readline():
        told.append(line)
        if words in line:
            return
    raise AssertionError(f"the process ended without saying {words!r}: {b''.join(told)!r}")


async def ended(process: Process) -> tuple[int | None, Any, str]:
    """Exit code, document, and the rest of stderr."""
    out, err = await process.communicate()
    return process.returncode, orjson.loads(out) if out else None, err.decode()


@pytest.fixture
async def silent_endpoint() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """An endpoint that takes requests and never answers: its specification, and an event set by the first request."""
    asked, release = asyncio.Event(), asyncio.Event()

    async def never(request: web.Request) -> web.StreamResponse:
        asked.set()
        await release.wait()
        return web.Response(status=503)

    application = web.Application()
    application.router.add_post("/{path:.*}", never)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"openai:model@http://127.0.0.1:{runner.addresses[0][1]}/v1", asked
    release.set()
    await runner.cleanup()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_saves_what_was_accepted_and_names_it(tmp_path: Path, number: int, code: int) -> None:
    process = await start(tmp_path, "optimize", STUCK, "--run", "run", "--json")
    await until(process, b"waiting")
    process.send_signal(number)
    returned, document, err = await ended(process)
    assert returned == code, err
    check_result(document)
    assert document["status"] == "interrupted"
    assert document["error"]["exit_code"] == code
    assert "semprop export run DIR" in document["error"]["message"]
    assert "Traceback" not in err
    better = document["result"]["parameters"]["key-instruction"]["after"]
    assert "primary" in better
    assert document["result"]["held_out"] is None
    assert load(tmp_path / "run").parameters["key-instruction"] == better
    assert Run(tmp_path / "run").meta("status") == "interrupted"


async def test_an_interrupted_run_tells_people_how_far_it_came(tmp_path: Path) -> None:
    process = await start(tmp_path, "optimize", STUCK, "--run", "run")
    await until(process, b"waiting")
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert process.returncode == 130
    assert b"interrupted" in out
    assert b"accept" in out
    assert b"stopped by SIGINT" in err
    assert b"semprop show run" in err


async def test_a_signal_cancels_requests_that_are_under_way(
    tmp_path: Path, silent_endpoint: tuple[str, asyncio.Event]
) -> None:
    spec, asked = silent_endpoint
    process = await start(tmp_path, "optimize", LOOKUP, "--forward", spec, "--run", "run", "--json")
    await asked.wait()
    process.send_signal(signal.SIGINT)
    returned, document, err = await ended(process)
    assert returned == 130, err
    check_result(document)
    assert (document["status"], document["run"]) == ("interrupted", "run")
    assert Run(tmp_path / "run").meta("status") == "interrupted"


async def test_an_evaluation_is_stopped_in_the_same_way(
    tmp_path: Path, silent_endpoint: tuple[str, asyncio.Event]
) -> None:
    spec, asked = silent_endpoint
    process = await start(tmp_path, "evaluate", LOOKUP, "--forward", spec, "--json")
    await asked.wait()
    process.send_signal(signal.SIGTERM)
    returned, document, err = await ended(process)
    assert returned == 143, err
    check_frame(document)
    assert document["status"] == "interrupted"
    assert not os.listdir(tmp_path)


async def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    process = await start(tmp_path, "optimize", f"{STUCK}:deaf", "--run", "run", "--json")
    await until(process, b"waiting")
    process.send_signal(signal.SIGINT)
    await until(process, b"stopping")
    process.send_signal(signal.SIGINT)
    returned, document, _ = await ended(process)
    assert (returned, document) == (130, None)
    assert "primary" in str(load(tmp_path / "run").parameters["key-instruction"])


async def test_a_signal_before_the_run_begins_leaves_nothing(tmp_path: Path) -> None:
    text = (
        "import sys, threading\nfrom semprop.bench.worlds.lookup import LOOKUP\n"
        "sys.stderr.write('waiting\\n')\nsys.stderr.flush()\nthreading.Event().wait()\n"
    )
    (tmp_path / "slow.py").write_text(text)
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = await start(tmp_path, "optimize", "slow.py:LOOKUP", "--run", "run", "--json")
        await until(process, b"waiting")
        process.send_signal(number)
        returned, document, err = await ended(process)
        assert returned == code, err
        check_frame(document)
        assert document["error"]["exit_code"] == code
        assert not (tmp_path / "run").exists()
