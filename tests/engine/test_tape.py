"""The tape: records, failures that decide an example, activity, and values in words."""

from __future__ import annotations

import pytest

from semprop.engine import Demonstration, Demonstrations, Example, Failure, FailureKind, Function, Model, Number
from semprop.engine.nodes import Purpose
from semprop.engine.tape import Record, SlotValue, Tape, shown

MODEL = Failure(FailureKind.TRUNCATED, "cut")
PROVIDER = Failure(FailureKind.TRANSPORT, "gone")


def record(name: str, value: object, *sources: str) -> Record:
    slots = tuple(SlotValue(source, source, Purpose.INPUT, f"value of {source}") for source in sources)
    return Record(Model(name, "told", sources), slots, value)


def tape(*records: Record, output: str = "answer") -> Tape:
    return Tape(Example("e", {"question": "?"}), "hash", records, output)


def test_a_record_is_found_by_name_and_an_unrun_node_has_none() -> None:
    first = record("hint", "h", "question")
    assert tape(first).record("hint") is first
    assert tape(first).record("answer") is None
    assert first.name == "hint"


def test_the_answer_is_the_outputs_value() -> None:
    assert tape(record("hint", "h"), record("answer", "42", "hint")).answer == "42"


@pytest.mark.parametrize("records", [(), (record("answer", MODEL),)])
def test_an_output_that_failed_or_never_ran_is_no_answer(records: tuple[Record, ...]) -> None:
    assert tape(*records).answer is None


def test_an_example_without_failures_has_none() -> None:
    assert tape(record("answer", "42")).failure is None


def test_a_providers_failure_decides_over_a_models() -> None:
    assert tape(record("a", MODEL), record("b", PROVIDER)).failure is PROVIDER
    assert tape(record("b", PROVIDER), record("a", MODEL)).failure is PROVIDER


def test_of_model_failures_the_first_in_topological_order_decides() -> None:
    other = Failure(FailureKind.FILTER, "second")
    assert tape(record("a", "fine"), record("b", MODEL), record("c", other)).failure is MODEL


def test_activity_runs_down_from_what_is_trainable() -> None:
    records = (
        record("lookup", "v", "question"),
        record("hint", "v", "told_1", "question"),
        record("answer", "v", "told_2", "hint", "lookup"),
    )
    assert tape(*records).active(("told_1",)) == {"told_1", "hint", "answer"}
    assert tape(*records).active(("told_2",)) == {"told_2", "answer"}
    assert tape(*records).active(()) == frozenset()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("as it is ", "as it is "),
        (MODEL, "[no value: cut]"),
        (Number(0.25), "0.25"),
        (Demonstrations((Demonstration((("q", "1+1"),), "2"),)), "q: 1+1\n→ 2"),
        (True, "True"),
        (7, "7"),
        (1234567890123456789, "1234567890123456789"),
        (0.1 + 0.2, "0.3"),
        (3.0, "3"),
        (["a", 1], "['a', 1]"),
        (None, "None"),
    ],
)
def test_values_are_shown_as_people_would_write_them(value: object, words: str) -> None:
    assert shown(value) == words


def test_a_function_record_has_its_name_too() -> None:
    assert Record(Function("double", lambda x: x, ("x",)), (), 2).name == "double"
