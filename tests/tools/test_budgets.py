"""Budgets of a run: no cap is passed, what was paid for is kept, and a larger budget goes on with it."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from itertools import count
from pathlib import Path

import anyio
import orjson
import pytest
from aiohttp import web
from commandline import AROUND, LOOKUP, Command, Serve, check_result, completion, refusal
from recorded import in_rows

from semprop.engine import Run
from semprop.tools.resuming import resume
from semprop.tools.screen import Screen, screen

PRICED = """
[provider.priced]
spec = "{spec}"
key_env = ""
prices = {{ input = 1.0, output = 10.0 }}
sampling = {{ max_tokens = 50 }}
"""


class Counting:
    """An endpoint that counts what reaches it, and throttles every third attempt."""

    def __init__(self, throttles: bool = False) -> None:
        self.attempts = 0
        self._numbers, self._throttles = count(1), throttles

    async def answer(self, request: web.Request) -> web.Response:
        self.attempts += 1
        if self._throttles and next(self._numbers) % 3 == 0:
            return refusal(429, "slow down", "rate_limit_exceeded")
        return completion(f"<answer>{self.attempts}</answer>")


def providers(spec: str) -> None:
    Path("providers.toml").write_text(PRICED.format(spec=spec))


NAMED = ["--providers", "providers.toml", "--forward", "priced"]


@pytest.mark.parametrize(("flags", "calls"), [(["--max-calls", "20"], 20), (["--max-tokens", "2000"], None)])
def test_a_spent_budget_ends_the_run_with_what_it_knows(
    command: Command, serve: Serve, flags: list[str], calls: int | None
) -> None:
    endpoint = Counting()
    providers(serve(endpoint.answer))
    said = command("optimize", LOOKUP, *NAMED, *flags, "--run", "run", "--json")
    assert said.code == 4
    document = said.document
    check_result(document)
    assert document["status"] == "budget"
    assert document["error"]["type"] == "BudgetSpent"
    assert "semprop resume run" in document["error"]["message"]
    assert Run("run").status == "budget"
    tokens = document["telemetry"]["tokens"]
    assert calls is None or endpoint.attempts == calls
    assert tokens["input"] + tokens["output"] <= 2000 or calls is not None
    assert document["telemetry"]["attempts"] == endpoint.attempts, "what was sent came back and was kept"


def test_a_larger_budget_goes_on_and_pays_nothing_twice(command: Command, serve: Serve) -> None:
    whole, parts = Counting(), Counting()
    providers(serve(whole.answer))
    uninterrupted = command("optimize", LOOKUP, *NAMED, "--run", "whole", "--json").document
    providers(serve(parts.answer))
    assert command("optimize", LOOKUP, *NAMED, "--max-calls", "10", "--run", "run").code == 4
    assert parts.attempts == 10
    assert command("resume", "run").code == 4, "the budget is still the recorded one"
    assert parts.attempts == 10
    assert command("resume", "run", "--max-calls", "25").code == 4
    assert parts.attempts == 25
    said = command("resume", "run", "--max-calls", "10000", "--json")
    assert said.code == 0, said.err
    assert parts.attempts == whole.attempts
    assert said.document["telemetry"]["attempts"] == parts.attempts
    steps = [document["result"]["steps"] for document in (said.document, uninterrupted)]
    assert len(steps[0]) == len(steps[1])


def test_dollars_are_capped_where_the_price_is_known_and_refused_where_it_is_not(
    command: Command, serve: Serve
) -> None:
    endpoint = Counting()
    spec = serve(endpoint.answer)
    said = command("optimize", LOOKUP, "--forward", spec, "--max-usd", "0.01", "--json")
    assert said.code == 2
    assert "no price is known" in said.document["error"]["message"]
    providers(spec)
    said = command("optimize", LOOKUP, *NAMED, "--max-usd", "0.01", "--run", "run", "--json")
    assert said.code == 4
    assert 0 < said.document["telemetry"]["cost"]["usd"] <= 0.01
    assert not Path("nothing").exists()


def test_tokens_are_not_capped_for_replies_without_a_bound(command: Command, serve: Serve) -> None:
    endpoint = Counting()
    providers(serve(endpoint.answer))
    text = Path("providers.toml").read_text().replace("max_tokens = 50", "temperature = 0")
    Path("providers.toml").write_text(text)
    said = command("evaluate", LOOKUP, *NAMED, "--max-tokens", "5000", "--json")
    assert said.code in (0, 2, 4)
    if said.code == 2:
        assert "max_tokens" in said.document["error"]["message"]
        assert endpoint.attempts == 0


def test_an_evaluation_keeps_to_its_budget(command: Command, serve: Serve) -> None:
    endpoint = Counting(throttles=True)
    providers(serve(endpoint.answer))
    said = command("evaluate", LOOKUP, *NAMED, "--max-calls", "7", "--json")
    assert (said.code, said.document["status"]) == (4, "budget")
    assert endpoint.attempts == 7


def test_a_time_that_is_up_ends_the_run_before_it_is_passed(command: Command, serve: Serve) -> None:
    async def slow(request: web.Request) -> web.Response:
        await anyio.sleep(0.05)
        return completion("<answer>no</answer>")

    providers(serve(slow))
    arguments = [LOOKUP, *NAMED, "--in-flight", "1", "--max-seconds", "1.5", "--run", "run"]
    said = command("optimize", *arguments, "--json")
    assert said.code == 4
    assert said.document["telemetry"]["seconds"] <= 1.5
    assert "--max-seconds" in said.document["error"]["message"]
    again = command("resume", "run", "--json")
    assert again.code == 4
    assert again.document["telemetry"]["seconds"] <= 1.5 + 0.5


def test_a_budget_is_no_part_of_what_a_run_is(command: Command) -> None:
    one = command("optimize", LOOKUP, "--run", "one", "--json").document["result"]
    other = command("optimize", LOOKUP, "--run", "other", "--max-calls", "100000", "--json").document["result"]
    assert orjson.dumps(one) == orjson.dumps(other)


def test_what_another_process_spent_until_it_let_go_of_the_run_counts(command: Command, serve: Serve) -> None:
    endpoint = Counting()
    providers(serve(endpoint.answer))
    assert command("optimize", LOOKUP, *NAMED, "--max-calls", "10", "--run", "run").code == 4
    shown = screen(json=False)

    class Meanwhile(Screen):
        """When the run is announced, another process that still holds it has sent five more."""

        def say(self, line: str) -> None:
            if line.startswith("run:"):
                in_rows(Path("run"))
                with contextlib.closing(sqlite3.connect("run/journal.sqlite")) as journal, journal:
                    columns = "kind, key, position, role, body, at"
                    sent = f"SELECT {columns} FROM records WHERE kind = 'intent' ORDER BY id LIMIT 5"
                    journal.execute(f"INSERT INTO records ({columns}) {sent}")

    around = replace(AROUND, providers=replace(AROUND.providers, environment={}))
    ended = resume(
        Path("run"), {"max_calls": 15}, around, Meanwhile(shown.answers, shown.notes, shown.stdout, json=False)
    )
    assert ended.code == 4
    assert endpoint.attempts == 10, "ten were sent before, and five by the other process"


def test_a_prompt_cache_that_is_written_to_at_an_unknown_price_cannot_be_capped_in_dollars(command: Command) -> None:
    table = """
[provider.priced]
spec = "anthropic:m@http://127.0.0.1:9"
prompt_cache = true
sampling = { max_tokens = 9 }
"""
    Path("providers.toml").write_text(table + "prices = { input = 1.0, output = 1.0 }\n")
    said = command("optimize", LOOKUP, *NAMED, "--max-usd", "1", "--json")
    assert said.code == 2
    assert "give `cache_write`" in said.document["error"]["message"]
    Path("providers.toml").write_text(table + "prices = { input = 1.0, output = 1.0, cache_write = 1.25 }\n")
    assert "cache_write" not in command("optimize", LOOKUP, *NAMED, "--max-usd", "0", "--json").out
