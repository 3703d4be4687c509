"""`liar`: is a politician's statement a lie? (Wang 2017), made binary as in the paper, with the paper's graph.

Five nodes look at one attribute each, a sixth decides: 13 variables, six of them parameters. Reads files, gives a task.
"""

from __future__ import annotations

from pathlib import Path

from semprop.bench.data import DataSource
from semprop.bench.rows import Dialect, Row, drawn, table, unseen
from semprop.bench.task import Defaults, Sizes, Task
from semprop.engine.errors import DataError
from semprop.engine.example import Example, Splits
from semprop.engine.graph import Graph
from semprop.engine.losses import CaseFolded
from semprop.engine.methods.clauses import ClausePool
from semprop.engine.nodes import Model, ReplyFormat
from semprop.engine.parameters import Parameter
from semprop.providers.base import Sampling

COLUMNS = (
    *("id", "label", "statement", "subject", "speaker", "job title", "state", "party"),
    *("barely true", "false", "half true", "mostly true", "pants on fire", "context"),
)
"""The columns of the published tables, which have no header; five of them count the speaker's earlier ratings."""

DIALECT = Dialect(delimiter="\t", quoted=False, columns=COLUMNS)
"""Quotation marks are ordinary characters: with quoting on, rows run into each other, and 29 of 10,269 are lost."""

ATTRIBUTES = (
    ("Statement", "statement"),
    ("Job title", "job title"),
    ("State", "state"),
    ("Party", "party"),
    ("Source", "context"),
)
"""The five attributes as the question shows them, and their columns. The source is where the statement was made."""

VERDICTS = {"false": "Yes", "true": "No"}
"""Label → whether it is a lie. The four labels in between are left out, as in the paper."""

SIZES = Sizes(train=50, gate=100, test=200)
"""50 training rows as in the paper; about 5,000 calls of the forward model in 4 steps, with short texts."""


def is_complete(row: Row) -> bool:
    """Whether every attribute says something: it has a letter, and is not the word none (the paper's filter)."""
    texts = (row.text(column) for _, column in ATTRIBUTES)
    return all("".join(filter(str.isalpha, text)).casefold() not in ("", "none") for text in texts)


def examples(path: Path, prefix: str) -> tuple[Example, ...]:
    """The rows of a published table that are plainly true or false and complete.

    Raises:
        DataError: a row has not 14 fields, or its label is none of the six.
    """
    found = []
    for row in table(path, DIALECT):
        label = row.text("label")
        if label not in (*VERDICTS, "half-true", "mostly-true", "barely-true", "pants-fire"):
            raise DataError(f"{row.place}: {label!r} is none of the six labels; restore the published row")
        if label in VERDICTS and is_complete(row):
            query = "\n".join(f"{name}: {row.text(column)}" for name, column in ATTRIBUTES)
            found.append(Example(f"{prefix}:{row.number}", {"query": query}, VERDICTS[label]))
    return tuple(found)


def load(source: DataSource, seed: int, sizes: Sizes) -> Splits:
    """Train, gate and test out of the published training, validation and test tables; a question that stands in an
    earlier table is left out of the later ones.

    Raises:
        DataError: a table is absent or malformed, or a split is empty.
    """
    train = examples(source.path("liar/train.tsv"), "liar/train")
    gate = unseen(examples(source.path("liar/valid.tsv"), "liar/valid"), train)
    test = unseen(examples(source.path("liar/test.tsv"), "liar/test"), (*train, *gate))
    return Splits(
        drawn(train, sizes.train, seed, "train"),
        drawn(gate, sizes.gate, seed, "gate"),
        drawn(test, sizes.test, seed, "test"),
    )


ANALYSES = {
    "statement": "Is the statement itself plausible?",
    "party": "What does the speaker's party gain from this statement?",
    "job_title": "Does somebody with this job know whether the statement is true?",
    "source": "How careful are people with the truth in this source?",
    "state": "How does the speaker's state bear on the statement?",
}
"""Attribute → the short question that its node starts with."""

DECISION = "Decide from the query and the analyses whether the statement is a lie. Answer Yes if it is a lie, else No."

SHORT = " Answer in at most two sentences."


def graph() -> Graph:
    """query → five analyses; query and analyses → answer."""
    greedy = Sampling(temperature=0.0, max_tokens=1024)
    names = {attribute: f"{attribute}_analysis" for attribute in ANALYSES}
    nodes = [Model(name, f"{attribute}_instruction", ("query",), sampling=greedy) for attribute, name in names.items()]
    answer = Model(
        "answer", "answer_instruction", ("query", *names.values()), sampling=greedy, reply=ReplyFormat.TAGGED
    )
    parameters = [
        Parameter(
            f"{attribute}_instruction",
            question + SHORT,
            purpose=f"asks about the statement's {attribute.replace('_', ' ')}, before somebody decides if it is a lie",
        )
        for attribute, question in ANALYSES.items()
    ]
    parameters.append(Parameter("answer_instruction", DECISION, purpose="decides, Yes or No, whether it is a lie"))
    return Graph(inputs=("query",), parameters=parameters, nodes=[*nodes, answer], output="answer")


def _clauses() -> dict[str, ClausePool]:
    manner = ("", "Answer in at most two sentences.", "Say how sure you are.")
    pools: dict[str, ClausePool] = {
        f"{attribute}_instruction": ((question, "What speaks for the statement, and what against it?"), manner)
        for attribute, question in ANALYSES.items()
    }
    decisions = ("Is the statement a lie?", "Decide from the query and the analyses whether the statement is a lie.")
    pools["answer_instruction"] = (
        decisions,
        ("", "Weigh the statement itself most."),
        ("Answer Yes if it is a lie, else No.",),
    )
    return pools


TASK = Task(
    name="liar",
    description="is a politician's statement a lie? Five analyses, then the answer",
    graph=graph(),
    loss=CaseFolded(("Yes", "No")),
    load=load,
    defaults=Defaults(SIZES),
    clauses=_clauses(),
    labels=("Yes", "No"),
    note=(
        "53 % of the complete rows are lies, so that answering Yes always scores about 53 %. The paper's code has no "
        "held-out rows for this set: its figures are scores on the 50 rows that it trained on."
    ),
)
