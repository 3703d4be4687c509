"""Numeric methods from the command line, end to end."""

from __future__ import annotations

from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from commandline import Command, check_result

from semprop.bench.calibration import GAIN, OFFSET
from semprop.bench.regression import BIAS, WEIGHTS
from semprop.tools.endpoint import Endpoint, parse, serving

SMALL = ("--train", "24", "--gate-size", "8", "--test", "32")


@pytest.mark.parametrize(
    ("method", "options", "off"),
    [
        ("reverse-mode", (), 0.1),
        ("reverse-mode", ("--rule", "momentum", "--rate", "0.05"), 0.1),
        ("reverse-mode", ("--rule", "adam", "--rate", "0.2"), 0.1),
        ("numerical", (), 0.1),
        ("spsa", (), 0.1),
        ("spsa", ("--width", "0.01", "--samples", "2"), 0.1),
        ("spsa-joint", ("--steps", "100"), 0.3),
    ],
)
def test_regression_finds_the_weights_without_asking_anybody(
    command: Command, method: str, options: tuple[str, ...], off: float
) -> None:
    said = command("optimize", "regression", "--method", method, *options, *SMALL, "--json")
    assert (said.code, said.err) == (0, "")
    document = said.document
    check_result(document)
    assert (document["status"], document["simulated"]) == ("done", False)
    result = document["result"]
    assert result["method"] == method
    found = [*result["parameters"]["weights"]["after"]["array"], result["parameters"]["bias"]["after"]["value"]]
    assert max(abs(one - other) for one, other in zip(found, (*WEIGHTS, BIAS), strict=True)) <= off
    assert document["telemetry"]["calls"] == {}


def test_a_run_without_models_says_so_and_can_be_shown_and_exported(command: Command) -> None:
    said = command("optimize", "regression", "--steps", "2", *SMALL, "--run", "run")
    assert "providers: none, since no model is asked" in said.err
    assert "gate none" in said.err
    assert command("show", "run", "--why", "weights").code == 0
    assert "descent: derivative [" in command("show", "run", "--why", "weights").out
    assert command("export", "run", "out").code == 0
    again = command("evaluate", "regression", "--parameters", "run", "--test", "32", "--json")
    assert again.document["result"]["models"]["forward"] == "nobody"


def test_a_gate_can_be_asked_for(command: Command) -> None:
    said = command("optimize", "regression", "--steps", "3", "--gate", "strict", *SMALL, "--json")
    assert [step["gate"]["n"] for step in said.document["result"]["steps"]] == [8, 8, 8]


def test_a_numeric_method_on_words_is_refused_with_the_mend(command: Command) -> None:
    said = command("optimize", "lookup", "--method", "reverse-mode", "--json")
    assert said.code == 2
    assert "need a loss with" in said.document["error"]["message"]


@pytest.mark.parametrize("rate", ["0", "-1", "nan"])
def test_a_rate_that_is_none_is_refused(command: Command, rate: str) -> None:
    said = command("optimize", "regression", "--rate", rate, "--json")
    assert said.code == 2
    assert "give a number above 0" in said.document["error"]["message"]


def test_a_rate_is_refused_where_nothing_has_a_derivative(command: Command) -> None:
    said = command("optimize", "lookup", "--rate", "0.5", "--json")
    assert said.code == 2
    assert "--rate does not apply to the method 'semantic'" in said.document["error"]["message"]


# Text and numbers -----------------------------------------------------------------------------------------------------


def near(parameters: Any, off: float) -> bool:
    gain, offset = (parameters[name]["after"]["value"] for name in ("gain", "offset"))
    return abs(gain - GAIN) <= off and abs(offset - OFFSET) <= off


def test_an_instruction_and_two_numbers_are_trained_together_from_the_command_line(command: Command) -> None:
    said = command("optimize", "calibration", "--rate", "0.3", "--steps", "25", "--json")
    assert (said.code, said.err) == (0, "")
    document = said.document
    check_result(document)
    parameters = document["result"]["parameters"]
    assert document["status"] == "done"
    assert "primary" in parameters["read-instruction"]["after"]
    assert near(parameters, 0.01)


def test_over_an_endpoint_mixed_graphs_end_where_they_end_in_this_process(command: Command) -> None:
    flags = ("optimize", "calibration", "--rate", "0.3", "--steps", "4", "--test", "32", "--json")
    here = command(*flags).document["result"]
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(Endpoint(parse("")))) as served:
        said = command(*flags, "--forward", f"openai:mock@{served.url}", "--run", "there")
        assert said.code == 0, said.out
        there = said.document["result"]
        assert served.endpoint.ledger.summary()["attempts"] > 0
    assert there["parameters"] == here["parameters"]
    assert there["held_out"] == here["held_out"]
