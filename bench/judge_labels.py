"""The user's own grades of answers, out of JSON lines: to check a judge by. Reads; complains by file and line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semprop.bench.rows import Row, json_lines
from semprop.engine.errors import DataError
from semprop.engine.example import Example, JudgeLabel

ANSWER, LABEL, EXPECTED = "answer", "label", "expected"


def judge_labels(path: Path, inputs: Sequence[str]) -> tuple[JudgeLabel, ...]:
    """One label a line: the graph's inputs, `answer`, `label` (0 to 1, or a truth value), and `expected` if known.

    Raises:
        DataError: the file cannot be read, a column is absent, or a label is no number from 0 to 1.
    """
    return tuple(_label(path, row, inputs) for row in json_lines(path))


def _label(path: Path, row: Row, inputs: Sequence[str]) -> JudgeLabel:
    expected = row.values.get(EXPECTED)
    example = Example(f"{path.name}:{row.number}", {name: row.text(name) for name in inputs}, expected)
    told = row.text(LABEL)
    try:
        score = {"true": 1.0, "false": 0.0}.get(told.lower())
        score = float(told) if score is None else score
    except ValueError as error:
        raise DataError(f"{row.place}: the label is {told!r:.40}: write a number from 0 to 1, true or false") from error
    if not 0 <= score <= 1:
        raise DataError(f"{row.place}: the label is {score:g}: labels run from 0 (worthless) to 1 (fully right)")
    return JudgeLabel(example, row.text(ANSWER), score)
