"""`semprop reproduce`, shortened, on the simulated model, from its arguments to its table."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import Command

DATA = Path(__file__).parent.parent / "bench" / "fixtures"
SHORT = ("--data", str(DATA), "--forward", "simulated:", "--steps", "1", "--test", "4")


def test_a_plan_that_costs_money_is_told_and_not_carried_out(command: Command) -> None:
    said = command("reproduce", "gsm8k", "--data", str(DATA), environment={"OPENAI_API_KEY": "k"})
    assert said.code == 2
    assert "it may take up to" in said.out
    assert "$" in said.out
    assert "show a gain of" in said.out
    assert "nothing was run: add --yes" in said.err
    assert not Path("semprop-runs").exists()


def test_the_experiment_runs_to_its_table_beside_the_published_figures(command: Command) -> None:
    said = command("reproduce", "gsm8k", *SHORT)
    assert said.code == 0, said.err
    for words in (
        "semantic gradients 93.2, TextGrad 78.2",
        "substituted: forward: simulated:",
        "departs: test is 4, published 1319",
        "departs: steps is 1, published 4",
        "faults of the published code, and what is done here:",
    ):
        assert words in said.out


def test_the_runs_are_recorded_like_any_other(command: Command) -> None:
    document = command("reproduce", "gsm8k", *SHORT, "--json").document
    assert document["status"] == "done"
    (run,) = document["result"]["runs"]
    assert command("show", run["run"]).code == 0
    assert document["result"]["plan"]["calls"] >= document["telemetry"]["spent"]["calls"]


def test_several_arms_and_seeds_make_one_table(command: Command) -> None:
    flags = ("--arm", "full,no-gradient,no-gate", "--seeds", "0,1", "--protocol", "published")
    said = command("reproduce", "gsm8k", *SHORT, *flags, "--json")
    assert said.code == 0, said.err
    table = said.document["result"]["table"]
    assert [row["arm"] for row in table] == ["full", "no-gradient", "no-gate"]
    assert [[cell["seed"] for cell in row["seeds"]] for row in table] == [[0, 1]] * 3
    assert any("not mimicked" in line for line in said.document["result"]["departures"])


def test_the_arm_with_one_parameter_is_a_run_for_each(command: Command) -> None:
    document = command("reproduce", "liar", *SHORT, "--arm", "one-parameter", "--json").document
    assert len(document["result"]["runs"]) == 6
    assert document["result"]["table"][0]["arm"] == "one-parameter: statement_instruction"


def test_tasks_of_bbh_are_pooled_and_stratified(command: Command) -> None:
    names = sorted(path.stem for path in (DATA / "bbh").glob("*.json"))[:2]
    said = command("reproduce", "bbh", *SHORT, "--task", ",".join(names))
    assert said.code == 0, said.err
    assert "stratified over 2 tasks" in said.out
    assert f"departs: {len(names)} of the 27 tasks" in said.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("mmlu",), "no experiment 'mmlu'"),
        (("gsm8k", "--arm", "magic"), "no arm 'magic'"),
        (("gsm8k", "--seeds", "one"), "give whole numbers"),
        (("bbh", "--task", "chess"), "no task 'chess'"),
    ],
)
def test_wrong_orders_are_refused(command: Command, arguments: tuple[str, ...], told: str) -> None:
    said = command("reproduce", *arguments, "--json")
    assert said.code == 2
    assert told in said.document["error"]["message"]
