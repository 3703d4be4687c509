"""The user's own tasks: the examples that are shown work, and mistakes are told by file and place."""

import shutil

import pytest

from semprop.bench.data import DataSource
from semprop.bench.task import HOSTED, Sizes
from semprop.bench.tasks import resolve
from semprop.bench.user_tasks import from_python
from semprop.engine.constraints import MaxWords, Pattern, Placeholders
from semprop.engine.errors import DataError, GraphError, SpecificationError, UsageError
from semprop.engine.losses import Answer, CaseFolded, Judge, LabelProbability, Numeric
from semprop.engine.nodes import Placement, ReplyFormat
from semprop.engine.parameters import Demonstration, Demonstrations, Number

NOWHERE = DataSource()


def load(task, seed=0):
    return task.load(NOWHERE, seed, task.defaults.sizes)


def test_a_toml_task_with_a_ready_shape(own):
    task = resolve(str(own / "capitals.toml"))
    assert task.name == "capitals"
    assert task.loss == CaseFolded()
    assert [node.name for node in task.graph.nodes] == ["place", "answer"]
    assert task.graph.node("answer").reply is ReplyFormat.TAGGED
    assert task.graph.node("answer").sampling.max_tokens == 64
    assert task.defaults.sizes == Sizes(6, 5, 5)
    assert task.defaults.providers["update"] == "simulated:"
    assert task.clauses["answer_instruction"][1] == ("", "Answer with one word.")
    splits = load(task)
    assert {example.id.split(":")[0] for example in splits.train} == {"capitals.jsonl"}
    assert {example.group for example in (*splits.train, *splits.gate, *splits.test)} <= {
        *("Africa", "America", "Asia", "Europe")
    }


def test_a_toml_task_that_names_a_forward_provider_leaves_no_role_to_a_service_it_does_not_name(tmp_path):
    alone = resolve(written(tmp_path, MINIMAL + '\n[defaults]\nproviders = { forward = "ollama:small" }\n'))
    assert dict(alone.defaults.providers) == {"forward": "ollama:small"}
    other = resolve(written(tmp_path, MINIMAL + '\n[defaults]\nproviders = { update = "ollama:large" }\n'))
    assert dict(other.defaults.providers) == {**HOSTED, "update": "ollama:large"}


def test_a_toml_task_with_nodes_and_tables_by_split(own):
    task = resolve(str(own / "reviews.toml"))
    graph = task.graph
    assert (task.name, task.labels) == ("reviews", ("Yes", "No"))
    assert graph.inputs == ("review", "rating")
    assert graph.parameter("tone").max_bytes == 300
    assert graph.parameter("tone").constraints == (MaxWords(20), Pattern(r"[A-Z].*\.", "a sentence"))
    assert graph.parameter("verdict_instruction").constraints == (Placeholders(("guest",)),)
    assert graph.initial["shots"] == Demonstrations((Demonstration((("review", "Splendid"), ("mood", "glad")), "Yes"),))
    assert graph.initial["heat"] == Number(0.2, 0, 1)
    verdict = graph.node("verdict")
    assert (verdict.placement, verdict.choices, verdict.sampling.max_tokens) == (Placement.USER, ("Yes", "No"), 4)
    assert [(slot.name, slot.source) for slot in verdict.slots][-1] == ("stars", "rating")
    splits = load(task)
    assert {example.id.split(":")[0] for example in (*splits.train, *splits.gate)} == {"reviews_train.csv"}
    assert [example.id for example in sorted(splits.test, key=lambda example: example.id)] == [
        "reviews_test.csv:2",
        "reviews_test.csv:3",
    ]


def test_a_field_of_a_table_may_span_lines_and_the_next_row_keeps_its_number(own):
    rows = resolve(str(own / "reviews.toml")).load.examples("train")
    assert rows[1].inputs["review"] == 'They said "soon", then\nnothing'
    assert [example.id for example in rows[1:3]] == ["reviews_train.csv:3", "reviews_train.csv:5"]


def test_a_constraint_that_cannot_be_kept_is_told_with_its_table(own, tmp_path):
    text = (own / "reviews.toml").read_text().replace('placeholders = ["guest"]', 'placeholders = ["host"]')
    (tmp_path / "reviews.toml").write_text(text)
    with pytest.raises(SpecificationError, match=r"node 2 'verdict': .* does not contain 'host'"):
        resolve(str(tmp_path / "reviews.toml"))


@pytest.mark.parametrize("name", ["doubling.py:task", "doubling.py:again", "doubling.py"])
def test_a_python_task_is_a_value_or_a_function_that_gives_it(own, name):
    task = resolve(f"{own}/{name}")
    assert task.name == "doubling"
    example = load(task).train[0]
    assert task.loss(example, Answer(str(2 * int(example.inputs["number"])))).value == 1.0


def test_a_dataclass_with_written_types_works_inside_a_python_task(tmp_path, own):
    text = (own / "doubling.py").read_text()
    head = "from __future__ import annotations\nimport dataclasses\n"
    (tmp_path / "boxed.py").write_text(f"{head}@dataclasses.dataclass\nclass Box:\n    kind: int = 3\n{text}")
    assert resolve(f"{tmp_path}/boxed.py:task").name == "doubling"


@pytest.mark.parametrize(
    ("text", "attribute", "message"),
    [
        ("x = 1 +\n", "task", r"mine\.py cannot be loaded: SyntaxError: .*\(line 1\)"),
        ("x = 1\ny = x / 0\n", "task", r"cannot be loaded: ZeroDivisionError: division by zero \(line 2\)"),
        ("import not_a_module_at_all\n", "task", r"cannot be loaded: ModuleNotFoundError: .*\(line 1\)"),
        ("x = 1\n", "task", r"mine\.py has no 'task'; tasks in it: none"),
        ("task = 3\n", "task", r"mine\.py:task is int, expected semprop\.bench\.task\.Task or a function"),
        ("def task():\n    return 3\n", "task", r"mine\.py:task is int"),
        ("def task():\n    raise KeyError('k')\n", "task", r"mine\.py:task raised KeyError: 'k' \(line 2\)"),
        ("def task(x):\n    return x\n", "task", r"mine\.py:task raised TypeError"),
    ],
)
def test_a_python_file_that_gives_no_task_says_why(tmp_path, text, attribute, message):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UsageError, match=message):
        resolve(f"{tmp_path}/mine.py:{attribute}")


def test_the_tasks_of_a_python_file_are_named_when_another_is_asked_for(own):
    with pytest.raises(UsageError, match=r"has no 'gone'; tasks in it: task"):
        resolve(f"{own}/doubling.py:gone")


MINIMAL = """
data = "rows.jsonl"
inputs = ["question"]
expected = "answer"
loss = "exact"

[[node]]
name = "answer"
instruction = "Answer."
inputs = ["question"]
"""


def written(tmp_path, toml=MINIMAL, rows='{"question": "a", "answer": "b"}\n', name="rows.jsonl"):
    (tmp_path / "mine.toml").write_text(toml, encoding="utf-8")
    (tmp_path / name).write_text(rows, encoding="utf-8")
    return str(tmp_path / "mine.toml")


def changed(old, new):
    assert MINIMAL.count(old) == 1
    return MINIMAL.replace(old, new)


def test_the_smallest_toml_task(tmp_path):
    rows = "".join(f'{{"question": "number {number}", "answer": {number}}}\n\n' for number in range(40))
    task = resolve(written(tmp_path, rows=rows))
    assert (task.name, task.graph.output) == ("mine", "answer")
    assert task.graph.node("answer").sampling.max_tokens == 1024
    assert {example.expected for example in load(task).train} <= {str(number) for number in range(40)}


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("x = [", r"mine\.toml cannot be read"),
        (changed('data = "rows.jsonl"', ""), r"mine\.toml: the field 'data' is missing; add it"),
        (changed('data = "rows.jsonl"', "data = 3"), r"field 'data': expected a file, a list of files"),
        (
            changed('data = "rows.jsonl"', 'data = { train = "a.csv" }'),
            r"field 'data': expected files for train and test",
        ),
        (changed('data = "rows.jsonl"', 'data = { train = "a", test = "b", dev = "c" }'), r"files for train and test"),
        (changed('["question"]\nexpected', '"question"\nexpected'), r"field 'inputs': expected columns, as \["),
        (changed('["question"]\nexpected', "[]\nexpected"), r"field 'inputs': expected columns"),
        (changed('["question"]\nexpected', "[3]\nexpected"), r"field 'inputs': expected columns"),
        (changed('loss = "exact"', 'loss = "exakt"'), r"there is no loss 'exakt'; there are: exact"),
        (
            changed('loss = "exact"', 'loss = { name = "exact", tolerance = 1 }'),
            r"loss 'exact': unknown fields 'tolerance'",
        ),
        (changed('loss = "exact"', "loss = 3"), r"mine\.toml, loss: expected an object with fields, found int"),
        (changed('loss = "exact"', 'loss = "exact"\nlose = 1'), r"mine\.toml: unknown fields 'lose'; remove them"),
        (changed('name = "answer"\n', ""), r"mine\.toml, node 1: the field 'name' is missing"),
        (changed('instruction = "Answer."', ""), r"node 1 'answer': the field 'parameter' is missing"),
        (changed('instruction = "Answer."', "instruction = 3"), r"node 1 'answer', field 'instruction': expected str"),
        (
            changed('instruction = "Answer."', 'instruction = "x"\nreply = "json"'),
            r"'reply': str 'json' is none of whole",
        ),
        (
            changed('instruction = "Answer."', 'instruction = "x"\nsampling = { heat = 1 }'),
            r"sampling: unknown fields 'heat'",
        ),
        (changed('instruction = "Answer."', 'instruction = "x"\nsampling = 1'), r"sampling: expected an object"),
        (MINIMAL[: MINIMAL.index("[[node]]")], r"mine\.toml: there is no graph; add \[\[node\]\] tables, or \[graph\]"),
        (MINIMAL + "\n[sizes]\ntrain = -3\n", r"the size of train is -3: give 0 or more"),
        (MINIMAL + "\n[sizes]\ntrian = 3\n", r"mine\.toml, sizes: unknown fields 'trian'"),
        (MINIMAL + "\n[defaults]\nsteps = 0\n", r"steps is 0: give 1 or more"),
        (
            MINIMAL + "\n[defaults]\nproviders = { forward = 3 }\n",
            r"defaults, field 'providers': expected str, found int",
        ),
        (
            MINIMAL + "\n[clauses]\nanswer_instruction = ['x']\n",
            r"field 'clauses': expected groups of texts for answer",
        ),
        (MINIMAL + "\n[clauses]\ngone = [['x']]\n", r"has clauses for 'gone', which is no parameter"),
        (MINIMAL + "\n[[parameter]]\nname = 'p'\n", r"parameter 1 'p': give one of text, number, demonstrations"),
        (MINIMAL + "\n[[parameter]]\nname = 'p'\nnumber = 3\nlow = 4\n", r"3\.0 is outside \[4\.0, inf\]"),
        (
            MINIMAL + "\n[[parameter]]\nname = 'p'\ndemonstrations = [{ inputs = { q = 'x' } }]\n",
            r"'output' is missing",
        ),
    ],
)
def test_a_malformed_toml_task_says_what_and_where(tmp_path, toml, message):
    with pytest.raises(SpecificationError, match=message):
        resolve(written(tmp_path, toml))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ('shape = "ring"', r"graph, field 'shape': 'ring' is none of chain, layered, fan"),
        ('shape = "chain"', r"the field 'instructions' is missing"),
        ('shape = "chain"\ninstructions = ["a"]\nskips = "some"', r"field 'skips': str 'some' is none of none, inputs"),
        ('shape = "chain"\ninstructions = []', r"mine\.toml: a shape has a layer without instructions"),
        ('shape = "layered"\nlayers = [["a"], "b"]', r"field 'layers': expected list of texts, found str 'b'"),
        ('shape = "fan"\nbranches = { a = 1 }\njoin = "j"', r"field 'branches': expected str, found int"),
        ('shape = "fan"\nbranches = 3\njoin = "j"', r"field 'branches': expected list of texts"),
        ('shape = "fan"\nbranches = ["a"]\njoin = "j"\nwidth = 3', r"graph: unknown fields 'width'"),
    ],
)
def test_a_malformed_shape_says_what_and_where(tmp_path, graph, message):
    toml = MINIMAL[: MINIMAL.index("[[node]]")] + f"[graph]\n{graph}\n"
    with pytest.raises((SpecificationError, GraphError), match=message):
        resolve(written(tmp_path, toml))


@pytest.mark.parametrize(
    ("graph", "nodes"),
    [
        ('shape = "chain"\ninstructions = ["a", "b"]', ["step_1", "answer"]),
        ('shape = "layered"\nlayers = [["a", "b"], ["c"]]', ["layer_1_node_1", "layer_1_node_2", "answer"]),
        ('shape = "fan"\nbranches = ["a"]\njoin = "j"', ["branch_1", "answer"]),
    ],
)
def test_every_ready_shape_can_be_asked_for(tmp_path, graph, nodes):
    toml = MINIMAL[: MINIMAL.index("[[node]]")] + f"[graph]\n{graph}\n"
    assert [node.name for node in resolve(written(tmp_path, toml)).graph.nodes] == nodes


def test_a_graph_that_is_not_well_formed_is_told_with_the_file(tmp_path):
    with pytest.raises(GraphError, match=r"mine\.toml: node 'answer', slot 'gone': there is no variable 'gone'"):
        resolve(written(tmp_path, changed('"Answer."\ninputs = [', '"Answer."\ninputs = ["gone", ')))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ('{ name = "numeric", tolerance = 1 }', Numeric(1)),
        ('{ name = "judge", criteria = "Be fair.", reference = false }', Judge("Be fair.", reference=False)),
        ('"probability"\nlabels = ["a", "b"]', LabelProbability(("a", "b"))),
    ],
)
def test_a_loss_may_have_options(tmp_path, loss, expected):
    assert resolve(written(tmp_path, changed('loss = "exact"', f"loss = {loss}"))).loss == expected


@pytest.mark.parametrize(
    ("rows", "name", "message"),
    [
        ('{"question": "a", "answer": "b"}\n{"question": "c"}\n', "rows.jsonl", r"rows\.jsonl:2: there is no 'answer'"),
        (
            '{"question": "a", "answer": null}\n',
            "rows.jsonl",
            r"rows\.jsonl:1: there is no 'answer'; the row has: question",
        ),
        (
            '\n{"question": ["a"], "answer": "b"}\n',
            "rows.jsonl",
            r"rows\.jsonl:2, 'question': expected text or a number",
        ),
        ("[1]\n", "rows.jsonl", r"rows\.jsonl:1: expected a JSON object, found list"),
        ("{]\n", "rows.jsonl", r"rows\.jsonl:1: not JSON"),
        ("", "rows.jsonl", r"no row is in rows\.jsonl, in .*: write some"),
        (
            '{"question": "a", "answer": "b"}\n',
            "rows.jsonl",
            r"the \w+ split is empty: 1 examples are too few for it, .*; give more examples, or ask for none in \w+",
        ),
        (
            f"question,answer\n{'a' * 200_000},b\n",
            "rows.csv",
            r"rows\.csv, after line 1: .*field limit.*; write rows with longer fields as JSON lines",
        ),
        (
            "question,answer\na,b,c\n",
            "rows.csv",
            r"rows\.csv:2: 3 fields where there are 2 columns \(question, answer\)",
        ),
        ("question,question\na,b\n", "rows.csv", r"rows\.csv:1: expected a line that names each column once"),
        ("", "rows.csv", r"rows\.csv:1: expected a line that names each column once"),
        ("question,reply\na,b\n", "rows.csv", r"rows\.csv:2: there is no 'answer'; the row has: question, reply"),
        ('question,answer\na,"b\n', "rows.csv", r"rows\.csv, after line 1: cannot be read: unexpected end of data"),
        ("question\tanswer\na\n", "rows.tsv", r"rows\.tsv:2: 1 fields where there are 2 columns"),
        ("x", "rows.xlsx", r"rows\.xlsx: the form of the data is not known from the name; use \.jsonl, \.csv or \.tsv"),
    ],
)
def test_malformed_data_are_told_by_file_and_line(tmp_path, rows, name, message):
    task = resolve(written(tmp_path, changed("rows.jsonl", name), rows, name))
    with pytest.raises(DataError, match=message):
        load(task)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_data_that_are_absent_are_told_when_they_are_loaded(tmp_path, name):
    task = resolve(written(tmp_path, changed("rows.jsonl", name), "", "other.txt"))
    with pytest.raises(DataError, match=rf"{name}.*cannot be read"):
        load(task)


def test_a_table_in_another_encoding_is_told(tmp_path):
    task = resolve(written(tmp_path, changed("rows.jsonl", "rows.csv"), "", "rows.csv"))
    (tmp_path / "rows.csv").write_bytes("question,answer\né,b\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"rows\.csv, after line \d: cannot be read: 'utf-8'"):
        load(task)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    for name, rows in (("rows.csv", "question,answer\na,b\n"), ("rows.jsonl", '{"question": "a", "answer": "b"}\n')):
        task = resolve(written(tmp_path, changed("rows.jsonl", name), f"\ufeff{rows}", name))
        assert task.load.examples("all")[0].inputs["question"] == "a"


def test_a_question_in_two_splits_files_is_told_whatever_the_seed(tmp_path, own):
    for path in own.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    with (tmp_path / "reviews_test.csv").open("a") as file:
        file.write("well  cooked,4,Yes\n")
    with pytest.raises(
        DataError, match=r"'reviews_test\.csv:4' in test stands in train, too \('reviews_train\.csv:9'\)"
    ):
        load(resolve(str(tmp_path / "reviews.toml")))


def test_a_gate_of_one_s_own_is_used(tmp_path):
    toml = changed('data = "rows.jsonl"', 'data = { train = "rows.jsonl", gate = "gate.jsonl", test = "test.jsonl" }')
    for name in ("gate", "test"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"question": "{name}", "answer": "b"}}\n')
    splits = load(resolve(written(tmp_path, toml)))
    assert [part[0].id for part in (splits.train, splits.gate, splits.test)] == [
        "rows.jsonl:1",
        "gate.jsonl:1",
        "test.jsonl:1",
    ]


def test_ids_may_come_from_a_column(tmp_path):
    toml = changed('expected = "answer"', 'expected = "answer"\nid = "key"')
    task = resolve(written(tmp_path, toml, '{"key": 7, "question": "a", "answer": "b"}\n'))
    assert task.load.examples("all")[0].id == "7"


def test_empty_lines_of_a_table_are_passed_over(tmp_path):
    task = resolve(written(tmp_path, changed("rows.jsonl", "rows.csv"), "question,answer\n\na,b\n\n", "rows.csv"))
    assert [example.id for example in task.load.examples("all")] == ["rows.csv:3"]


def test_an_empty_file_of_one_split_is_told_by_the_split(tmp_path):
    toml = changed('data = "rows.jsonl"', 'data = { train = "rows.jsonl", test = "test.jsonl" }')
    (tmp_path / "test.jsonl").write_text("")
    with pytest.raises(DataError, match="the test split is empty: no row is fit for it"):
        load(resolve(written(tmp_path, toml, rows='{"question": "a", "answer": "b"}\n')))


def test_a_file_that_is_not_python_is_never_run(tmp_path):
    (tmp_path / "rows.jsonl").write_text("raise SystemExit\n")
    with pytest.raises(UsageError, match=r"rows\.jsonl is not a Python file"):
        from_python(tmp_path / "rows.jsonl", "task")
