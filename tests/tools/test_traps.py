"""Worlds in which a search falls into a trap, from the command line: the report of a plain run names the trap."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aiohttp import web
from commandline import FIXTURES, Command, Serve, completion

TRAPS = FIXTURES / "traps.py"


async def answer(request: web.Request) -> web.StreamResponse:
    """A model that knows the answer but rambles until told to use one word; that says Yes to all when told to be
    generous; and that no other instruction changes."""
    body = await request.json()
    told = "\n".join(message["content"] for message in body["messages"])
    number = int(re.findall(r"case (\d+)", told)[-1])
    right = "No" if number % 5 == 0 else "Yes"
    if "Is it so?" in told:
        return completion(right if "one word" in told else f"I have looked at it. The answer is {right}, all in all.")
    if "generous" in told:
        return completion("Yes")
    return completion(right if number // 10 % 2 == 0 else {"Yes": "No", "No": "Yes"}[right])


@pytest.fixture
def model(serve: Serve) -> str:
    return serve(answer)


def findings(command: Command, model: str, task: str, *flags: str) -> dict[str, str]:
    said = command("optimize", f"{TRAPS}:{task}", "--forward", model, "--json", *flags)
    assert said.code == 0, said.err
    return {found["trap"]: found["words"] for found in said.document["result"]["held_out"]["findings"]}


def test_a_prompt_that_learned_only_the_format_is_named(command: Command, model: str) -> None:
    found = findings(command, model, "only_format")
    assert list(found) == ["format"]
    assert found["format"].startswith("the gain is format: +100.0 points strictly, +0.0 points read leniently")


def test_a_prompt_that_learned_the_class_prior_is_named(command: Command, model: str) -> None:
    found = findings(command, model, "prior")
    assert list(found) == ["always says", "class prior"]
    assert found["always says"].startswith('always says "Yes": 100 % of the answers, and 80 % of the right ones')
    assert "balanced accuracy" in found["class prior"]


def test_a_world_where_nothing_helps_is_named(command: Command, model: str) -> None:
    assert findings(command, model, "nothing")["nothing helped"].startswith("nothing helped: none of")


def test_a_change_that_nobody_measured_and_that_does_not_help_is_named(command: Command, model: str) -> None:
    found = findings(command, model, "nothing", "--gate", "none")
    assert found["nothing helped"].startswith("nothing helped that 60 held-out examples can show")


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("only_format", "finding: the gain is format"),
        ("prior", 'finding: always says "Yes"'),
        ("nothing", "finding: nothing helped"),
    ],
)
def test_the_report_says_it_in_words(command: Command, model: str, task: str, words: str) -> None:
    said = command("optimize", f"{TRAPS}:{task}", "--forward", model)
    assert said.code == 0, said.err
    assert words in said.out
    assert "balanced accuracy:" in said.out
    assert "tokens an answer: 12 before, 12 after" in said.out


def test_a_second_run_on_the_same_test_says_that_it_was_reused(command: Command, model: str) -> None:
    first = command("optimize", f"{TRAPS}:prior", "--forward", model, "--run", "runs/one")
    second = command("optimize", f"{TRAPS}:prior", "--forward", model, "--run", "runs/two")
    assert "the test was opened once, as far as this directory of runs can tell" in first.out
    assert "test reused 1 times: 60 of its 60 examples were opened before" in second.out
    shown = command("show", str(Path("runs/two")))
    assert "test reused 1 times" in shown.out


def test_no_report_gives_the_mean_at_the_stop(command: Command, model: str) -> None:
    said = command("optimize", f"{TRAPS}:only_format", "--forward", model)
    lines = [line for line in (said.out + said.err).splitlines() if line.startswith("step ")]
    assert any("gate n = " in line for line in lines)
    assert not any("%" in line for line in lines)


def test_an_evaluation_opens_the_test_too(command: Command, model: str) -> None:
    command("optimize", f"{TRAPS}:prior", "--forward", model, "--run", "runs/one")
    first = command("evaluate", f"{TRAPS}:prior", "--forward", model, "--parameters", "runs/one")
    assert "test reused 1 times" in first.out
    again = command("evaluate", f"{TRAPS}:prior", "--forward", model, "--parameters", "runs/one", "--json")
    assert again.document["telemetry"]["test"] == {"reused": 2, "items": 60, "n": 60}


def test_without_a_test_a_gain_is_approximate_where_nothing_was_cancelled_and_none_elsewhere(
    command: Command, model: str
) -> None:
    task = ("optimize", f"{TRAPS}:only_format", "--forward", model, "--test", "0")
    whole = command(*task, "--whole-gate", "--run", "whole")
    assert "approximate: +100.0 points" in whole.out
    assert "no test split: the gain is approximate" in whole.out
    assert "no test split: nothing may be claimed" in command(*task).out
