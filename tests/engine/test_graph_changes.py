"""Graphs made of graphs."""

import pytest
import worlds

from semprop.engine import Demonstration, Demonstrations, Function, Graph, Kind, Model, Parameter, SpecificationError
from semprop.engine.graph_changes import demonstrations_only, only, unchanged


def test_only_one_parameter_stays_trainable_and_nothing_else_changes():
    graph = worlds.graph(hints=2)
    found = only(graph, "w2")
    assert found.trainable == ("w2",)
    assert (found.initial, found.nodes, found.output) == (graph.initial, graph.nodes, graph.output)
    assert unchanged(graph) is graph


def test_a_name_that_cannot_be_trained_is_refused_with_those_that_can():
    graph = only(worlds.graph(hints=1), "s")
    with pytest.raises(SpecificationError, match="'w1' is frozen; trainable are: s"):
        only(graph, "w1")
    with pytest.raises(SpecificationError, match="'x' is no parameter"):
        only(graph, "x")


def test_demonstrations_are_added_to_every_model_step_and_texts_are_frozen():
    found = demonstrations_only(worlds.graph(hints=1))
    assert found.trainable == ("hint_1-demonstrations", "answer-demonstrations")
    assert found.initial["answer-demonstrations"] == Demonstrations()
    assert found.node("answer").demonstrations == "answer-demonstrations"


def test_demonstrations_that_are_there_are_kept_and_none_are_added():
    held = Demonstrations((Demonstration((("question", "1"),), "1"),))
    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("s", "Solve."), Parameter("d", held)],
        nodes=[Model("answer", "s", ("question",), demonstrations="d")],
        output="answer",
    )
    found = demonstrations_only(graph)
    assert found.trainable == ("d",)
    assert found.nodes == graph.nodes


def test_a_graph_that_can_show_no_demonstrations_is_refused_with_the_mend():
    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("t", "x")],
        nodes=[Function("f", lambda question, t: question, ("question", "t"))],
        output="f",
    )
    assert graph.parameter("t").kind is Kind.TEXT
    with pytest.raises(SpecificationError, match="name it in a Model's `demonstrations`"):
        demonstrations_only(graph)
