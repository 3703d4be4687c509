"""The table of methods and packages as a document and as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from semprop.bench.methods.comparison import Comparison, Run
from semprop.bench.methods.ledger import NOMINAL
from semprop.bench.methods.programs import PROGRAMS, deviations

SCHEMA = 1

SIMULATED = (
    "simulated: rules answered in place of a language model. These figures show that the machinery works and say "
    "nothing about language models. Rules that cannot read a package's prompts leave it where it started; their tokens "
    f"are said to cost {NOMINAL['input']:g} and {NOMINAL['output']:g} dollars a million, so that the budget binds."
)

SAME = (
    "The same for all: splits (training examples, and gate examples as validation), metric, feedback in words, forward "
    "prompts, model, dollars. Budgets are hard: what could pass them is refused. Ours have their gates; "
    "packages run with their defaults but for the deviations that stand in their programs."
)

COLUMNS = ("method", "seed", "score", "95 % interval", "lenient", "calls", "tokens in", "out", "$", "s", "status")


@dataclass(frozen=True, slots=True)
class Report:
    """What was compared, and the runs in their order."""

    task: str
    simulated: bool
    models: tuple[str, ...]
    asked: Comparison
    runs: tuple[Run, ...]

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        sizes = next(iter(self.asked.specifications.values())).splits
        return {
            "schema": SCHEMA,
            "simulated": self.simulated,
            "task": self.task,
            "models": list(self.models),
            "budget_usd": self.asked.budget_usd,
            "sizes": {"train": len(sizes.train), "validation": len(sizes.gate), "test": len(sizes.test)},
            "seeds": list(self.asked.specifications),
            "notes": list(self.notes),
            "deviations": {name: deviations(PROGRAMS[name]) for name in self.asked.peers},
            "runs": [run.document() for run in self.runs],
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said beside the figures."""
        return (*([SIMULATED] if self.simulated else []), SAME)

    def markdown(self) -> str:
        """The table, with what must be said beside it."""
        budget = f"{self.asked.budget_usd:g}"
        lines = [f"## {self.task}: methods and packages, ${budget} each", "", *(f"*{note}*\n" for note in self.notes)]
        lines += ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells(run)) + " |" for run in self.runs]
        remarks = [f"- {run.name}, seed {run.seed}: {run.note}" for run in self.runs if run.note]
        remarks += [f"- {name}, deviations: {deviations(PROGRAMS[name])}" for name in self.asked.peers]
        return "\n".join([*lines, "", *remarks]) + "\n"


def cells(run: Run) -> tuple[str, ...]:
    """A row of the table; nothing that was not measured is a number."""
    name = f"{run.name} {run.version}".strip()
    found = run.evaluation
    if found is None:
        return (name, f"{run.seed}", *([""] * 8), run.status)
    low, high = found.interval
    status = f"{run.status}, {run.spent.refused} refused" if run.spent.refused else run.status
    return (
        name,
        f"{run.seed}",
        f"{100 * found.score:.1f} (n = {found.n})",
        f"{100 * low:.1f} to {100 * high:.1f}",
        "" if found.lenient is None else f"{100 * found.lenient:.1f}",
        f"{run.spent.calls:,}",
        f"{run.spent.input:,}",
        f"{run.spent.output:,}",
        f"{run.spent.usd:.4f}",
        f"{run.seconds:.1f}",
        status,
    )


def means(runs: Sequence[Run]) -> Iterator[tuple[str, float, int]]:
    """(method, mean score over seeds, how many seeds) of what was measured."""
    names = [f"{run.name} (package)" if run.is_package else run.name for run in runs]
    for name in dict.fromkeys(names):
        found = (run.evaluation for run, each in zip(runs, names, strict=True) if each == name)
        scores = [evaluation.score for evaluation in found if evaluation is not None]
        if scores:
            yield name, sum(scores) / len(scores), len(scores)
