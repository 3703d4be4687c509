"""Clustering of messages: who is kept, for how many they stand, and that nothing else decides."""

import pytest
import worlds
from hypothesis import given, settings
from hypothesis import strategies as st

from semprop.engine import Evidence, Gradient, Kind, Provenance, Stance, change, keep, lost, optimize, semantic
from semprop.engine.methods.clusters import ClusteredEvidence, ClusteredMessages, _seats, kept_of, told
from semprop.engine.parameters import Parameter

COMMON = "It should state: the value of the field primary"
RARE = "The answer must be given in kilometres, not miles"


def names(count):
    return [f"e{number:02}" for number in range(count)]


def test_a_rare_message_is_kept_beside_a_common_one():
    texts = [f"{COMMON}, case {number}" for number in range(9)] + [RARE]
    kept = kept_of(texts, names(10), 2)
    assert [entry.stands_for for entry in kept] == [9, 1]
    assert texts[kept[1].index] == RARE


def test_facts_in_one_short_form_are_told_apart():
    facts = ["heron = Ripon", "kite = Selby", "tern = Oban", "swift = Diss"]
    kept = kept_of([f"It should state: {fact}" for fact in facts for _ in range(3)], names(12), 4)
    assert [(entry.index, entry.stands_for) for entry in kept] == [(0, 3), (3, 3), (6, 3), (9, 3)]


def test_where_there_are_more_groups_than_places_the_largest_are_kept():
    texts = ["alpha beta"] * 3 + ["gamma delta"] + ["epsilon zeta"] * 2
    kept = kept_of(texts, names(6), 2)
    assert [(texts[entry.index], entry.stands_for) for entry in kept] == [("alpha beta", 3), ("epsilon zeta", 2)]


@pytest.mark.parametrize(
    ("sizes", "most", "seats"),
    [
        ([3, 1, 2], 2, [1, 0, 1]),
        ([6, 3], 3, [2, 1]),
        ([6, 3], 20, [6, 3]),
        ([4, 4], 3, [2, 1]),
        ([1, 1, 1], 2, [1, 1, 0]),
        ([10, 1], 4, [3, 1]),
        ([5], 0, [0]),
    ],
)
def test_every_group_gets_a_seat_and_further_seats_go_by_size(sizes, most, seats):
    assert _seats(sizes, most) == seats


def test_equal_messages_are_chosen_by_the_examples_id_whatever_order_they_come_in():
    texts = ["the same words"] * 5
    order = ["e3", "e1", "e4", "e0", "e2"]
    (kept,) = kept_of(texts, order, 1)
    assert order[kept.index] == "e0"


WORDS = st.lists(st.sampled_from(["red", "green", "blue", "tall", "short", "round"]), max_size=5).map(" ".join)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=12), st.integers(1, 6), st.randoms())
def test_the_order_of_arrival_decides_nothing_and_everyone_is_stood_for(texts, most, random):
    ids = names(len(texts))
    kept = kept_of(texts, ids, most)
    assert len(kept) == min(most, len(texts))
    assert [entry.index for entry in kept] == sorted({entry.index for entry in kept})
    shuffled = list(range(len(texts)))
    random.shuffle(shuffled)
    again = kept_of([texts[place] for place in shuffled], [ids[place] for place in shuffled], most)
    assert {(ids[shuffled[entry.index]], entry.stands_for) for entry in again} == {
        (ids[entry.index], entry.stands_for) for entry in kept
    }
    assert sum(entry.stands_for for entry in kept) <= max(len(texts), len(kept))


def test_messages_without_a_word_are_alike_and_like_no_other():
    kept = kept_of(["...", "!!", "a word", "another one"], names(4), 3)
    assert [entry.stands_for for entry in kept] == [2, 1, 1]


# A and B -------------------------------------------------------------------------------------------------------------


def message(words, number):
    return change(words, Provenance("e0", f"step_{number}", "x"))


def test_few_messages_are_left_as_they_are():
    messages = tuple(message(f"words {number}", number) for number in range(3))
    assert ClusteredMessages(3)("v", Kind.TEXT, messages) == Gradient("v", Kind.TEXT, messages)


def test_many_messages_become_few_that_say_for_how_many_they_stand():
    source = Provenance("e0", "s", "x")
    messages = (*(message(COMMON, number) for number in range(4)), keep(source), message(RARE, 5), lost(source, "gone"))
    found = ClusteredMessages(2)("v", Kind.TEXT, messages)
    assert [entry.content for entry in found.messages] == [
        f"{COMMON} (and 3 more to the same effect)",
        None,
        RARE,
        "gone",
    ]
    assert [entry.stance for entry in found.messages] == [Stance.CHANGE, Stance.KEEP, Stance.CHANGE, Stance.LOST]


def case(words, number):
    inner = Gradient("answer", Kind.TEXT, (change(words, Provenance(f"e{number:02}")),))
    evidence = Evidence("answer", (("question", "the same long question for all"),), "out", inner)
    return Gradient("s", Kind.TEXT, (change(evidence, Provenance(f"e{number:02}", "answer", "instruction")),))


def test_worked_cases_are_grouped_by_what_they_were_told_not_by_what_they_show():
    gradients = (*(case(COMMON, number) for number in range(6)), case(RARE, 6))
    found = ClusteredEvidence(2)(Parameter("s", "x"), "x", gradients)
    assert [told(gradient) for gradient in found.gradients] == [COMMON, RARE]
    assert (found.stands_for, found.left_out) == ((6, 1), 5)


def test_few_cases_are_all_shown():
    gradients = tuple(case(COMMON, number) for number in range(3))
    found = ClusteredEvidence(3)(Parameter("s", "x"), "x", gradients)
    assert (found.gradients, found.stands_for, found.left_out) == (gradients, (), 0)


def test_cases_that_were_told_nothing_or_something_else_than_words_are_grouped_too():
    solved = Evidence("answer", (), "out", None)
    gradients = (
        worlds.gradient(solved, example="e0"),
        worlds.gradient(solved, example="e1"),
        worlds.gradient(1.5, example="e2"),
        case(RARE, 3),
    )
    found = ClusteredEvidence(3)(Parameter("s", "x"), "x", gradients)
    assert found.stands_for == (2, 1, 1)


async def test_an_update_is_told_for_how_many_a_case_stands():
    prompts = []

    def script(request):
        if worlds.is_update(request):
            prompts.append(request.messages[1].text)
        return worlds.script(request)

    method = semantic(collect=ClusteredEvidence(2), aggregate=ClusteredMessages())
    spec = worlds.specification(
        graph=worlds.graph(hints=0),
        method=method,
        providers={"forward": worlds.scripted(script)},
        minibatch=8,
        examples_per_gradient=None,
    )
    await optimize(spec)
    assert "like_it=" in prompts[0]
    assert "A case with like_it stands for so many that were told much the same." in prompts[0]
    assert "(6 more cases are not shown.)" in prompts[0]
