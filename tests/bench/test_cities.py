"""`cities`: the sentences are fair, and what an optimization may try fits the graph."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from semprop.bench.cities import CLAUSES, HELD_OUT, TASK, TRAINING, Wording, examples, sentences
from semprop.bench.task import Sizes
from semprop.engine.errors import DataError
from semprop.engine.example import normalised
from semprop.engine.graph import model_nodes
from semprop.engine.methods.clauses import instructions
from semprop.engine.parameters import Demonstrations

FUNCTION_WORDS = frozenset(
    re.findall("[a-z]+", "a after and at for from had have i in is my of our the their there they to was we")
)


def content(wording: Wording) -> set[str]:
    text = " ".join(wording.frames).replace("{city}", "").casefold()
    return set(re.findall(r"[a-z]+", text)) - FUNCTION_WORDS


def test_held_out_sentences_share_no_frame_no_content_word_and_no_city_with_training() -> None:
    assert not set(TRAINING.frames) & set(HELD_OUT.frames)
    assert not content(TRAINING) & content(HELD_OUT)
    assert not set(TRAINING.cities) & set(HELD_OUT.cities)


@pytest.mark.parametrize("wording", [TRAINING, HELD_OUT])
def test_every_sentence_names_its_city_once_and_no_other(wording: Wording) -> None:
    rows = sentences(wording)
    assert len({normalised(row) for row in rows}) == len(rows) == 128
    for row in rows:
        named = [city for city in wording.cities if city in row.inputs["sentence"]]
        assert named == [row.expected]


@pytest.mark.parametrize("seed", range(5))
def test_every_split_has_its_size_and_all_frames_about_equally_often(seed: int) -> None:
    splits = examples(seed)
    for name in ("train", "gate", "test"):
        split = getattr(splits, name)
        counts = Counter(example.group for example in split)
        assert len(split) == getattr(TASK.defaults.sizes, name)
        assert len(counts) == 8
        assert max(counts.values()) - min(counts.values()) <= 1


def test_the_same_seed_gives_the_same_examples_and_another_seed_others() -> None:
    assert examples(3) == examples(3)
    assert examples(3).test != examples(4).test


def test_more_sentences_than_there_are_is_an_error_that_says_how_many() -> None:
    with pytest.raises(DataError, match="128"):
        examples(0, Sizes(16, 16, 500))


def test_the_graph_has_two_model_nodes_in_a_chain_and_no_demonstrations_at_the_start() -> None:
    place, city = model_nodes(TASK.graph)
    assert [slot.source for slot in city.slots] == ["city_instruction", "city_demonstrations", place.name]
    assert TASK.graph.trainable == ("place_instruction", "city_instruction", "city_demonstrations")
    assert TASK.graph.initial["city_demonstrations"] == Demonstrations()


def test_every_instruction_of_the_pools_fits_its_parameter_and_is_not_the_start() -> None:
    for name, pool in CLAUSES.items():
        parameter = TASK.graph.parameter(name)
        offered = instructions(pool)
        assert parameter.value not in offered
        assert max(len(text.encode()) for text in offered) <= parameter.max_bytes
