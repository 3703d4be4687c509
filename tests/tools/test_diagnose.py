"""`semprop diagnose`, from its arguments to its exit code: simulated worlds, and servers that fall into traps."""

from __future__ import annotations

import pytest
from commandline import FIXTURES, LOOKUP, Command, Serve, refusal
from test_traps import TRAPS, answer

PARTS = ["start", "format", "classes", "gain", "headroom", "coupling"]


@pytest.fixture
def model(serve: Serve) -> str:
    return serve(answer)


def names(document: dict) -> list[str]:
    return [part["name"] for part in document["result"]["parts"]]


def words(document: dict, name: str) -> str:
    return "\n".join(next(part["words"] for part in document["result"]["parts"] if part["name"] == name))


def test_the_cheap_parts_are_carried_out_in_order_and_the_plans_are_kept(command: Command) -> None:
    said = command("diagnose", LOOKUP, "--json", "--items", "12")
    assert said.code == 0, said.err
    document = said.document
    assert names(document) == PARTS
    for part in document["result"]["parts"]:
        assert part["skipped"] is None
        assert part["spent"]["calls"] <= part["planned"]["calls"]
    assert document["result"]["verdict"]["worth"] == "worth optimizing"
    assert document["simulated"] is True


def test_every_plan_is_said_before_its_part_and_the_test_stays_closed(command: Command) -> None:
    said = command("diagnose", LOOKUP, "--items", "8", "--parts", "format,gain")
    assert "start: up to 24 calls, about" in said.err
    assert "gain: up to" in said.err
    assert "the test stays closed" in said.err
    assert "verdict: unclear" in said.out


def test_two_diagnoses_of_one_seed_are_the_same(command: Command) -> None:
    one, other = (command("diagnose", LOOKUP, "--json", "--items", "12").document["result"] for _ in range(2))
    assert one == other


def test_the_controls_tell_a_gain_of_gradients_from_one_of_search(command: Command) -> None:
    said = command("diagnose", LOOKUP, "--json", "--items", "8", "--parts", "labels,blind,random", "--gate-size", "80")
    assert said.code == 0, said.err
    controls = "\n".join(said.document["result"]["controls"])
    assert "the method: +100.0 points (n = 40, reliable gain)" in controls
    assert "wrong labels in the feedback: +0.0 points" in controls
    assert "no control does as well" in controls
    assert said.document["telemetry"]["calls"]["held out of the gate"] > 0
    assert "test" not in said.document["telemetry"]["calls"]


def test_a_part_beyond_the_limits_is_left_out_and_says_so(command: Command) -> None:
    document = command("diagnose", LOOKUP, "--json", "--items", "8", "--max-calls", "60").document
    skipped = {part["name"]: part["skipped"] for part in document["result"]["parts"] if part["skipped"]}
    assert "headroom" in skipped
    assert "are left of --max-calls" in skipped["headroom"]
    assert sum(part["spent"]["calls"] for part in document["result"]["parts"]) <= 60


def test_a_limit_in_dollars_needs_a_known_price(command: Command, model: str) -> None:
    document = command("diagnose", f"{TRAPS}:prior", "--forward", model, "--json", "--max-usd", "1").document
    assert "price is unknown" in document["result"]["parts"][0]["skipped"]
    assert document["telemetry"]["calls"] == {}


def test_the_format_gap_is_named_and_fixed_first(command: Command, model: str) -> None:
    said = command("diagnose", f"{TRAPS}:only_format", "--forward", model, "--json")
    assert said.code == 0, said.err
    assert "read leniently 100.0 %, strictly 0.0 %" in words(said.document, "format")
    assert "there is a format gap" in words(said.document, "format")
    assert said.document["result"]["verdict"]["advice"][0].startswith("fix the format first")


def test_a_graph_of_one_instruction_has_no_coupling(command: Command, model: str) -> None:
    document = command("diagnose", f"{TRAPS}:nothing", "--forward", model, "--json").document
    assert "nothing to interact" in words(document, "coupling")


def test_a_search_over_clauses_is_its_own_blind_control(command: Command, model: str) -> None:
    document = command("diagnose", f"{TRAPS}:only_format", "--forward", model, "--json", "--parts", "all").document
    assert "it is blind already" in words(document, "blind")
    # The pool is searched whatever the labels say: the gain comes from search.
    assert any("the gain comes from search, not from gradients" in line for line in document["result"]["controls"])


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--parts", "luck"), "there is no part 'luck'"),
        (("--delta", "5"), "delta is 5"),
        (("--train", "1", "--gate-size", "0"), "the gate split is empty"),
    ],
)
def test_wrong_orders_are_refused(command: Command, flags: tuple[str, ...], told: str) -> None:
    said = command("diagnose", LOOKUP, "--json", *flags)
    assert said.code == 2
    assert told in said.document["error"]["message"]


def test_a_model_that_never_answers_is_a_providers_fault(command: Command, serve: Serve) -> None:
    async def broken(request: object) -> object:
        return refusal(500, "down")

    said = command("diagnose", f"{FIXTURES / 'traps.py'}:prior", "--forward", serve(broken), "--json")
    assert said.code == 3
