"""`gsm8k`: grade-school mathematics in words (Cobbe et al. 2021), with the paper's graph. Reads files, gives a task."""

from __future__ import annotations

from pathlib import Path

from semprop.bench import hints
from semprop.bench.data import DataSource
from semprop.bench.rows import drawn, json_lines, unseen
from semprop.bench.task import Defaults, Sizes, Task
from semprop.engine.errors import DataError
from semprop.engine.example import Example, Splits, split
from semprop.engine.losses import Numeric

MARK = "####"
"""What stands before the number at the end of a published solution."""

SIZES = Sizes(train=64, gate=64, test=128)
"""About 3,000 calls of the forward model in 4 steps: about a dollar with the default providers. Held
out at 128, an accuracy of 90 % is known to ± 5 points."""

PUBLISHED_SIZES = Sizes(train=128, gate=128, test=1319)
"""The paper's numbers. Its published code judged candidates on the training examples themselves; here train and gate
are different examples."""


def examples(path: Path, prefix: str) -> tuple[Example, ...]:
    """The rows of a published file. `expected` is the number at the solution's end.

    Raises:
        DataError: a row has no question, no solution, or no number after the mark.
    """
    found = []
    for row in json_lines(path):
        solution, mark, number = row.text("answer").rpartition(MARK)
        if not mark or not solution or not number.strip():
            raise DataError(f"{row.place}: the answer does not end in {MARK} and a number; restore the published row")
        found.append(Example(f"{prefix}:{row.number}", {"question": row.text("question")}, number.strip()))
    return tuple(found)


def load(source: DataSource, seed: int, sizes: Sizes) -> Splits:
    """Train and gate out of the published training file, test out of the published test file.

    Raises:
        DataError: a file is absent or malformed, or a split is empty.
    """
    learn = examples(source.path("gsm8k/train.jsonl"), "gsm8k/train")
    held_out = unseen(examples(source.path("gsm8k/test.jsonl"), "gsm8k/test"), learn)
    half = split(learn, seed, train=sizes.train, gate=sizes.gate, test=0, shares=(0.5, 0.5))
    return Splits(half.train, half.gate, drawn(held_out, sizes.test, seed, "test"))


TASK = Task(
    name="gsm8k",
    description="grade-school mathematics in words: two hints, then the answer",
    graph=hints.graph(),
    loss=Numeric(),
    load=load,
    defaults=Defaults(SIZES),
    clauses=hints.clauses("Answer with a number only."),
    note=(
        "The paper reports 93.2 % on all 1,319 test questions, with candidates judged on the training questions. Here "
        "train, gate and test are disjoint; a sample of the test questions cannot be compared with that figure closely."
    ),
)
