"""The command in this process, and servers on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from aiohttp import web
from anyio.from_thread import start_blocking_portal

from semprop.tools.__main__ import main

# Puts this directory on the path, so that every test of the command finds the module `commandline`.
sys.path.insert(0, str(Path(__file__).parent))
from commandline import AROUND, Answer, Command, Said, Serve


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """`semprop ARGUMENTS` in this process and an empty directory, with no key and no second tries."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEMPROP_DATA", raising=False)

    def run(*arguments: str, environment: dict[str, str] | None = None) -> Said:
        around = replace(AROUND, providers=replace(AROUND.providers, environment=environment or {}))
        capsys.readouterr()
        code = main(arguments, around)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    yield run
    structlog.reset_defaults()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve an answer to every request; gives the provider specification of a model behind it."""
    with start_blocking_portal() as portal:
        runners: list[web.AppRunner] = []

        async def start(answer: Answer) -> str:
            application = web.Application()
            application.router.add_route("*", "/{path:.*}", answer)
            runner = web.AppRunner(application)
            runners.append(runner)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            return f"openai:model@http://{host}:{port}/v1"

        yield lambda answer: portal.call(start, answer)
        for runner in runners:
            portal.call(runner.cleanup)
