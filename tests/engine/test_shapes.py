"""Ready shapes give the graphs that one would write out by hand."""

import pytest

from semprop.engine.errors import GraphError
from semprop.engine.graph import Graph
from semprop.engine.nodes import Model, ReplyFormat
from semprop.engine.parameters import Parameter
from semprop.engine.shapes import Skips, Style, chain, fan, layered
from semprop.providers.base import Sampling


def edges(graph):
    return {node.name: [slot.source for slot in node.slots[1:]] for node in graph.nodes}


def test_a_chain_reads_the_question_once():
    graph = chain(["a", "b", "c"])
    assert edges(graph) == {"step_1": ["question"], "step_2": ["step_1"], "answer": ["step_2"]}
    assert graph.initial["step_2_instruction"] == "b"
    assert graph.output == "answer"


def test_a_chain_of_one_is_a_single_call():
    assert edges(chain(["only"])) == {"answer": ["question"]}


def test_a_chain_can_show_the_question_to_every_node():
    assert edges(chain(["a", "b"], skips=Skips.INPUTS))["answer"] == ["question", "step_1"]


def test_layers_read_the_whole_layer_before_them():
    graph = layered([["a", "b"], ["c", "d"], ["e"]])
    assert edges(graph)["layer_2_node_2"] == ["layer_1_node_1", "layer_1_node_2"]
    assert edges(graph)["answer"] == ["layer_2_node_1", "layer_2_node_2"]
    assert graph.levels["answer"] == 2


def test_layers_can_skip_to_the_question_or_to_all_earlier_layers():
    layers = [["a"], ["b"], ["c"]]
    assert edges(layered(layers, skips=Skips.INPUTS))["answer"] == ["question", "layer_2_node_1"]
    assert edges(layered(layers, skips=Skips.LAYERS))["answer"] == ["question", "layer_1_node_1", "layer_2_node_1"]


def test_a_fan_shows_the_question_to_branches_and_join():
    graph = fan({"hint_1": "h", "hint_2": "h"}, "j")
    assert graph == Graph(
        inputs=("question",),
        parameters=(
            Parameter("hint_1_instruction", "h", purpose="the instruction of hint_1"),
            Parameter("hint_2_instruction", "h", purpose="the instruction of hint_2"),
            Parameter("answer_instruction", "j", purpose="the instruction of answer"),
        ),
        nodes=(
            Model("hint_1", "hint_1_instruction", ("question",)),
            Model("hint_2", "hint_2_instruction", ("question",)),
            Model("answer", "answer_instruction", ("question", "hint_1", "hint_2")),
        ),
        output="answer",
    )


def test_a_fan_can_hide_the_question_from_the_join():
    graph = fan(["a", "b"], "j", skips=Skips.NONE)
    assert edges(graph)["answer"] == ["branch_1", "branch_2"]


def test_the_style_reaches_every_node_and_inputs_may_be_several():
    style = Style(sampling=Sampling(temperature=0.7), reply=ReplyFormat.TAGGED, role="judge")
    graph = fan(["a"], "j", inputs=("story", "question"), style=style)
    assert edges(graph)["branch_1"] == ["story", "question"]
    assert {(node.sampling.temperature, node.reply, node.role) for node in graph.nodes} == {
        (0.7, ReplyFormat.TAGGED, "judge")
    }


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: chain([]), "layer without instructions"),
        (lambda: chain("ab"), r"chain: 'ab' is one text where a sequence is wanted; write \[text\]"),
        (lambda: layered([]), "the last layer has 0 instructions; give it one"),
        (lambda: layered([["a"], ["b", "c"]]), "the last layer has 2 instructions; give it one"),
        (lambda: layered([[], ["b"]]), "layer without instructions"),
        (lambda: layered(["ab", ["c"]]), "'ab' is one text"),
        (lambda: fan([], "j"), "layer without instructions"),
        (lambda: fan({"answer": "a"}, "j"), "the name 'answer_instruction' stands twice"),
        (lambda: fan({"question": "a"}, "j"), "the name 'question' stands twice"),
    ],
)
def test_a_shape_that_cannot_be_built_says_why(build, message):
    with pytest.raises(GraphError, match=message):
        build()


def test_a_chain_of_ten_thousand_steps_is_built_without_recursion():
    assert chain(["x"] * 10_000).levels["answer"] == 9_999
