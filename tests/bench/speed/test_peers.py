"""Peers: a process of its own makes the calls and tells what they cost; who cannot be installed is skipped."""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from semprop.bench.speed.cost import ENDPOINT
from semprop.bench.speed.mock import mock
from semprop.bench.speed.peers import DSPY, GEPA, OPENAI, TEXTGRAD, WARM, Peer, called, environment, last_line, texts
from semprop.bench.speed.rows import Settings, Skipped
from semprop.bench.speed.workload import same_body
from semprop.engine.errors import RunError

ASKING = """
import urllib.request
def call(system, user):
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    data = json.dumps({"model": "any", "messages": messages, "temperature": 0}).encode()
    with urllib.request.urlopen(url + "/chat/completions", data) as response:
        return json.load(response)["choices"][0]["message"]["content"]
"""

PEER = Peer("urllib", "aiohttp", ("nothing",), ASKING, "in threads")
FAST = {**ENDPOINT, "latency": {"first": 0.0}}
HERE = Path(sys.executable)


@pytest.mark.parametrize("peer", [PEER, replace(PEER, setup=ASKING.replace("def call", "async def call"))])
async def test_calls_are_counted_by_the_endpoint_and_the_first_ones_are_not_measured(peer: Peer) -> None:
    body = await same_body("any")
    async with mock(FAST, Settings()) as endpoint:
        spent, version = await called(peer, HERE, endpoint, body, 6, 3)
        attempts = await endpoint.ledger()
    assert spent.calls == 6 and spent.cpu > 0 and spent.wall > 0 and version
    assert len({entry.key for entry in attempts}) == len(attempts) == WARM + 6


async def test_a_peer_that_fails_or_does_not_ask_is_no_comparison() -> None:
    body = await same_body("any")
    async with mock(FAST, Settings()) as endpoint:
        with pytest.raises(RunError, match="could not be measured: ZeroDivisionError"):
            await called(replace(PEER, setup="1 / 0"), HERE, endpoint, body, 1, 1)
        with pytest.raises(RunError, match=f"made 0 calls of {WARM + 1}"):
            await called(replace(PEER, setup="def call(*text): return 'yes'"), HERE, endpoint, body, 1, 1)


async def test_the_texts_are_those_of_the_bare_loop() -> None:
    system, user = texts(await same_body("any"), 7)
    assert "Do the third step." in system and "case 7" in user


async def test_an_environment_is_made_once(tmp_path: Path) -> None:
    commands: list[Sequence[str]] = []

    async def run(command: Sequence[str]) -> str:
        commands.append(command)
        (tmp_path / "there").mkdir(exist_ok=True)
        return ""

    first = await environment(PEER, tmp_path / "there", run)
    assert first == await environment(PEER, tmp_path / "there", run)
    assert [command[-1] for command in commands] == [str(tmp_path / "there"), "nothing"]


async def test_who_cannot_be_installed_is_skipped_with_the_reason(tmp_path: Path) -> None:
    async def run(command: Sequence[str]) -> str:
        return "no matching distribution"

    with pytest.raises(Skipped, match="urllib cannot be installed: no matching distribution"):
        await environment(PEER, tmp_path / "there", run)


@pytest.mark.parametrize("peer", [OPENAI, DSPY, GEPA, TEXTGRAD])
def test_every_peers_program_is_python(peer: Peer) -> None:
    assert ast.parse(peer.program).body


def test_the_last_line_that_says_something_is_the_reason() -> None:
    assert last_line(b"Traceback\n  ValueError: no\n\n") == "ValueError: no"
    assert last_line(b"") == "it said nothing"
