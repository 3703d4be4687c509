"""The graph is checked once, when it is made: each error names the node and the mend."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.errors import GraphError
from semprop.engine.graph import Graph, active_variables, model_nodes
from semprop.engine.nodes import Function, Model, Purpose, named_slots
from semprop.engine.parameters import Demonstrations, Kind, Number, Parameter

ASK = Parameter("ask", "Answer.")


def model(name, *inputs, instruction="ask", **options):
    return Model(name, instruction, inputs, **options)


def graph(*nodes, inputs=("q",), parameters=(ASK,), output="out"):
    return Graph(inputs=inputs, parameters=parameters, nodes=nodes, output=output)


def identity(**values):
    """Returns its only argument."""
    return next(iter(values.values()))


def test_nodes_stand_in_topological_order_and_ready_ones_in_declared_order():
    made = graph(model("out", "b", "a"), model("b", "q"), model("a", "q"))
    assert [node.name for node in made.nodes] == ["b", "a", "out"]
    assert made.levels == {"b": 0, "a": 0, "out": 1}
    assert [node.name for node in model_nodes(made)] == ["b", "a", "out"]


def test_a_level_is_the_longest_path():
    made = graph(model("a", "q"), model("b", "a"), model("out", "a", "b"))
    assert made.levels == {"a": 0, "b": 1, "out": 2}


def test_a_variable_may_enter_twice_and_each_time_has_a_slot():
    made = graph(model("a", "q"), model("out", "a", "a", "q"))
    assert [(slot.name, slot.source) for slot in made.node("out").slots] == [
        ("instruction", "ask"),
        ("a", "a"),
        ("a_2", "a"),
        ("q", "q"),
    ]


def test_a_made_up_slot_name_never_takes_the_name_of_a_variable():
    assert dict(named_slots("n", ("q", "q_2", "q"))) == {"q": "q", "q_2": "q_2", "q_3": "q"}


def test_one_parameter_may_steer_several_nodes():
    made = graph(model("a", "q"), model("out", "a"))
    assert [(node.name, slot.purpose) for node, slot in made.steers("ask")] == [
        ("a", Purpose.INSTRUCTION),
        ("out", Purpose.INSTRUCTION),
    ]


def test_slots_come_in_one_order_instruction_demonstrations_numbers_inputs():
    parameters = (ASK, Parameter("shots", Demonstrations()), Parameter("heat", Number(0.5, 0, 2)))
    made = graph(
        model("out", "q", demonstrations="shots", numbers={"temperature": "heat"}),
        parameters=parameters,
    )
    assert [slot.name for slot in made.node("out").slots] == ["instruction", "demonstrations", "temperature", "q"]


def test_frozen_parameters_are_not_trainable():
    made = graph(
        model("a", "q", instruction="fixed"),
        model("out", "a"),
        parameters=(Parameter("fixed", "x", trainable=False), ASK),
    )
    assert made.trainable == ("ask",)
    assert made.parameter("fixed").value == "x"
    assert list(made.initial) == ["fixed", "ask"]


def test_graphs_of_equal_parts_are_equal():
    assert graph(model("out", "q")) == graph(model("out", "q"))
    assert hash(graph(model("out", "q"))) == hash(graph(model("out", "q")))
    assert graph(model("out", "q")) != graph(model("out", "q", role="judge"))


def test_only_variables_below_something_trainable_are_active():
    edges = [("a", ["q", "fixed"]), ("b", ["q", "ask"]), ("c", ["a", "q"]), ("d", ["c", "b"])]
    assert active_variables(edges, ["ask"]) == {"ask", "b", "d"}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: graph(model("a", "b"), model("b", "a"), model("out", "a")),
            r"cycle runs through a, b.*remove one edge",
        ),
        (lambda: graph(model("out", "out")), r"cycle runs through out"),
        (
            lambda: graph(model("out", "nobody", "q")),
            r"node 'out', slot 'nobody': there is no variable 'nobody'; declare",
        ),
        (lambda: graph(model("out", "q", instruction="gone")), r"node 'out', slot 'instruction': .* 'gone'"),
        (
            lambda: graph(model("out", "q"), model("out", "q")),
            r"the name 'out' stands twice, for node and node: rename",
        ),
        (lambda: graph(model("q", "q"), output="q"), r"the name 'q' stands twice, for input and node"),
        (lambda: graph(model("out", "q"), inputs=("q", "q")), r"the name 'q' stands twice, for input and input"),
        (lambda: graph(model("out", "q"), parameters=(ASK, ASK)), r"'ask' stands twice, for parameter and parameter"),
        (lambda: graph(model("a b", "q"), output="a b"), r"node 'a b': a name has letters, digits"),
        (lambda: graph(model("", "q"), output=""), r"node '': a name has letters"),
        (lambda: graph(model("out", "q"), output="ask"), r"output 'ask' is not a node; name one of: out"),
        (lambda: graph(model("out", "q"), output="end"), r"output 'end' is not a node; name one of: out"),
        (lambda: graph(), r"output 'out' is not a node"),
        (
            lambda: graph(model("idle", "q"), model("out", "q")),
            r"node 'idle' does not reach the output 'out': connect it",
        ),
        (
            lambda: graph(model("out", "q"), parameters=(ASK, Parameter("spare", "x"))),
            r"parameter 'spare' dangles: no node uses it; connect it or remove it",
        ),
        (lambda: graph(model("out", "q"), inputs=("q", "z")), r"input 'z' is used by no node: connect it or remove it"),
        (lambda: graph(model("out", "q"), inputs="q"), r"inputs is the text 'q'; write a tuple"),
        (lambda: Model("out", "ask", "q"), r"node 'out': inputs is the text 'q'; write a tuple: inputs=\('q',\)"),
        (
            lambda: graph(model("out", "instruction"), inputs=("instruction",)),
            r"node 'out' has two slots 'instruction': name one of them otherwise",
        ),
        (
            lambda: graph(model("a", "q"), model("out", "q", instruction="a")),
            r"node 'out', slot 'instruction': 'a' is not a parameter; declare it as one, or pass it as an input",
        ),
        (
            lambda: graph(model("out", "q", instruction="heat"), parameters=(Parameter("heat", Number(1)),)),
            r"node 'out', slot 'instruction': parameter 'heat' is number, this slot takes text",
        ),
        (
            lambda: graph(model("out", "q", demonstrations="ask")),
            r"slot 'demonstrations': parameter 'ask' is text, this slot takes demonstrations",
        ),
        (
            lambda: graph(model("out", "q", "shots"), parameters=(ASK, Parameter("shots", Demonstrations()))),
            r"slot 'shots': demonstrations 'shots' cannot be an ordinary input; use demonstrations='shots'",
        ),
        (
            lambda: graph(model("out", "q", numbers={"heat": "heat"}), parameters=(ASK, Parameter("heat", Number(1)))),
            r"slot 'heat': a number binds to one of temperature, top_p; rename the slot",
        ),
        (
            lambda: graph(model("a", "q"), Function("out", identity, ("a",), kind=Kind.OPAQUE)),
            r"function 'out' is on the way to a trainable parameter but its value is opaque.*give it backward",
        ),
    ],
)
def test_a_graph_that_is_not_well_formed_says_where_and_how_to_mend_it(build, message):
    with pytest.raises(GraphError, match=message):
        build()


def two(text, other="x"):
    """Takes a text."""
    return text + other


@pytest.mark.parametrize(
    ("call", "inputs", "message"),
    [
        (two, ("q",), r"function 'out' takes \(text, other='x'\), its slots are q .*inputs=\{argument: variable\}"),
        (two, {"other": "q"}, r"its slots are other \(missing a required argument: 'text'\)"),
        (two, {"text": "q", "others": "q"}, r"its slots are text, others"),
        (lambda: "x", ("q",), r"function 'out' takes \(\), its slots are q"),
    ],
)
def test_a_function_that_cannot_take_its_slots_is_refused_when_the_graph_is_made(call, inputs, message):
    with pytest.raises(GraphError, match=message):
        graph(Function("out", call, inputs), parameters=())


def test_a_function_whose_arguments_fit_is_taken():
    assert graph(Function("out", two, {"text": "q", "other": "q"}), parameters=()).output == "out"
    assert graph(Function("out", max, ("q",)), parameters=()).output == "out"


def test_an_opaque_function_is_allowed_where_nothing_is_trained_above_it():
    made = graph(Function("a", identity, ("q",), kind=Kind.OPAQUE), model("out", "a"))
    assert made.node("a").kind is Kind.OPAQUE


def test_an_opaque_function_is_allowed_on_a_trained_path_with_a_backward():
    made = graph(
        model("a", "q"),
        Function("out", identity, ("a",), kind=Kind.OPAQUE, backward=lambda inputs, output, gradient: {}),
    )
    assert made.output == "out"


def test_asking_for_an_unknown_name_lists_the_known_ones():
    made = graph(model("out", "q"))
    with pytest.raises(GraphError, match=r"no node 'in'; there are: out"):
        made.node("in")
    with pytest.raises(GraphError, match=r"no parameter 'in'; there are: ask"):
        made.parameter("in")


def test_a_chain_of_ten_thousand_nodes_is_built_without_recursion():
    length = 10_000
    nodes = [model("n0", "q"), *(model(f"n{index}", f"n{index - 1}") for index in range(1, length))]
    made = graph(*reversed(nodes), output=f"n{length - 1}")
    assert made.levels[f"n{length - 1}"] == length - 1
    assert [node.name for node in made.nodes[:2]] == ["n0", "n1"]


@st.composite
def dags(draw):
    size = draw(st.integers(1, 8))
    nodes = []
    for index in range(size):
        sources = draw(
            st.lists(st.sampled_from(["q", *(f"n{other}" for other in range(index))]), min_size=1, max_size=4)
        )
        nodes.append((f"n{index}", sources))
    needed = {source for _, sources in nodes for source in sources}
    ends = [name for name, _ in nodes if name not in needed]
    return [*nodes, ("out", [*ends, "q"])], draw(st.permutations(range(size + 1)))


@given(dags())
def test_whatever_the_declared_order_every_node_stands_behind_its_predecessors(case):
    nodes, order = case
    made = graph(*(model(nodes[index][0], *nodes[index][1]) for index in order))
    place = {node.name: index for index, node in enumerate(made.nodes)}
    for node in made.nodes:
        before = [slot.source for slot in node.slots if slot.source in place]
        assert all(place[source] < place[node.name] for source in before)
        assert made.levels[node.name] == 1 + max((made.levels[source] for source in before), default=-1)


@pytest.mark.parametrize("name", ["*a*", 'a"', "a b", "", "<a>"])
def test_a_slot_name_that_would_need_quoting_in_a_prompt_is_refused(name):
    with pytest.raises(GraphError, match=r"node 'answer', slot .*: a name has letters, digits, - and _ only"):
        Graph(
            inputs=("question",),
            parameters=[Parameter("solve", "Solve it.")],
            nodes=[Model("answer", "solve", {name: "question"})],
            output="answer",
        )
