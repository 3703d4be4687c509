"""A graph survives JSON whole, and nothing of a file is trusted, imported or run."""

import math
import re
from dataclasses import fields

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semprop.engine.errors import GraphError
from semprop.engine.graph import Graph
from semprop.engine.graph_json import Differentiable, from_json, mermaid, to_json
from semprop.engine.nodes import Function, Model, Placement, ReplyFormat, Truncation
from semprop.engine.parameters import Demonstration, Demonstrations, Kind, Number, Parameter
from semprop.engine.shapes import chain, fan
from semprop.providers.base import Sampling


def tool(**values):
    """Joins its arguments."""
    return " ".join(map(str, values.values()))


def tool_backward(inputs, output, gradient):
    return dict.fromkeys(inputs)


def whole():
    """A graph in which every field of every node and parameter differs from its default."""
    return Graph(
        inputs=("story", "question"),
        parameters=(
            Parameter("ask", "Answer.\n“Now”", trainable=False, purpose="what to do", max_bytes=99),
            Parameter("shots", Demonstrations((Demonstration((("question", "1+1"),), "2", "row:3"),))),
            Parameter("heat", Number(0.25, 0.0, 2.0)),
            Parameter("nucleus", Number(0.5, -math.inf, 1.0)),
        ),
        nodes=(
            Function(
                "lookup",
                tool,
                {"b": "question", "a": "story"},
                kind=Kind.OPAQUE,
                pure=True,
                blocking=True,
                version="7",
            ),
            Model(
                "think",
                "ask",
                {"second": "question", "first": "lookup", "again": "lookup"},
                demonstrations="shots",
                numbers={"top_p": "nucleus", "temperature": "heat"},
                sampling=Sampling(0.5, 0.9, 64, 11, ("END", "\n"), 3),
                reply=ReplyFormat.TAGGED,
                placement=Placement.USER,
                truncation=Truncation.KEEP,
                role="judge",
                choices=("Yes", "No"),
            ),
            Function("out", tool, ("think",), backward=tool_backward),
        ),
        output="out",
    )


FUNCTIONS = {"lookup": tool, "out": Differentiable(tool, tool_backward)}


def test_every_field_of_every_node_survives_and_none_stood_at_its_default():
    graph = whole()
    again = from_json(to_json(graph), FUNCTIONS)
    assert again == graph
    assert [node.slots for node in again.nodes] == [node.slots for node in graph.nodes]
    assert again.initial.hash == graph.initial.hash
    for node, plain in zip(graph.nodes[:2], (Function("lookup", tool, ()), Model("think", "ask", ())), strict=True):
        same = [field.name for field in fields(node) if getattr(node, field.name) == getattr(plain, field.name)]
        assert set(same) <= {"name", "instruction", "call", "backward"}


names = st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True)
samplings = st.builds(
    Sampling,
    st.one_of(st.none(), st.floats(0, 2)),
    st.one_of(st.none(), st.floats(0, 1)),
    st.one_of(st.none(), st.integers(1, 9999)),
    st.one_of(st.none(), st.integers(0, 9999)),
    st.lists(st.text(max_size=3), max_size=2).map(tuple),
    st.one_of(st.none(), st.integers(0, 20)),
)


@st.composite
def graphs(draw):
    node_names = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    variables, nodes = ["IN"], []
    slot_names = st.lists(st.from_regex(r"[a-z0-9_]{1,4}", fullmatch=True), min_size=1, max_size=3, unique=True)
    for name in node_names:
        slots = {f"s{slot}": draw(st.sampled_from(variables)) for slot in draw(slot_names)}
        if draw(st.booleans()):
            nodes.append(
                Model(
                    name,
                    f"P{name}",
                    slots,
                    sampling=draw(samplings),
                    reply=draw(st.sampled_from(ReplyFormat)),
                    placement=draw(st.sampled_from(Placement)),
                    truncation=draw(st.sampled_from(Truncation)),
                    role=draw(st.text(max_size=4)),
                    choices=draw(st.lists(st.text(max_size=3), max_size=2).map(tuple)),
                )
            )
        else:
            backward = draw(st.sampled_from([None, tool_backward]))
            nodes.append(
                Function(
                    name,
                    tool,
                    slots,
                    kind=draw(st.sampled_from([Kind.TEXT, Kind.NUMBER])),
                    pure=draw(st.booleans()),
                    blocking=draw(st.booleans()),
                    version=draw(st.text(max_size=3)),
                    backward=backward,
                )
            )
        variables.append(name)
    used = {slot.source for node in nodes for slot in node.slots}
    ends = [name for name in (*node_names, "IN") if name not in used]
    nodes.append(Model("OUT", "POUT", tuple(ends)))
    steering = [node.instruction for node in nodes if isinstance(node, Model)]
    parameters = [
        Parameter(
            name, draw(st.text(max_size=5)), draw(st.booleans()), draw(st.text(max_size=3)), draw(st.integers(1, 99))
        )
        for name in steering
    ]
    return Graph(inputs=("IN",), parameters=parameters, nodes=nodes, output="OUT")


@given(graphs())
@settings(max_examples=60)
def test_any_graph_survives_json_with_the_order_of_its_slots(graph):
    functions = {
        node.name: Differentiable(node.call, node.backward) if node.backward else node.call
        for node in graph.nodes
        if isinstance(node, Function)
    }
    text = to_json(graph)
    again = from_json(text, functions)
    assert again == graph
    assert [node.slots for node in again.nodes] == [node.slots for node in graph.nodes]
    assert to_json(again) == text


@given(graphs())
@settings(max_examples=30)
def test_mermaid_names_every_variable_once_and_draws_every_edge(graph):
    lines = mermaid(graph).splitlines()
    assert lines[0] == "flowchart TD"
    drawn = [line for line in lines if "-->" in line or "-.->" in line]
    assert len(drawn) == sum(len(node.slots) for node in graph.nodes)
    for name in ("IN", *graph.initial, *(node.name for node in graph.nodes)):
        assert len([line for line in lines if re.search(rf'v\d+\S*"{re.escape(name)}"', line)]) >= 1


def test_mermaid_of_a_small_graph_reads_as_one_would_write_it():
    graph = Graph(
        inputs=("question",),
        parameters=(Parameter("ask", "x"), Parameter("fixed", "y", trainable=False)),
        nodes=(Model("hint", "ask", ("question",)), Model("answer", "fixed", {"hint": "hint", "the_q": "question"})),
        output="answer",
    )
    assert mermaid(graph) == (
        "flowchart TD\n"
        '    v0(["question"])\n'
        '    v1{{"ask"}}\n'
        '    v2{{"fixed"}}\n'
        '    v3["hint"]\n'
        '    v4["answer"]\n'
        "    v1 -.-> v3\n"
        "    v0 --> v3\n"
        "    v2 -.-> v4\n"
        "    v3 --> v4\n"
        '    v0 -->|"the_q"| v4\n'
        "    style v4 stroke-width:4px\n"
        "    style v2 stroke-dasharray: 4 4\n"
    )


def test_a_function_that_is_not_given_is_named_with_the_mend():
    with pytest.raises(GraphError, match=r"function 'lookup' is not given: pass functions=\{'lookup': the_callable\}"):
        from_json(to_json(whole()))


def test_a_backward_is_not_lost_unnoticed():
    with pytest.raises(
        GraphError, match=r"function 'out' was written with a backward: .*Differentiable\(call, backward\)"
    ):
        from_json(to_json(whole()), {"lookup": tool, "out": tool})


def test_a_backward_may_be_added_when_a_graph_is_read():
    functions = {"lookup": Differentiable(tool, tool_backward), "out": Differentiable(tool, tool_backward)}
    assert from_json(to_json(whole()), functions).node("lookup").backward is tool_backward


def changed(path, value):
    document = orjson.loads(to_json(whole()))
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return orjson.dumps(document)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["schema"], 2, r"schema 2, this version reads 1: use the version that wrote it"),
        (["schema"], True, r"graph, field 'schema': expected int, found bool 'True'"),
        (["schema"], KeyError, r"graph: the field 'schema' is missing"),
        (["nodes"], {}, r"graph, field 'nodes': expected list"),
        (["extra"], 1, r"graph: unknown fields 'extra'; remove them"),
        (["inputs"], [1], r"field 'inputs': expected str, found int '1'"),
        (["nodes", 0], "x", r"node 1: expected an object with fields, found str"),
        (["nodes", 1, "type"], "agent", r"node 2 'think': the type 'agent' is none of model, function"),
        (["nodes", 1, "reply"], "json", r"node 2 'think', field 'reply': str 'json' is none of whole, tagged"),
        (["nodes", 1, "demonstrations"], 3, r"'think', field 'demonstrations': expected str, found int"),
        (
            ["nodes", 1, "sampling", "temperature"],
            "hot",
            r"'think', sampling, field 'temperature': expected float, found str",
        ),
        (["nodes", 1, "sampling", "max_tokens"], True, r"field 'max_tokens': expected int, found bool"),
        (["nodes", 1, "sampling", "max_tokens"], 1.5, r"field 'max_tokens': expected int, found float"),
        (["nodes", 1, "sampling", "beam"], 4, r"'think', sampling: unknown fields 'beam'"),
        (["nodes", 1, "inputs"], ["story"], r"field 'inputs': expected table of texts, found list"),
        (["nodes", 1, "inputs", "first"], None, r"field 'inputs': expected str, found NoneType"),
        (["nodes", 1, "inputs", "first"], "gone", r"node 'think', slot 'first': there is no variable 'gone'"),
        (["nodes", 0, "pure"], 1, r"'lookup', field 'pure': expected bool, found int"),
        (["nodes", 0, "call"], "os.system", r"'lookup': unknown fields 'call'"),
        (["parameters", 2, "value"], {"value": "x"}, r"parameter 3 'heat': not a parameter value"),
        (["parameters", 0, "max_bytes"], KeyError, r"parameter 1 'ask': the field 'max_bytes' is missing"),
    ],
)
def test_a_malformed_document_says_where(path, value, message):
    with pytest.raises(GraphError, match=message):
        from_json(changed(path, value), FUNCTIONS)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", b"\xff"])
def test_what_is_not_a_json_object_is_refused(text):
    with pytest.raises(GraphError, match=r"not JSON|expected an object"):
        from_json(text)


def test_a_chain_of_ten_thousand_nodes_survives():
    graph = chain(["x"] * 10_000)
    assert from_json(to_json(graph)) == graph


def test_bytes_and_text_read_alike():
    graph = fan(["é"], "j")
    assert from_json(to_json(graph).encode()) == from_json(to_json(graph)) == graph
