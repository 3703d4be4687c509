"""`gsm8k`: the published rows, the number behind the mark, the paper's graph."""

import pytest

from semprop.bench import gsm8k, hints
from semprop.bench.task import Sizes
from semprop.engine.errors import DataError
from semprop.engine.example import normalised
from semprop.engine.losses import Answer
from semprop.engine.nodes import ReplyFormat

SMALL = Sizes(train=5, gate=5, test=5)


def test_the_graph_has_seven_variables_three_of_them_parameters():
    graph = gsm8k.TASK.graph
    assert len(graph.inputs) + len(graph.parameters) + len(graph.nodes) == 7
    assert graph.trainable == ("hint_1_instruction", "hint_2_instruction", "answer_instruction")
    assert [slot.source for slot in graph.node("answer").slots[1:]] == ["question", "hint_1", "hint_2"]


def test_both_hints_start_with_the_same_words_and_every_reply_is_tagged_and_greedy():
    graph = gsm8k.TASK.graph
    assert graph.initial["hint_1_instruction"] == graph.initial["hint_2_instruction"] == hints.HINT
    assert {(node.reply, node.sampling.temperature, node.sampling.max_tokens) for node in graph.nodes} == {
        (ReplyFormat.TAGGED, 0.0, 1024)
    }


def test_the_expected_answer_is_the_number_behind_the_mark(fixtures):
    rows = gsm8k.examples(fixtures.path("gsm8k/test.jsonl"), "gsm8k/test")
    assert rows[0].id == "gsm8k/test:1"
    assert rows[0].expected == "1,018"
    assert gsm8k.TASK.loss(rows[0], Answer("$1018.00")).value == 1.0


def test_train_and_gate_come_from_the_training_file_and_test_from_the_test_file(fixtures):
    splits = gsm8k.TASK.load(fixtures, 0, SMALL)
    assert {example.id.split(":")[0] for example in (*splits.train, *splits.gate)} == {"gsm8k/train"}
    assert {example.id.split(":")[0] for example in splits.test} == {"gsm8k/test"}
    assert [len(part) for part in (splits.train, splits.gate, splits.test)] == [5, 5, 5]


def test_equal_seeds_draw_equal_splits_and_others_do_not(fixtures):
    assert gsm8k.TASK.load(fixtures, 3, SMALL) == gsm8k.TASK.load(fixtures, 3, SMALL)
    assert gsm8k.TASK.load(fixtures, 3, SMALL) != gsm8k.TASK.load(fixtures, 4, SMALL)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "?", "answer": "no mark"}', r"rows\.jsonl:2: the answer does not end in #### and a number"),
        ('{"question": "?", "answer": "sum #### "}', r"rows\.jsonl:2: the answer does not end"),
        ('{"answer": "x #### 2"}', r"rows\.jsonl:2: there is no 'question'; the row has: answer"),
        ("{", r"rows\.jsonl:2: not JSON"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(tmp_path, line, message):
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"question": "1 + 1", "answer": "sum #### 2"}}\n{line}\n')
    with pytest.raises(DataError, match=message):
        gsm8k.examples(path, "x")


@pytest.mark.data
def test_the_published_rows_are_all_there_and_their_answers_are_numbers(published):
    train = gsm8k.examples(published.path("gsm8k/train.jsonl"), "train")
    test = gsm8k.examples(published.path("gsm8k/test.jsonl"), "test")
    assert (len(train), len(test)) == (7473, 1319)
    assert all(gsm8k.TASK.loss(example, Answer(example.expected)).value == 1.0 for example in (*train, *test))
    assert not {normalised(example) for example in train} & {normalised(example) for example in test}


@pytest.mark.data
def test_the_published_sizes_can_be_drawn(published):
    splits = gsm8k.TASK.load(published, 0, gsm8k.PUBLISHED_SIZES)
    assert [len(part) for part in (splits.train, splits.gate, splits.test)] == [128, 128, 1319]
