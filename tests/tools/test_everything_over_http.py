"""Every method, gate and loss from the command line against `semprop endpoint`, in pairs: whatever the tables hold.

The losses are taken in turn, and the gates with them, shifted by one from method to method; so each method meets each
loss and each gate, and each loss each gate. Methods for numbers run on the task that their entry names.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from anyio.from_thread import start_blocking_portal
from commandline import FIXTURES, check_result

from semprop.engine.gates.catalogue import GATES
from semprop.engine.methods.catalogue import METHODS
from semprop.engine.named_losses import LOSSES
from semprop.tools.endpoint import Endpoint, Served, parse, serving

WORDED = [name for name, entry in METHODS.items() if entry.task not in ("regression", "calibration")]
"""Methods for graphs of texts."""

NUMERIC = [name for name in METHODS if name not in WORDED]

JUDGING_TEXT = [loss for loss in LOSSES if loss != "squared"]
"""Losses for answers in words; that of numbers is the loss of the numeric tasks."""

SMALL = ("--steps", "1", "--minibatch", "3", "--train", "3", "--gate-size", "3", "--test", "2")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Served]:
    """The mock endpoint, which answers as the simulated model does."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(Endpoint(parse("")))) as served:
        yield served


def pairs(method: str) -> list[tuple[str, str]]:
    """(loss, gate) for each run of a method."""
    gates, shift = list(GATES), WORDED.index(method)
    turns = max(len(JUDGING_TEXT), len(gates))
    return [(JUDGING_TEXT[turn % len(JUDGING_TEXT)], gates[(turn + shift) % len(gates)]) for turn in range(turns)]


def test_every_pair_of_method_gate_and_loss_is_met():
    met = [(method, loss, gate) for method in WORDED for loss, gate in pairs(method)]
    assert {(method, loss) for method, loss, _ in met} == {(m, loss) for m in WORDED for loss in JUDGING_TEXT}
    assert {(method, gate) for method, _, gate in met} == {(m, gate) for m in WORDED for gate in GATES}
    assert {(loss, gate) for _, loss, gate in met} == {(loss, gate) for loss in JUDGING_TEXT for gate in GATES}


@pytest.mark.parametrize("method", WORDED)
def test_a_method_runs_over_http_with_every_loss_and_every_gate(command, endpoint, method):
    for loss, gate in pairs(method):
        before = endpoint.endpoint.ledger.summary()["attempts"]
        task = f"{FIXTURES / 'losses.py'}:{loss}"
        provider = ("--forward", f"openai:mock@{endpoint.url}")
        said = command("optimize", task, *provider, "--method", method, "--gate", gate, *SMALL, "--json")
        assert said.code == 0, (method, loss, gate, said.err)
        check_result(said.document)
        document = said.document
        # A method may have a name of its own: clauses, clause-pool.
        assert document["status"] in ("done", "no_gain", "undecided"), (method, loss, gate)
        made = endpoint.endpoint.ledger.summary()["attempts"] - before
        assert made == document["telemetry"]["attempts"] > 0, (method, loss, gate)
        assert document["result"]["held_out"]["n"] == 2


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("method", NUMERIC)
def test_a_method_for_numbers_runs_on_its_task_under_every_gate(command, endpoint, method, gate):
    provider = ("--forward", f"openai:mock@{endpoint.url}")
    task = METHODS[method].task
    said = command("optimize", task, *provider, "--method", method, "--gate", gate, *SMALL, "--json")
    assert said.code == 0, (method, gate, said.err)
    check_result(said.document)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_shown_on_the_task_that_its_entry_names(command, method):
    said = command("optimize", METHODS[method].task, "--forward", "simulated:", "--method", method, *SMALL, "--json")
    assert said.code == 0, said.err
    assert said.document["result"]["held_out"]["n"] == 2
