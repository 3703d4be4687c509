"""The gate on the command line: every one from end to end, its settings, and the pool that its items come from."""

from __future__ import annotations

import pytest
from commandline import LOOKUP, Command, check_result

from semprop.engine.gates.catalogue import GATES
from semprop.tools.preparing import Order, order_of

RUN = ["optimize", LOOKUP, "--steps", "2", "--gate-size", "24"]


@pytest.mark.parametrize("name", GATES)
def test_every_gate_judges_a_run_from_end_to_end(command: Command, name: str) -> None:
    said = command(*RUN, "--gate", name, "--json")
    assert said.code == 0
    check_result(said.document)
    result = said.document["result"]
    assert result["gate"]["name"] == name
    told = [step["gate"] for step in result["steps"] if step["gate"] is not None]
    assert told
    assert all((gate["alpha"] is None) == (name in ("strict", "none")) for gate in told)


def test_settings_of_the_gate_reach_the_verdict(command: Command) -> None:
    flags = "--gate sequential --alpha 0.4 --beta 0.2 --delta 0.3 --spending each"
    result = command(*RUN, *flags.split(), "--json").document["result"]
    assert {step["gate"]["alpha"] for step in result["steps"] if step["gate"]} == {0.4}


def test_a_setting_that_the_gate_does_not_have_is_a_mistake(command: Command) -> None:
    said = command(*RUN, "--alpha", "0.1")
    assert said.code == 2
    assert "--alpha does not apply to the gate 'strict'" in said.err


def test_each_step_draws_its_gate_items_from_the_pool(command: Command) -> None:
    result = command(*RUN, "--gate-pool", "48", "--json").document["result"]
    assert (result["gate"]["items"], result["gate"]["pool"], result["gate"]["uses"]) == (24, 48, 1)
    assert not any("gate pool used" in note for note in result["notes"])


def test_a_pool_smaller_than_a_steps_items_is_a_mistake(command: Command) -> None:
    said = command(*RUN, "--gate-pool", "12")
    assert said.code == 2
    assert "--gate-pool 12" in said.err


def test_an_order_with_settings_of_a_gate_can_be_made_again() -> None:
    flags = {"task": "cities", "gate": "sequential", "alpha": 0.1, "spending": "squares", "gate_pool": 40}
    order = Order.of({**order_of(flags).recipe(), **flags})
    assert Order.of(order.recipe()) == order
