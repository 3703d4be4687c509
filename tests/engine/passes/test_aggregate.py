"""Aggregate: gradients of many examples → evidence for each parameter."""

from __future__ import annotations

from semprop.engine import Gradient, Graph, Model, Parameter, Provenance, change, keep, lost
from semprop.engine.gradients import Message
from semprop.engine.method import Collected
from semprop.engine.parameters import Kind, ParameterValue
from semprop.engine.passes.aggregate import aggregate

GRAPH = Graph(
    inputs=("question",),
    parameters=[Parameter("second", "2"), Parameter("frozen", "f", trainable=False), Parameter("first", "1")],
    nodes=[
        Model("a", "first", ("question",)),
        Model("b", "frozen", ("a",)),
        Model("answer", "second", ("b",)),
    ],
    output="answer",
)
SOURCE = Provenance("e")


def gradient(name: str, *messages: Message) -> Gradient:
    return Gradient(name, Kind.TEXT, messages)


def everything(parameter: Parameter, value: ParameterValue, gradients: tuple[Gradient, ...]) -> Collected:
    return Collected(parameter, value, gradients)


def test_each_parameter_gets_its_changes_in_example_order_and_declared_order() -> None:
    one, two = gradient("first", change("x", SOURCE)), gradient("first", change("y", SOURCE), keep(SOURCE))
    other = gradient("second", change("z", SOURCE))
    found = aggregate(GRAPH, GRAPH.initial, [{"first": one}, {"first": two, "second": other}], everything)
    assert list(found) == ["second", "first"]
    assert found["first"].gradients == (one, two)
    assert found["first"].value == "1"
    assert found["second"].gradients == (other,)


def test_evidence_that_is_all_keep_or_lost_is_a_zero_gradient() -> None:
    kept = {"first": gradient("first", keep(SOURCE)), "second": gradient("second", lost(SOURCE))}
    assert aggregate(GRAPH, GRAPH.initial, [kept, kept], everything) == {}


def test_keeps_and_losses_of_other_examples_are_no_evidence_beside_a_change() -> None:
    changed = gradient("first", change("x", SOURCE))
    examples = [{"first": gradient("first", keep(SOURCE))}, {"first": changed}, {}]
    assert aggregate(GRAPH, GRAPH.initial, examples, everything)["first"].gradients == (changed,)


def test_frozen_parameters_and_nodes_are_not_collected() -> None:
    wild = {name: gradient(name, change("x", SOURCE)) for name in ("frozen", "a", "question")}
    assert aggregate(GRAPH, GRAPH.initial, [wild], everything) == {}


def test_no_examples_are_no_evidence() -> None:
    assert aggregate(GRAPH, GRAPH.initial, [], everything) == {}
