"""What a run may take is said before it, and holds: for every method, gate and loss that the tables hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from commandline import FIXTURES, LOOKUP, Command

from semprop.bench.diagnosis.laboratory import Spent
from semprop.bench.projected import document, price, specification, study
from semprop.bench.projection import Range, projection
from semprop.engine.gates.catalogue import GATES
from semprop.engine.methods.catalogue import METHODS
from semprop.engine.named_losses import LOSSES

SMALL = ("--steps", "2", "--minibatch", "3", "--train", "4", "--gate-size", "4", "--test", "5", "--no-cache")
TABLES = """
[provider.cheap]
spec = "simulated:"
prices = { input = 1.0, output = 2.0 }
[provider.dear]
spec = "simulated:"
identity = "dear"
prices = { input = 10.0, output = 20.0 }
"""
FREE = "simulated:"


def range_of(document: Any) -> Range:
    """The range of a projection's document."""
    total = document["result"]["projection"]["total"]
    ends = {name: Spent(found["calls"], found["input"], found["output"], found["usd"]) for name, found in total.items()}
    return Range(**ends)


def spent_by(telemetry: Any) -> Spent:
    tokens, cost = telemetry["tokens"], telemetry["cost"]
    usd = 0.0 if not telemetry["calls"] else None if cost["unpriced_requests"] else cost["usd"]
    return Spent(sum(telemetry["calls"].values()), tokens["input"], tokens["output"], usd)


def check(command: Command, *arguments: str) -> None:
    planned = command("optimize", *arguments, "--dry-run", "--json")
    assert planned.code == 0, planned.err
    assert not Path("semprop-runs").exists() and not Path("run").exists(), "nothing is written"
    ran = command("optimize", *arguments, "--json", "--run", "run")
    assert ran.code == 0, ran.err
    spent, found = spent_by(ran.document["telemetry"]), range_of(planned.document)
    assert found.holds(spent), (arguments, spent, found)


@pytest.mark.parametrize("method", METHODS)
def test_what_a_run_of_a_method_takes_lies_within_its_projection(command: Command, method: str) -> None:
    Path("providers.toml").write_text(TABLES)
    priced = ("--providers", "providers.toml", "--forward", "cheap", "--backward", "dear", "--update", "dear")
    check(command, METHODS[method].task, *priced, "--method", method, *SMALL)


@pytest.mark.parametrize("gate", GATES)
def test_what_a_run_with_a_gate_takes_lies_within_its_projection(command: Command, gate: str) -> None:
    check(command, LOOKUP, "--forward", FREE, "--gate", gate, *SMALL)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "squared"])
def test_what_a_run_with_a_loss_takes_lies_within_its_projection(command: Command, loss: str) -> None:
    check(command, f"{FIXTURES / 'losses.py'}:{loss}", "--forward", FREE, *SMALL)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_projected_under_every_gate(method: str) -> None:
    for gate in GATES:
        whole = projection([specification(method, gate, 0)], price).whole
        assert whole.least.calls <= whole.usual.calls <= whole.most.calls


def test_a_study_compares_projections_with_what_was_taken() -> None:
    runs = anyio.run(study, ("semantic", "clauses"), ("strict",), (0, 1))
    found = document(runs)
    assert (found["n"], found["within"], found["outside"]) == (4, 1.0, [])
    errors = found["median_relative_error"]
    assert errors["calls"] < 4
    assert errors["usd"] is not None
    whole = runs[0].planned.whole
    outside = replace(runs[0], spent=Spent(whole.most.calls + 1, 1, 1, 0.0))
    assert not outside.holds
    assert document([outside])["outside"] == ["semantic, strict, seed 0"]


def test_an_unknown_price_is_unknown_and_never_zero(command: Command) -> None:
    provider = ("--forward", "openai:no-such-model@http://127.0.0.1:9/v1")
    said = command("optimize", LOOKUP, *provider, "--dry-run", "--json")
    total = said.document["result"]["projection"]["total"]
    assert {found["usd"] for found in total.values()} == {None}
    assert "unknown" in command("optimize", LOOKUP, *provider, "--dry-run").out


def test_the_screen_says_range_reasons_and_the_smallest_gain(command: Command) -> None:
    said = command("optimize", LOOKUP, "--forward", FREE, "--dry-run").out
    for words in ("forward", "backward", "update", "gate", "test", "a gate cancels what cannot win", "points or more"):
        assert words in said
    assert "nothing was asked and nothing was written" in said


def test_a_finished_run_says_what_was_projected_beside_what_it_took(command: Command) -> None:
    said = command("optimize", LOOKUP, "--forward", FREE, *SMALL, "--run", "run")
    (line,) = [line for line in said.out.splitlines() if line.startswith("projected: ")]
    taken = command("show", "run", "--json").document["telemetry"]
    assert f"taken: {sum(taken['calls'].values())} calls, {taken['tokens']['input']:,} in" in line
