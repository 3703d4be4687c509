"""`sentiment`: the reviews are fair, and what an optimization may try fits the graph."""

from __future__ import annotations

import re

import pytest

from semprop.bench.sentiment import CLAUSES, HELD_OUT, LABELS, TASK, TRAINING, Wording, examples, reviews
from semprop.bench.task import Sizes
from semprop.engine.errors import DataError
from semprop.engine.example import Example, Splits, normalised
from semprop.engine.graph import model_nodes
from semprop.engine.methods.clauses import instructions

FUNCTION_WORDS = frozenset(
    re.findall("[a-z]+", "a about and at for i in is it last me my of our that the their this to us was we")
)


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.casefold())) - FUNCTION_WORDS


def content(wording: Wording) -> set[str]:
    texts = (*wording.frames, *wording.things, *wording.positive, *wording.negative)
    return words(" ".join(texts).replace("{thing}", "").replace("{opinion}", ""))


def test_held_out_reviews_share_no_frame_and_no_content_word_with_training() -> None:
    assert not set(TRAINING.frames) & set(HELD_OUT.frames)
    assert not content(TRAINING) & content(HELD_OUT)


@pytest.mark.parametrize("wording", [TRAINING, HELD_OUT])
def test_no_frame_and_no_thing_tells_the_label(wording: Wording) -> None:
    rows = reviews(wording)
    assert len({normalised(row) for row in rows}) == len(rows)
    for piece in (*wording.frames, *wording.things):
        shown = re.escape(piece).replace(r"\{thing\}", ".*").replace(r"\{opinion\}", ".*")
        matching = [row.expected for row in rows if re.search(shown, row.inputs["review"])]
        assert matching.count(LABELS[0]) == matching.count(LABELS[1]) > 0


@pytest.mark.parametrize("seed", range(5))
def test_every_prefix_of_a_split_has_both_labels_equally_often(seed: int) -> None:
    splits = examples(seed)
    for split in (splits.train, splits.gate, splits.test):
        for end in range(2, len(split) + 1, 2):
            labels = [example.expected for example in split[:end]]
            assert labels.count("positive") == labels.count("negative")


def test_the_same_seed_gives_the_same_examples_and_another_seed_others() -> None:
    assert examples(3) == examples(3)
    assert texts(examples(3).test) != texts(examples(4).test)


def test_the_side_of_a_review_depends_on_the_seed_alone_and_not_on_the_sizes() -> None:
    small, large = examples(1, Sizes(10, 10, 10)), examples(1, Sizes(100, 100, 100))
    assert texts(small.train) == texts(large.train)[:10]
    assert texts(small.gate) == texts(large.gate)[:10]
    assert not set(texts(large.train)) & set(texts(large.gate))


def test_more_reviews_than_there_are_is_an_error_that_says_how_many() -> None:
    with pytest.raises(DataError, match="840"):
        examples(0, Sizes(16, 16, 2000))


def test_the_graph_has_two_model_nodes_in_a_chain_with_an_instruction_each() -> None:
    feeling, label = model_nodes(TASK.graph)
    assert [slot.source for slot in label.slots] == ["label_instruction", feeling.name]
    assert TASK.graph.trainable == ("feeling_instruction", "label_instruction") == tuple(CLAUSES)


def test_every_instruction_of_the_pool_fits_its_parameter_and_is_not_the_start() -> None:
    for name, pool in CLAUSES.items():
        parameter = TASK.graph.parameter(name)
        offered = instructions(pool)
        assert len(offered) == 16
        assert parameter.value not in offered
        assert max(len(text.encode()) for text in offered) <= parameter.max_bytes


def test_the_task_measures_at_least_a_hundred_held_out_reviews() -> None:
    splits: Splits = examples(0, TASK.defaults.sizes)
    assert len(splits.test) >= 100
    assert all(isinstance(row, Example) and row.id.startswith("held-out") for row in splits.test)


def texts(split: tuple[Example, ...]) -> list[str]:
    return [example.inputs["review"] for example in split]
