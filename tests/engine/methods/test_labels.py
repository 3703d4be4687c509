"""Wrong labels: whose they are, how many, and who never sees them."""

import pytest
import worlds
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import Example, Score, SpecificationError, optimize, semantic
from semprop.engine.losses import Objective
from semprop.engine.method import Scored
from semprop.engine.methods.labels import mislabelled, permuted_labels, with_wrong_labels
from semprop.engine.methods.mixed import mixed
from semprop.engine.methods.numerical import numerical
from semprop.engine.methods.reverse_mode import reverse_mode


def labelled(labels):
    return [Example(f"e{number}", {"question": str(number)}, label) for number, label in enumerate(labels)]


@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=30), st.integers(0, 5))
def test_labels_are_permuted_and_all_are_wrong_where_no_label_makes_up_more_than_half(labels, seed):
    if len(set(labels)) < 2:
        return
    found = permuted_labels(labelled(labels), 1.0, seed)
    assert sorted(found.values()) == sorted(labels)
    most = max(labels.count(label) for label in labels)
    same = sum(found[f"e{number}"] == label for number, label in enumerate(labels))
    assert same == max(0, 2 * most - len(labels))


@pytest.mark.parametrize(("share", "count"), [(0.25, 5), (0.5, 10), (1.0, 20), (0.01, 2)])
def test_a_share_of_the_labels_is_drawn_by_the_seed(share, count):
    examples = labelled([str(number) for number in range(20)])
    found = [permuted_labels(examples, share, seed) for seed in range(4)]
    assert {len(entry) for entry in found} == {count}
    assert permuted_labels(examples, share, 0) == found[0]
    assert share == 1.0 or len({tuple(sorted(entry)) for entry in found}) > 1


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(SpecificationError, match="more than 0 and at most 1"):
        permuted_labels(labelled("abab"), share, 0)


@pytest.mark.parametrize("labels", [["a", "a", "a"], [None, None]])
def test_where_labels_do_not_differ_there_are_no_wrong_ones(labels):
    with pytest.raises(SpecificationError, match="two or more"):
        permuted_labels(labelled(labels), 1.0, 0)


def test_the_losss_own_words_go_with_the_true_label():
    example = worlds.example(1)
    tape = worlds.tape(worlds.graph(hints=0), example, {"answer": "6"})
    found = mislabelled(Scored(tape, Score(0.0, "it is 4")), {example.id: "9"})
    assert (found.tape.example.expected, found.score.feedback, found.score.value) == ("9", "", 0.0)
    untouched = Scored(tape, Score(0.0, "it is 4"))
    assert mislabelled(untouched, {}) is untouched


def test_the_derivative_of_the_true_label_goes_with_it():
    example = worlds.example(1)
    tape = worlds.tape(worlds.graph(hints=0), example, {"answer": "6"})
    found = mislabelled(Scored(tape, Score(0.5, objective=Objective(0.5, 1.0))), {example.id: "9"})
    assert found.score == Score(0.5)


@pytest.mark.parametrize("method", [reverse_mode(), numerical(), mixed()], ids=lambda method: method.name)
def test_a_method_that_reads_the_derivative_of_the_loss_takes_no_wrong_labels(method):
    with pytest.raises(SpecificationError, match="derivative of the loss, which is that of the true"):
        with_wrong_labels(method, labelled("abab"), 1.0, 0)


async def test_what_learns_sees_wrong_labels_and_what_judges_sees_true_ones():
    prompts = []

    def script(request):
        if worlds.is_update(request):
            prompts.append(request.messages[1].text)
        return worlds.script(request)

    splits = worlds.splits(train=8, test=4)
    method = with_wrong_labels(semantic(), splits.train, 1.0, 0)
    spec = worlds.specification(
        graph=worlds.graph(hints=0), method=method, splits=splits, providers={"forward": worlds.scripted(script)}
    )
    result = await optimize(spec)
    for example in splits.train:
        for prompt in prompts:
            if example.inputs["question"] in prompt:
                case = prompt.partition(example.inputs["question"])[2].partition("</case>")[0]
                assert f"is: {example.expected}\n" not in case
                assert "The expected output is: " in case
    assert prompts
    assert result.held_out.strict.after == 1.0
    assert "8 of 8 training labels were wrong" in method.notes[-1]
