"""Replies that runs share: a fork of a run, and the cache; nothing is paid twice, and a run needs neither later."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from commandline import LOOKUP, Command, Serve, completion

from semprop.tools import stores


class Counting:
    """An endpoint that counts what reaches it."""

    def __init__(self) -> None:
        self.attempts = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.attempts += 1
        return completion("<answer>it is unknown</answer>")


def test_a_fork_pays_only_for_what_differs_and_says_what_that_is(command: Command, serve: Serve) -> None:
    endpoint = Counting()
    spec = serve(endpoint.answer)
    first = command("optimize", LOOKUP, "--forward", spec, "--run", "run", "--steps", "1", "--json").document
    paid = endpoint.attempts
    said = command("resume", "run", "--fork", "fork", "--steps", "2")
    assert said.code == 0, said.err
    assert "a fork of run: steps: 1 in the journal, now 2" in said.err
    more = endpoint.attempts - paid
    assert more < paid / 2
    endpoint.attempts = 0
    whole = command("optimize", LOOKUP, "--forward", spec, "--run", "whole", "--steps", "2", "--json").document
    assert endpoint.attempts == paid + more, "what was not asked before was paid, and nothing else"
    forked = command("resume", "fork", "--json").document
    assert forked["result"]["parameters"] == whole["result"]["parameters"]
    assert command("resume", "run", "--json").document == first, "the first run is as it was"
    shutil.rmtree("run")
    assert command("show", "fork").code == 0


def test_a_refused_change_names_the_fork_that_takes_it(command: Command) -> None:
    command("optimize", LOOKUP, "--run", "run", "--steps", "1")
    said = command("optimize", LOOKUP, "--run", "run", "--steps", "2", "--json")
    assert said.code == 2
    assert "--fork NEWDIR" in said.document["error"]["message"]
    assert command("optimize", LOOKUP, "--run", "run", "--steps", "2", "--fork", "new", "--json").code == 0
    assert command("optimize", LOOKUP, "--steps", "2", "--fork", "other", "--json").code == 2


def test_a_second_run_is_answered_from_the_cache(command: Command, serve: Serve) -> None:
    endpoint = Counting()
    flags = [LOOKUP, "--forward", serve(endpoint.answer), "--cache", "cache", "--json"]
    first = command("optimize", *flags, "--run", "one").document
    paid = endpoint.attempts
    second = command("optimize", *flags, "--run", "two").document
    assert endpoint.attempts == paid
    assert orjson.dumps(first["result"]) == orjson.dumps(second["result"])
    assert second["telemetry"]["attempts"] == 0
    assert second["telemetry"]["cost"]["usd"] is None
    shutil.rmtree("cache")
    assert command("resume", "two", "--json").document == second, "a run needs no cache later"
    assert command("evaluate", *flags).code == 0
    assert endpoint.attempts > paid


def test_what_this_machine_answers_is_shared_only_if_a_cache_is_named(
    command: Command, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "default_cache", lambda: tmp_path / "own")
    endpoint = Counting()
    flags = [LOOKUP, "--forward", serve(endpoint.answer), "--test", "4"]
    assert command("evaluate", *flags).code == 0
    once = endpoint.attempts
    assert command("evaluate", *flags).code == 0
    assert endpoint.attempts == 2 * once
    assert not (tmp_path / "own").exists()


def test_the_cache_is_looked_after(command: Command, serve: Serve) -> None:
    flags = ["--cache", "cache", "--json"]
    assert command("cache", "stats", *flags).code == 2
    endpoint = Counting()
    command("evaluate", LOOKUP, "--forward", serve(endpoint.answer), "--cache", "cache", "--test", "4")
    found = command("cache", "stats", *flags).document
    count = endpoint.attempts
    assert found["replies"] == count
    assert found["bytes"] > 0
    assert f"{count} replies" in command("cache", "stats", "--cache", "cache").out
    assert command("cache", "verify", *flags).document["damaged"] == 0
    assert command("cache", "prune", *flags).code == 2
    assert command("cache", "prune", "--days", "1", *flags).document["dropped"] == 0
    assert command("cache", "prune", "--size", "0", *flags).document == {
        "schema": 1,
        "status": "done",
        "error": None,
        "cache": "cache",
        "dropped": count,
        "replies": 0,
        "bytes": 0,
    }
