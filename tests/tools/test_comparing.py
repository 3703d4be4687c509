"""`semprop bench methods`: the same dollars for all, a ledger that is the endpoint's, files, and what is refused."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
from aiohttp import web
from commandline import completion

from semprop.engine.methods.differences import COUNTERPARTS
from semprop.providers import Message, Request, Sampling
from semprop.providers.simulated.model import reply

SMALL = ("--train", "8", "--gate-size", "8", "--test", "12", "--steps", "1")


def test_methods_and_packages_stand_side_by_side_and_what_is_missing_has_no_number(command, tmp_path):
    files = [tmp_path / "table.json", tmp_path / "table.md"]
    said = command(
        *("bench", "methods", "lookup", "--budget-usd", "0.05", "--methods", "semantic,optoprime"),
        *("--peers", "textgrad", "--python", "/nowhere/python", "--seeds", "2", *SMALL, "--json"),
        *(word for file in files for word in ("--write", str(file))),
    )
    assert said.code == 0, said.err
    document = said.document
    assert document["simulated"] is True
    runs = document["runs"]
    assert [(run["name"], run["seed"]) for run in runs] == [
        (name, seed) for seed in (0, 1) for name in ("start", "semantic", "optoprime", "textgrad")
    ]
    assert {run["status"] for run in runs if run["name"] == "textgrad"} == {"not installed"}
    assert {run["score"] for run in runs if run["name"] == "textgrad"} == {None}
    for run in runs:
        if run["name"] in ("semantic", "optoprime"):
            assert run["score"] == 1.0 and run["n"] == 12
            assert 0 < run["usd"] <= 0.05 and run["calls"] > 8
            assert run["usd"] == pytest.approx(
                0.15e-6 * run["tokens"]["input"] + 0.6e-6 * run["tokens"]["output"], abs=1e-9
            )
    assert json.loads(files[0].read_bytes())["runs"] == runs
    table = files[1].read_text(encoding="utf-8")
    assert "| textgrad | 0 |  |  |  |  |  |  |  |  | not installed |" in table
    assert "simulated: rules answered in place of a language model" in table


def test_the_budget_is_hard_and_what_it_stopped_says_so(command):
    said = command(
        *("bench", "methods", "lookup", "--budget-usd", "0.0004", "--methods", "semantic", "--peers", ""),
        *SMALL,
        "--json",
    )
    assert said.code == 0, said.err
    (run,) = (run for run in said.document["runs"] if run["name"] == "semantic")
    assert run["status"] == "budget" and run["refused"] >= 1
    assert run["usd"] <= 0.0004
    assert run["score"] is not None, "what it had is scored all the same"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lookup",), "--budget-usd"),
        (("--budget-usd", "1"), "name a TASK"),
        (("lookup", "--budget-usd", "1", "--methods", "sgd"), "there is no method 'sgd'"),
        (("lookup", "--budget-usd", "1", "--peers", "jax"), "there is no package 'jax'"),
        (("lookup", "--budget-usd", "1", "--write", "a.txt"), "a.txt ends in none of .json, .md"),
        (("lookup", "--budget-usd", "1", "--forward", "openai:x@http://127.0.0.1:9/v1"), "no price is known"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_exit_code_2(command, arguments, words):
    said = command("bench", "methods", *arguments)
    assert said.code == 2, said
    assert words in said.err


def test_the_differences_of_the_baselines_are_listed(command):
    said = command("bench", "methods", "--differences", "--json")
    assert list(said.document["differences"]) == list(COUNTERPARTS)
    assert "OptoPrimeMulti" in command("bench", "methods", "--differences").out


# With the packages themselves ----------------------------------------------------------------------------------------

PYTHON = "SEMPROP_PEERS_PYTHON"
PEERS = ("gepa", "dspy-miprov2", "dspy-gepa", "dspy-copro", "textgrad")
RIGHT = "Give the value of the field primary."


def answered(asked: str) -> str | None:
    """What a model that knows the right instruction writes in the form that a package asks for; None: it is no such
    prompt."""
    if "IMPROVED_VARIABLE" in asked:
        present = re.findall(r"<VARIABLE> (.*?) </VARIABLE>", asked, re.DOTALL)
        is_key = "key-instruction" in asked
        return f"<IMPROVED_VARIABLE>{RIGHT if is_key or not present else present[0]}</IMPROVED_VARIABLE>"
    _, asks, outputs = asked.partition("Your output fields are:")
    if asks:
        names = re.findall(r"^\d+\. `(\w+)`", outputs.partition("All interactions")[0], re.MULTILINE)
        present = re.findall(r"\[\[ ## basic_instruction ## \]\]\n(.+)", outputs)
        better = present[-1] if present and "previous" not in present[-1] else RIGHT
        filled = {name: better if name.endswith("instruction") else "An answer." for name in names}
        if "JSON object" in outputs:
            return json.dumps(filled)
        return "\n\n".join([*(f"[[ ## {name} ## ]]\n{text}" for name, text in filled.items()), "[[ ## completed ## ]]"])
    if "```" in asked:
        return f"```\n{RIGHT}\n```"
    return None


async def model(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    messages = [(turn["role"], turn["content"]) for turn in body["messages"]]
    asked = "\n".join(text for _, text in messages)
    found = answered(asked)
    if found is None:
        turns = tuple(Message.of(role, text) for role, text in messages)
        found = reply(Request(turns, Sampling(max_tokens=body.get("max_tokens"))))
    return completion(found)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("peer", PEERS)
def test_a_package_finds_what_the_model_tells_it(command, serve, tmp_path, peer):
    python = os.environ.get(PYTHON, "")
    if not Path(python).is_file():
        pytest.skip(f"{PYTHON} does not name the interpreter of an environment with {', '.join(PEERS)}")
    providers = tmp_path / "providers.toml"
    prices = "prices = {input = 0.15, output = 0.6}\nkey_env = ''"
    providers.write_text(f'[provider.told]\nspec = "openai:told@{serve(model)}"\n{prices}\n', encoding="utf-8")
    said = command(
        *("bench", "methods", "lookup", "--budget-usd", "5", "--methods", "", "--peers", peer, "--python", python),
        *("--forward", "told", "--providers", str(providers), *SMALL, "--json"),
    )
    assert said.code == 0, said.err
    run = said.document["runs"][-1]
    assert (run["name"], run["status"], run["note"]) == (peer, "done", "")
    assert run["parameters"]["key-instruction"] == RIGHT
    assert run["score"] == 1.0
    assert sys.executable != python
