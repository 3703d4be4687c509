"""`bbh:NAME`: 27 tasks, each with a loss that its own answers satisfy."""

import pytest

from semprop.bench import bbh
from semprop.bench.task import Sizes
from semprop.engine.errors import DataError
from semprop.engine.example import normalised
from semprop.engine.losses import Answer, CaseFolded, MultipleChoice, Numeric

TASKS = {task.name: task for task in bbh.tasks()}


def test_there_are_27_tasks_with_the_paper_s_graph():
    assert len(TASKS) == 27
    assert {len(task.graph.nodes) for task in TASKS.values()} == {3}


@pytest.mark.parametrize(
    ("name", "loss", "labels"),
    [
        ("boolean_expressions", CaseFolded, ("True", "False")),
        ("formal_fallacies", CaseFolded, ("valid", "invalid")),
        ("navigate", CaseFolded, ("Yes", "No")),
        ("object_counting", Numeric, ()),
        ("word_sorting", CaseFolded, ()),
        ("snarks", MultipleChoice, ("(A)", "(B)")),
    ],
)
def test_the_loss_and_the_labels_fit_the_answers(name, loss, labels):
    task = TASKS[f"bbh:{name}"]
    assert isinstance(task.loss, loss)
    assert task.labels == labels


@pytest.mark.parametrize("name", ["boolean_expressions", "temporal_sequences"])
def test_the_fixtures_load_and_their_own_answers_are_right(fixtures, name):
    task = TASKS[f"bbh:{name}"]
    splits = task.load(fixtures, 0, Sizes(train=4, gate=4, test=4))
    examples = (*splits.train, *splits.gate, *splits.test)
    assert all(task.loss(example, Answer(example.expected)).value == 1.0 for example in examples)
    assert {example.group for example in examples} == {name}
    assert {example.expected for example in examples} <= set(task.labels)


def test_a_choice_may_be_answered_with_the_bare_letter_but_not_with_another(fixtures):
    task = TASKS["bbh:temporal_sequences"]
    example = bbh.examples(fixtures.path("bbh/temporal_sequences.json"), "x")[1]
    assert example.expected == "(B)"
    assert [task.loss(example, Answer(text)).value for text in ("B", "(b)", "A", "(A) or (B)")] == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"rows\.json cannot be read"),
        ("[]", r"rows\.json: expected \{\"examples\": \[\.\.\.\]\}"),
        (
            '{"examples": [{"input": "x", "target": "y"}, {"input": "x"}]}',
            r"rows\.json, example 2: expected a text",
        ),
        ('{"examples": [{"input": "x", "target": 3}]}', r"example 1: expected a text input and a text target"),
    ],
)
def test_a_malformed_file_is_named_with_the_example(tmp_path, text, message):
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        bbh.examples(path, "x")


@pytest.mark.data
@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_every_published_task_loads_and_its_own_answers_are_right(published, task):
    name = task.name.removeprefix("bbh:")
    rows = bbh.examples(published.path(f"bbh/{name}.json"), name)
    assert all(task.loss(example, Answer(example.expected)).value == 1.0 for example in rows)
    # Three rows of two tasks were published with options that commas had cut up.
    assert len([example for example in rows if task.labels and example.expected not in task.labels]) <= 2
    for seed in range(3):
        splits = task.load(published, seed, task.defaults.sizes)
        assert len(splits.train) >= 20
        assert len(splits.gate) >= 20
        assert len(splits.test) >= 70


@pytest.mark.data
def test_the_published_rows_are_6511_and_equal_questions_never_part(published):
    total, pairs = 0, []
    for task in TASKS.values():
        name = task.name.removeprefix("bbh:")
        rows = bbh.examples(published.path(f"bbh/{name}.json"), name)
        total += len(rows)
        owner = {}
        pairs += [
            (task, example.id, owner[normalised(example)])
            for example in rows
            if owner.setdefault(normalised(example), example.id) != example.id
        ]
    assert total == 6511
    assert len(pairs) == 4
    for task, one, other in pairs:
        for seed in range(5):
            splits = task.load(published, seed, Sizes(250, 250, 250))
            parts = [{example.id for example in part} for part in (splits.train, splits.gate, splits.test)]
            assert [one in part for part in parts] == [other in part for part in parts]
