"""`liar`: rows are read whole, made binary as in the paper, and 13 variables make the graph."""

import pytest

from semprop.bench import liar
from semprop.bench.rows import table
from semprop.bench.task import Sizes
from semprop.engine.errors import DataError
from semprop.engine.example import normalised
from semprop.engine.losses import Answer


def rows(*lines):
    return "\n".join("\t".join(line) for line in lines) + "\n"


def row(label="false", statement="It rains", job="Mayor", state="North", party="greens", context="a speech"):
    return ["1.json", label, statement, "rain", "somebody", job, state, party, "0", "0", "0", "0", "0", context]


def read(tmp_path, *lines):
    path = tmp_path / "rows.tsv"
    path.write_text(rows(*lines), encoding="utf-8")
    return liar.examples(path, "x")


def test_the_graph_has_13_variables_six_of_them_parameters():
    graph = liar.TASK.graph
    assert len(graph.inputs) + len(graph.parameters) + len(graph.nodes) == 13
    assert len(graph.trainable) == 6
    assert [slot.source for slot in graph.node("answer").slots] == [
        "answer_instruction",
        "query",
        *(f"{attribute}_analysis" for attribute in ("statement", "party", "job_title", "source", "state")),
    ]


def test_a_false_statement_is_a_lie_and_a_true_one_is_not_and_the_rest_is_left_out(tmp_path):
    labels = ("false", "true", "half-true", "mostly-true", "barely-true", "pants-fire")
    found = read(tmp_path, *(row(label, f"No. {number}") for number, label in enumerate(labels)))
    assert [(example.id, example.expected) for example in found] == [("x:1", "Yes"), ("x:2", "No")]
    assert liar.TASK.loss(found[0], Answer("yes.")).value == 1.0


def test_colons_and_quotation_marks_stay_in_the_statement(tmp_path):
    statement = 'Says "roads" cost: 3 million, and "no more'
    (found, other) = read(tmp_path, row(statement=statement), row("true"))
    assert found.inputs["query"].splitlines() == [
        f"Statement: {statement}",
        "Job title: Mayor",
        "State: North",
        "Party: greens",
        "Source: a speech",
    ]
    assert other.expected == "No"


@pytest.mark.parametrize("field", ["job", "state", "party", "context", "statement"])
@pytest.mark.parametrize("text", ["", " ", "none", "None", "2016", "- none -"])
def test_a_row_with_an_attribute_that_says_nothing_is_left_out(tmp_path, field, text):
    assert read(tmp_path, row(**{field: text})) == ()


def test_an_attribute_that_is_not_used_may_be_empty(tmp_path):
    line = row()
    line[3] = line[4] = ""
    assert len(read(tmp_path, line)) == 1


def test_a_row_with_too_few_fields_is_named_by_file_and_line(tmp_path):
    with pytest.raises(DataError, match=r"rows\.tsv:2: 3 fields where there are 14 columns"):
        read(tmp_path, row(), ["1", "false", "It rains"])


def test_an_unknown_label_is_named_by_file_and_line(tmp_path):
    with pytest.raises(DataError, match=r"rows\.tsv:1: 'maybe' is none of the six labels"):
        read(tmp_path, row("maybe"))


def test_the_fixtures_load_and_a_question_of_the_training_table_is_not_tested(fixtures):
    splits = liar.TASK.load(fixtures, 0, Sizes(100, 100, 100))
    assert min(len(splits.train), len(splits.gate), len(splits.test)) > 0
    everywhere = liar.examples(fixtures.path("liar/test.tsv"), "liar/test")
    trained = {normalised(example) for example in splits.train}
    assert any(normalised(example) in trained for example in everywhere)
    assert not any(normalised(example) in trained for example in splits.test)
    assert len(splits.test) == len(everywhere) - 1


@pytest.mark.data
def test_the_published_tables_have_the_rows_that_were_counted(published):
    assert len(list(table(published.path("liar/train.tsv"), liar.DIALECT))) == 10_269
    found = liar.examples(published.path("liar/train.tsv"), "train")
    assert len(found) == 2343
    assert [sum(example.expected == answer for example in found) for answer in ("Yes", "No")] == [1242, 1101]
    assert [len(liar.examples(published.path(f"liar/{name}.tsv"), name)) for name in ("valid", "test")] == [276, 296]


@pytest.mark.data
def test_the_default_sizes_can_be_drawn_from_the_published_tables(published):
    splits = liar.TASK.load(published, 0, liar.SIZES)
    assert [len(part) for part in (splits.train, splits.gate, splits.test)] == [50, 100, 200]
