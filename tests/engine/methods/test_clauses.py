"""Search over clauses: every instruction has its turn before any comes again; labels are data, never a template."""

import pytest
import worlds
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import (
    Demonstrations,
    Example,
    Function,
    Graph,
    Model,
    Number,
    Parameter,
    Provenance,
    Score,
    SpecificationError,
    Stance,
    change,
    clauses,
    optimize,
)
from semprop.engine.method import Scored
from semprop.engine.methods.clauses import ClauseUpdate, PassThrough, instructions, labels

POOL = (("Read the review.", ""), ("Answer {labels}.", "One word."), ("Be brief.", "Think.", ""))


def one():
    """A graph with a single instruction."""
    return Graph(
        inputs=("question",),
        parameters=[Parameter("s", "Solve.")],
        nodes=[Model("answer", "s", ("question",))],
        output="answer",
    )


def evidence(graph, *names):
    return {name: worlds.collected(graph, name, worlds.gradient("x", variable=name)) for name in names}


def scored(graph, *answers):
    values = {node.name: "x" for node in graph.nodes}
    examples = (Example(f"e{place}", {"question": f"q{place}"}, answer) for place, answer in enumerate(answers))
    return tuple(Scored(worlds.tape(graph, example, values), Score(0.0)) for example in examples)


def propose(graph, pools, names=(), **changes):
    given = worlds.context(graph, collected=evidence(graph, *(names or graph.trainable)), **changes)
    return worlds.run_plan(ClauseUpdate(pools)(given), worlds.Answers())


def tried(proposals, name):
    """The distinct values of a parameter in a step's candidates."""
    edits = (edit for candidate in proposals.candidates for edit in candidate.edits)
    return list(dict.fromkeys(edit.after for edit in edits if edit.parameter == name))


def test_an_instruction_is_one_clause_of_each_group():
    assert instructions((("a", "b"), ("c", ""))) == ["a c", "a", "b c", "b"]
    assert instructions(()) == []
    assert len(instructions(POOL)) == 12


def test_the_labels_are_the_right_answers_of_the_step_sorted():
    graph = one()
    given = worlds.context(graph, scored=scored(graph, "positive", "negative", None, "positive"))
    assert labels(given) == "negative or positive"


def test_the_placeholder_is_replaced_and_never_formatted():
    graph = one()
    pool = (("Answer {labels} as {json!r} {0} {}.",),)
    found = propose(graph, {"s": pool}, scored=scored(graph, "{yes}", "no"))
    assert tried(found, "s") == ["Answer no or {yes} as {json!r} {0} {}."]


@given(st.integers(1, 9), st.integers(0, 50), st.integers(1, 4), st.integers(1, 5))
def test_no_instruction_comes_again_before_each_had_its_turn(wanted, seed, first, second):
    graph = one()
    pool = (tuple(f"a{number}" for number in range(first)), tuple(f"b{number}" for number in range(second)))
    total = first * second
    seen = []
    for step in range(-(-total // wanted)):
        seen += tried(propose(graph, {"s": pool}, step=step, seed=seed, wanted=wanted), "s")[: total - len(seen)]
    assert len(seen) == len(set(seen)) == total


@given(st.integers(1, 9), st.integers(0, 20))
def test_with_several_parameters_each_goes_through_its_own_pool_without_repetition(wanted, seed):
    graph = worlds.graph(hints=2)
    pools = {name: (tuple(f"{name} {number}" for number in range(12)),) for name in graph.trainable}
    seen = {name: [] for name in pools}
    for step in range(3):
        found = propose(graph, pools, step=step, seed=seed, wanted=wanted)
        for name, texts in seen.items():
            texts += tried(found, name)
    for texts in seen.values():
        assert len(texts[:12]) == len(set(texts[:12])) >= 3


@given(st.integers(1, 12))
def test_wanted_bounds_the_candidates_of_a_step_in_all(wanted):
    graph = worlds.graph(hints=2)
    found = propose(graph, dict.fromkeys(graph.trainable, POOL), wanted=wanted)
    assert 1 <= len(found.candidates) <= wanted


def test_the_first_candidate_changes_every_parameter_and_the_others_one_each():
    graph = worlds.graph(hints=1)
    found = propose(graph, dict.fromkeys(graph.trainable, POOL), wanted=4)
    assert [[edit.parameter for edit in entry.edits] for entry in found.candidates] == [
        ["w1", "s"],
        ["w1"],
        ["s"],
        ["w1"],
    ]


def test_only_parameters_with_evidence_are_changed():
    graph = worlds.graph(hints=1)
    found = propose(graph, dict.fromkeys(graph.trainable, POOL), names=("s",), wanted=2)
    assert [[edit.parameter for edit in entry.edits] for entry in found.candidates] == [["s"]]


def test_the_present_instruction_is_left_out():
    graph = one()
    parameters = graph.initial.replaced({"s": "a"})
    assert not propose(graph, {"s": (("a",),)}, parameters=parameters, wanted=4).candidates


def test_a_parameter_without_clauses_has_no_proposal():
    graph = one()
    assert not propose(graph, {"other": POOL}, wanted=4).candidates


def test_the_order_is_drawn_from_the_seed():
    graph = one()
    orders = {tuple(tried(propose(graph, {"s": POOL}, seed=seed, wanted=12), "s")) for seed in range(5)}
    assert len(orders) == 5


def test_the_order_does_not_change_with_the_labels_of_a_step():
    graph = one()
    found = [
        tried(propose(graph, {"s": POOL}, wanted=12, scored=scored(graph, *answers)), "s")
        for answers in (("yes",), ("no", "maybe"))
    ]
    assert [text.replace("yes", "maybe or no") for text in found[0]] == found[1]


def test_demonstrations_are_dealt_beside_clauses():
    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("s", "Solve."), Parameter("d", Demonstrations())],
        nodes=[Model("answer", "s", ("question",), demonstrations="d")],
        output="answer",
    )
    found = propose(graph, {"s": POOL}, wanted=3, scored=scored(graph, "yes", "no"))
    assert [[edit.parameter for edit in entry.edits] for entry in found.candidates] == [["s", "d"], ["s"], ["d"]]
    (turns,) = {edit.after.turns for entry in found.candidates for edit in entry.edits if edit.parameter == "d"}
    assert sorted((turn.output, turn.origin) for turn in turns) == [("no", "e1"), ("yes", "e0")]


def test_the_method_copies_its_pools():
    pools = {"s": POOL}
    method = clauses(pools)
    pools.clear()
    assert method.update.pools == {"s": POOL}


# Backward without a model --------------------------------------------------------------------------------------------


def passed(of, **changes):
    """The messages of the pass-through rule; asking anybody fails."""
    return worlds.run_plan(PassThrough()(worlds.local(of, **changes)), worlds.Answers())


def test_an_input_is_told_what_the_output_was_told_and_an_instruction_gets_the_case():
    node = Model("answer", "s", ("question", "hint"))
    of = worlds.record(node, "6", instruction="Solve.", question="?", hint="5")
    messages = passed(of, active=("instruction", "hint"))
    assert list(messages) == ["instruction", "hint"]
    assert messages["hint"] == change("it should be 7", Provenance("e0", "answer", "hint"))
    assert messages["instruction"].content.inputs == (("question", "?"), ("hint", "5"))


def test_without_a_model_a_functions_own_backward_still_goes_first_and_numbers_are_left_to_the_update():
    rule = Function("parse", lambda text: text, ("text",), backward=lambda inputs, output, gradient: {"text": "own"})
    assert passed(worlds.record(rule, "7", text="7"))["text"].content == "own"
    node = Model("answer", "s", ("question",), numbers={"temperature": "t"})
    of = worlds.record(node, "6", instruction="Solve.", question="?", temperature=Number(0.5))
    assert passed(of, active=("temperature",))["temperature"].stance is Stance.LOST


async def test_clause_search_asks_a_model_for_nothing_but_the_forward_pass():
    pools = {"s": (("Say the sum.", "Solve."),)}
    provider = worlds.scripted()
    spec = worlds.specification(method=clauses(pools), providers={"forward": provider}, steps=1, candidates=2)
    result = await optimize(spec)
    assert result.parameters["s"] == "Say the sum."
    assert all(worlds.is_forward(request) for request in provider.requests)


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        ((("Solve.",), ()), "a group of the clauses for 's' is empty, so none can be taken: leave it out"),
        ((tuple("abcdefghij"),) * 6, "the clauses for 's' make 1,000,000 instructions, and 100,000 at most can be"),
    ],
)
def test_a_pool_out_of_which_nothing_or_too_much_can_be_made_is_refused(pool, message):
    with pytest.raises(SpecificationError, match=message):
        clauses({"s": pool})
