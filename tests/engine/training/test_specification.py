"""What a run is: bad values are refused with the mend, and the document holds all that enters a decision."""

import json

import pytest
import worlds
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import (
    Exact,
    Function,
    Graph,
    Judge,
    Kind,
    LabelProbability,
    Model,
    Number,
    Parameter,
    ReplyFormat,
    Specification,
    SpecificationError,
    Splits,
    Squared,
    semantic,
)
from semprop.engine.example import Example
from semprop.engine.nobody import NOBODY
from semprop.engine.training.specification import document_of_specification, gate_items, gate_uses
from semprop.providers import Capabilities, Mixture, Sampling
from semprop.providers.base import Request
from semprop.providers.errors import StopError


def test_a_lookahead_of_zero_is_allowed_and_less_is_refused():
    assert worlds.specification(lookahead=0).lookahead == 0
    with pytest.raises(SpecificationError, match="lookahead is -1; it must be at least 0"):
        worlds.specification(lookahead=-1)


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1])
def test_a_seed_that_no_journal_can_hold_is_refused(seed):
    with pytest.raises(SpecificationError, match=f"seed is {seed}; give a whole number of at most 63 bits"):
        worlds.specification(seed=seed)


@pytest.mark.parametrize("name", ["steps", "minibatch", "candidates", "in_flight"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(SpecificationError, match=f"{name} is 0; it must be at least 1"):
        worlds.specification(**{name: 0})


def test_examples_per_gradient_are_at_least_one_or_none():
    with pytest.raises(SpecificationError, match="at least 1, or None"):
        worlds.specification(examples_per_gradient=0)
    assert worlds.specification(examples_per_gradient=None).examples_per_gradient is None


def test_a_graph_without_anything_to_train_is_refused():
    frozen = Graph(
        inputs=("question",),
        parameters=[Parameter("s", "Solve.", trainable=False)],
        nodes=[Model("answer", "s", ("question",))],
        output="answer",
    )
    with pytest.raises(SpecificationError, match="nothing to optimize"):
        worlds.specification(graph=frozen)


@pytest.mark.parametrize(("train", "gate", "name"), [(0, 1, "train"), (1, 0, "gate")])
def test_an_empty_split_is_refused_by_name(train, gate, name):
    with pytest.raises(SpecificationError, match=f"the {name} split is empty"):
        worlds.specification(splits=worlds.splits(train, gate))


def test_an_example_without_a_field_that_the_graph_reads_is_refused_by_id():
    bad = Example("odd", {"query": "?"}, "1")
    with pytest.raises(SpecificationError, match=r"'odd' \(test\) has no field 'question'; it has: query"):
        worlds.specification(splits=Splits((worlds.example(0),), (worlds.example(1),), (bad,)))


def test_a_provider_for_forward_is_required():
    with pytest.raises(SpecificationError, match="no provider for the role 'forward'"):
        worlds.specification(providers={"backward": worlds.scripted()})


def test_a_node_with_a_role_that_nobody_plays_is_refused_by_name():
    odd = Model("answer", "s", ("question", "hint_1", "hint_2"), role="expert")
    with pytest.raises(SpecificationError, match=r"node '\w+' is answered by the role 'expert'.*there are: forward"):
        worlds.specification(graph=worlds.graph(answer=odd))


def test_a_judge_with_a_role_that_nobody_plays_is_refused_but_the_default_falls_back():
    with pytest.raises(SpecificationError, match="loss 'judge' is answered by the role 'expert'"):
        worlds.specification(loss=Judge(role="expert"))
    spec = worlds.specification(loss=Judge())
    assert spec.provider("judge") is spec.provider("forward")


def test_label_probability_needs_a_whole_reply_with_log_probabilities():
    loss = LabelProbability(labels=("yes", "no"))
    with pytest.raises(SpecificationError, match="top_logprobs"):
        worlds.specification(loss=loss)
    inputs = ("question", "hint_1", "hint_2")
    ready = Model("answer", "s", inputs, sampling=Sampling(max_tokens=8, top_logprobs=5))
    assert worlds.specification(loss=loss, graph=worlds.graph(answer=ready)).loss is loss
    tagged = Model("answer", "s", inputs, sampling=Sampling(top_logprobs=5), reply=ReplyFormat.TAGGED)
    with pytest.raises(SpecificationError, match="WHOLE"):
        worlds.specification(loss=loss, graph=worlds.graph(answer=tagged))


def test_start_replaces_only_the_parameters_that_it_names():
    start = worlds.graph().initial.replaced({"s": "Begin."})
    spec = worlds.specification(start=start)
    assert spec.initial["s"] == "Begin."
    assert worlds.specification().initial == spec.graph.initial


def test_a_run_is_simulated_if_any_role_is():
    simulated = worlds.scripted(capabilities=Capabilities(simulated=True))
    assert worlds.specification(providers={"forward": worlds.scripted(), "update": simulated}).is_simulated
    assert not worlds.specification().is_simulated


def test_several_models_answer_neither_nodes_nor_judges_unless_they_are_pinned():
    one, many = worlds.scripted(), worlds.scripted(capabilities=Capabilities(mixture=Mixture.ANY))
    with pytest.raises(SpecificationError, match=r"node '\w+' is answered by .*, a pool of several models"):
        worlds.specification(providers={"forward": many})
    with pytest.raises(SpecificationError, match=r"loss 'judge' is answered by .* say `model"):
        worlds.specification(loss=Judge("good"), providers={"forward": one, "judge": many})
    writes = worlds.specification(providers={"forward": one, "backward": many, "update": many})
    pinned = worlds.specification(
        providers={"forward": worlds.scripted(capabilities=Capabilities(mixture=Mixture.PINNED))}
    )
    promised = [document_of_specification(spec)["capabilities"]["update"] for spec in (writes, pinned)]
    assert [each["mixture"] for each in promised] == ["any", "pinned"]
    # As journals hold it that were written before there were pools.
    assert "mixture" not in document_of_specification(worlds.specification())["capabilities"]["forward"]


def test_the_document_holds_decisions_and_nothing_of_how_to_run():
    document = document_of_specification(worlds.specification(loss=Exact(), task="sums", in_flight=3))
    assert json.loads(json.dumps(document)) == document
    assert document["task"] == "sums"
    assert document["splits"]["gate"] == [f"e{number}" for number in range(8, 16)]
    assert document["models"] == dict.fromkeys(("forward", "backward", "update", "judge"), "scripted:scripted")
    assert document["initial"]["s"] == "Solve the problem."
    assert not {"in_flight", "run"} & set(document)


def test_the_document_is_the_same_for_the_same_specification():
    assert document_of_specification(worlds.specification()) == document_of_specification(worlds.specification())


def numeric_graph():
    def scaled(n, w):
        return w * float(len(n))

    node = Function("y", scaled, ("n", "w"), kind=Kind.NUMBER, pure=True)
    return Graph(inputs=("n",), parameters=[Parameter("w", Number(1.0))], nodes=[node], output="y")


def test_a_graph_without_models_needs_no_provider():
    examples = [Example(name, {"n": name}, "1") for name in "ab"]
    graph = numeric_graph()
    spec = Specification(
        graph=graph, loss=Squared(), splits=Splits((examples[0],), (examples[1],), ()), method=semantic()
    )
    assert spec.provider("update").identity == "nobody"
    assert not spec.is_simulated


def test_a_judge_needs_a_provider_whatever_the_graph():
    examples = [Example(name, {"n": name}, "1") for name in "ab"]
    with pytest.raises(SpecificationError, match="no provider for the role 'forward'"):
        Specification(
            graph=numeric_graph(), loss=Judge(), splits=Splits((examples[0],), (examples[1],), ()), method=semantic()
        )


async def test_nobody_answers_and_says_the_mend():
    async with NOBODY as nobody:
        with pytest.raises(StopError, match="asked in a run without providers"):
            await nobody.complete(Request(()))
        assert nobody.statistics() == {}


# The step's gate items -----------------------------------------------------------------------------------------------


def pooled(gate, each, **changes):
    return worlds.specification(splits=worlds.splits(4, gate, 4), gate_items=each, **changes)


def test_every_step_is_judged_on_the_whole_gate_split_unless_told_otherwise():
    spec = pooled(8, None)
    assert gate_items(spec, 0) == gate_items(spec, 7) == spec.splits.gate
    assert gate_uses(spec, [0, 1, 4]) == 3


@given(seed=st.integers(0, 99), each=st.integers(1, 11))
def test_gate_items_are_fresh_until_the_split_is_used_up_and_depend_on_seed_and_step_alone(seed, each):
    spec = pooled(11, each, seed=seed)
    chunks = 11 // each
    for use in (0, 1):
        drawn = [item.id for step in range(use * chunks, (use + 1) * chunks) for item in gate_items(spec, step)]
        assert len(drawn) == chunks * each == len(dict.fromkeys(drawn))
    assert gate_items(spec, 3) == gate_items(pooled(11, each, seed=seed, steps=9), 3)


def test_gate_items_differ_with_the_seed_and_from_use_to_use():
    orders = [[item.id for item in gate_items(pooled(9, 9, seed=seed), step)] for seed in (0, 1) for step in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_the_gate_split_counts_as_used_once_more_each_time_it_wraps():
    spec = pooled(8, 3)  # Two steps a use.
    assert [gate_uses(spec, range(steps)) for steps in range(6)] == [0, 1, 1, 2, 2, 3]
    assert gate_uses(spec, [1, 2]) == 2


@pytest.mark.parametrize("each", [0, -1, 9])
def test_more_gate_items_than_the_split_has_are_refused(each):
    with pytest.raises(SpecificationError, match="gate_items"):
        pooled(8, each)


def test_candidates_are_judged_on_training_examples_only_where_that_is_asked_for_and_said():
    splits = worlds.splits()
    with pytest.raises(SpecificationError, match="leave the gate split empty"):
        worlds.specification(splits=splits, gate_on_train=True)
    spec = worlds.specification(splits=Splits(splits.train, ()), gate_on_train=True)
    assert gate_items(spec, 0) == splits.train
    with pytest.raises(SpecificationError, match="the gate split is empty"):
        worlds.specification(splits=Splits(splits.train, ()))
