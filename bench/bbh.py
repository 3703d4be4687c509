"""`bbh:NAME`: the 27 tasks of BIG-Bench Hard (Suzgun et al. 2022), with the paper's graph. Reads files, gives tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from semprop.bench import hints
from semprop.bench.data import DataSource
from semprop.bench.task import Defaults, Load, Sizes, Task
from semprop.engine.errors import DataError
from semprop.engine.example import Example, Splits, split
from semprop.engine.losses import CaseFolded, Loss, MultipleChoice, Numeric

SIZES = Sizes(train=40, gate=50, test=120)
"""Out of 250 rows in most tasks, and never more than `SHARES` of them."""

SHARES = (0.2, 0.25)
"""What part of a task's rows is for train and for gate; the rest is held out. The paper's code trained on 20 rows,
most of which were in its test set as well."""

NUMBER_FORM = "Answer with a number only."
LETTER_FORM = "Answer with the letter of the right option, in parentheses."


@dataclass(frozen=True, slots=True)
class Kind:
    """How a task is answered: the loss, the possible answers if they are few, and the clause that asks for the form."""

    loss: Loss
    labels: tuple[str, ...]
    form: str


def _choice(*labels: str) -> Kind:
    return Kind(CaseFolded(labels), labels, f"Answer with one word: {' or '.join(labels)}.")


def _letters(last: str) -> Kind:
    letters = tuple(f"({chr(code)})" for code in range(ord("A"), ord(last) + 1))
    return Kind(MultipleChoice(), letters, LETTER_FORM)


_YES_NO = _choice("Yes", "No")
_NUMBER = Kind(Numeric(), (), NUMBER_FORM)

KINDS: Mapping[str, Kind] = {
    "boolean_expressions": _choice("True", "False"),
    "causal_judgement": _YES_NO,
    "date_understanding": _letters("F"),
    "disambiguation_qa": _letters("D"),
    "dyck_languages": Kind(CaseFolded(), (), "Answer with the missing brackets only, with spaces between them."),
    "formal_fallacies": _choice("valid", "invalid"),
    "geometric_shapes": _letters("K"),
    "hyperbaton": _letters("B"),
    "logical_deduction_five_objects": _letters("E"),
    "logical_deduction_seven_objects": _letters("G"),
    "logical_deduction_three_objects": _letters("C"),
    "movie_recommendation": _letters("E"),
    "multistep_arithmetic_two": _NUMBER,
    "navigate": _YES_NO,
    "object_counting": _NUMBER,
    "penguins_in_a_table": _letters("E"),
    "reasoning_about_colored_objects": _letters("R"),
    "ruin_names": _letters("K"),
    "salient_translation_error_detection": _letters("F"),
    "snarks": _letters("B"),
    "sports_understanding": _choice("yes", "no"),
    "temporal_sequences": _letters("D"),
    "tracking_shuffled_objects_five_objects": _letters("E"),
    "tracking_shuffled_objects_seven_objects": _letters("G"),
    "tracking_shuffled_objects_three_objects": _letters("C"),
    "web_of_lies": _YES_NO,
    "word_sorting": Kind(CaseFolded(), (), "Answer with the sorted words only, with spaces between them."),
}
"""Task → how it is answered."""


def examples(path: Path, name: str) -> tuple[Example, ...]:
    """The rows of a published file; the question is shown as it stands there, options included.

    Raises:
        DataError: the file is not of the published form.
    """
    try:
        document = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    match document:
        case {"examples": list(rows)}:
            return tuple(_example(path, name, number, row) for number, row in enumerate(rows, 1))
    raise DataError(f'{path}: expected {{"examples": [...]}}; restore the published file')


def _example(path: Path, name: str, number: int, row: object) -> Example:
    match row:
        case {"input": str(question), "target": str(target)}:
            return Example(f"bbh/{name}:{number}", {"question": question}, target.strip(), group=name)
    raise DataError(f"{path}, example {number}: expected a text input and a text target; restore the published file")


def loader(name: str) -> Load:
    """How the splits of one task are drawn; equal questions, of which there are four pairs, share a split."""

    def load(source: DataSource, seed: int, sizes: Sizes) -> Splits:
        rows = examples(source.path(f"bbh/{name}.json"), name)
        return split(rows, seed, train=sizes.train, gate=sizes.gate, test=sizes.test, shares=SHARES)

    return load


def _task(name: str, kind: Kind) -> Task:
    return Task(
        name=f"bbh:{name}",
        description=f"BIG-Bench Hard, {name.replace('_', ' ')}: two hints, then the answer",
        graph=hints.graph(),
        loss=kind.loss,
        load=loader(name),
        defaults=Defaults(SIZES),
        clauses=hints.clauses(kind.form),
        labels=kind.labels,
        note=(
            "The paper reports means over tasks (82.5 % language, 85.6 % algorithmic), with candidates judged on the "
            "training rows, most of which were tested as well; one task with 120 held-out rows is known to ± 9 points."
        ),
    )


def tasks() -> tuple[Task, ...]:
    """All 27 tasks, by name."""
    return tuple(_task(name, kind) for name, kind in KINDS.items())
