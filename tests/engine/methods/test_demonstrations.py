"""Demonstrations out of evidence: whose output is right, balance, and where each turn came from."""

import worlds
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import (
    Demonstration,
    Demonstrations,
    Example,
    Failure,
    FailureKind,
    Graph,
    Model,
    Parameter,
    Score,
)
from semprop.engine.method import Scored
from semprop.engine.methods.demonstrations import propose_demonstrations


def graph(of="answer"):
    """Two steps, of which one has demonstrations."""
    given = {"demonstrations": "d"}
    return Graph(
        inputs=("question",),
        parameters=[Parameter("w", "Hint."), Parameter("s", "Answer."), Parameter("d", Demonstrations())],
        nodes=[
            Model("hint", "w", ("question",), **(given if of == "hint" else {})),
            Model("answer", "s", ("question", "hint"), **(given if of == "answer" else {})),
        ],
        output="answer",
    )


def scored(of, number, label="yes", right=True, **values):
    example = Example(f"e{number}", {"question": f"question {number}"}, label)
    values = {"hint": f"hint {number}", "answer": label if right else "wrong", **values}
    return Scored(worlds.tape(of, example, values), Score(float(right)))


def propose(of, entries, size=4, **changes):
    return propose_demonstrations(worlds.context(of, scored=tuple(entries), **changes), "d", size)


def test_the_output_node_is_shown_the_right_answer_even_where_it_was_wrong():
    of = graph()
    (found,) = propose(of, [scored(of, 1, "yes", right=False)])
    assert found.turns == (Demonstration((("question", "question 1"), ("hint", "hint 1")), "yes", "e1"),)


def test_a_hidden_node_is_shown_what_it_wrote_where_the_answer_came_out_right():
    of = graph("hint")
    (found,) = propose(of, [scored(of, 1), scored(of, 2, right=False)])
    assert found.turns == (Demonstration((("question", "question 1"),), "hint 1", "e1"),)


def test_nothing_is_shown_of_examples_without_an_answer_or_a_value():
    of, hidden = graph(), graph("hint")
    failed = Failure(FailureKind.REFUSAL, "no")
    assert propose(of, [scored(of, 1, None)]) == ()
    assert propose(hidden, [scored(hidden, 1, hint=failed)]) == ()
    never = worlds.tape(of, worlds.example(1), {"hint": "x"})
    assert propose(of, [Scored(never, Score(0.0))]) == ()


def test_turns_are_balanced_over_outputs():
    of = graph()
    entries = [scored(of, number, "no" if number == 3 else "yes") for number in range(9)]
    (found,) = propose(of, entries)
    assert sorted(turn.output for turn in found.turns) == ["no", "yes", "yes", "yes"]


@given(st.lists(st.sampled_from(["yes", "no", "maybe"]), min_size=1, max_size=12), st.integers(1, 6))
def test_no_output_is_dealt_twice_more_often_than_another_that_is_left(outputs, size):
    of = graph()
    (found,) = propose(of, [scored(of, number, label) for number, label in enumerate(outputs)], size)
    dealt = [turn.output for turn in found.turns]
    assert len(dealt) == min(size, len(outputs))
    for label in dict.fromkeys(outputs):
        if outputs.count(label) > dealt.count(label):
            assert all(dealt.count(other) <= dealt.count(label) + 1 for other in outputs)
    assert len({turn.origin for turn in found.turns}) == len(dealt)


def test_several_sets_are_distinct_and_depend_on_seed_and_step_only():
    of = graph()
    entries = [scored(of, number, "yes" if number % 2 else "no") for number in range(12)]
    found = propose(of, entries, wanted=3)
    assert len(found) == len({entry.turns for entry in found}) == 3
    assert found == propose(of, list(reversed(entries)), wanted=3)
    assert found != propose(of, entries, wanted=3, step=1)
    assert found != propose(of, entries, wanted=3, seed=1)


def test_equal_sets_are_proposed_once():
    of = graph()
    assert len(propose(of, [scored(of, 1)], wanted=3)) == 1
