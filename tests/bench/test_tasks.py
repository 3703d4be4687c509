"""From a name to a task: built-in tasks, and clear words for names that are none."""

import pytest

from semprop.bench.data import DataSource
from semprop.bench.task import Defaults, Sizes, Task
from semprop.bench.tasks import built_in, resolve
from semprop.engine.errors import DataError, SpecificationError, UsageError
from semprop.engine.example import Splits
from semprop.engine.losses import Exact, PureLoss
from semprop.engine.shapes import chain


def test_the_published_tasks_are_built_in():
    names = list(built_in())
    assert {"gsm8k", "liar", "bbh:navigate"} <= set(names)
    assert len([name for name in names if name.startswith("bbh:")]) == 27


@pytest.mark.parametrize("task", built_in().values(), ids=list(built_in()))
def test_every_task_is_whole(task):
    assert resolve(task.name).graph == task.graph
    assert task.description
    assert task.note
    assert isinstance(task.loss, PureLoss)
    assert set(task.clauses) <= set(task.graph.trainable)
    assert all(group for pool in task.clauses.values() for group in pool)
    assert {node.role for node in task.graph.nodes if hasattr(node, "role")} <= set(task.defaults.providers)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gsm8", r"no task 'gsm8'\. Did you mean gsm8k\? Tasks: .*bbh:word_sorting.*path\.py:task, or path\.toml"),
        ("navigate", r"Did you mean bbh:navigate\?"),
        ("bbh:boolean_expression", r"Did you mean bbh:boolean_expressions\?"),
        ("qqq", r"no task 'qqq'\. Tasks: sentiment, cities, gsm8k, liar, bbh"),
        ("", r"no task ''"),
        ("rows.jsonl", r"rows\.jsonl is a data file: describe the task in a TOML file"),
        ("gone.toml", r"there is no file gone\.toml"),
        ("gone.py:task", r"there is no file gone\.py: name a Python file, as in path\.py:task"),
    ],
)
def test_a_name_that_is_no_task_is_told_what_would_be(name, message):
    with pytest.raises(UsageError, match=message):
        resolve(name)


@pytest.mark.parametrize("sizes", [(-1, 1, 1), (1, -1, 1), (1, 1, -1)])
def test_a_negative_size_is_refused(sizes):
    with pytest.raises(SpecificationError, match=r"is -1: give 0 or more"):
        Sizes(*sizes)


@pytest.mark.parametrize("name", ["steps", "minibatch", "examples_per_gradient", "candidates", "in_flight"])
def test_a_default_of_zero_is_refused(name):
    with pytest.raises(SpecificationError, match=f"{name} is 0: give 1 or more"):
        Defaults(Sizes(1, 1, 1), **{name: 0})


def test_clauses_for_what_is_no_parameter_are_refused():
    plain = Defaults(Sizes(1, 1, 1))
    with pytest.raises(SpecificationError, match=r"'t' has clauses for 'gone'.*there are: answer_instruction"):
        Task("t", "", chain(["x"]), Exact(), lambda *_: Splits((), ()), plain, clauses={"gone": (("x",),)})


@pytest.mark.parametrize("name", ["gsm8k", "liar", "bbh:navigate"])
def test_data_are_opened_when_they_are_loaded_and_not_before(tmp_path, name):
    task = resolve(name)
    with pytest.raises(DataError, match="gone is not a directory"):
        task.load(DataSource(directory=tmp_path / "gone"), 0, task.defaults.sizes)
