"""The simulated model's whole-graph reader: which edits of which values would have satisfied the shown cases. Pure.

Takes a prompt and the names of the values to set, gives a text for each, "" where it stays. It finds its way by value:
the program is the lines `name = function(slot=variable, …)` outside of all blocks, a call's instruction is the argument
whose value holds clauses, a case is a block that holds blocks, its demands are the block that makes any. Hypotheses are
at most two single edits of clauses, executed through the whole program; the price of an edit is that of
`semprop.providers.simulated.update`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from semprop.providers.simulated import pages
from semprop.providers.simulated.clauses import Clause, understood
from semprop.providers.simulated.execution import FORMATS, UNKNOWN, MissingOperand, carried_out
from semprop.providers.simulated.pages import CLEAR, Block, Line, Sight
from semprop.providers.simulated.update import BEAM, rewritten, single_edits
from semprop.providers.simulated.wanted import Wanted, are_met, wanted_in
from semprop.providers.simulated.wordings import library

Clauses = tuple[Clause, ...]

_LINE = re.compile(r"^([\w-]+) = [\w-]+\(([^()]*)\)$", re.MULTILINE)
_ARGUMENT = re.compile(r"([\w-]+)=([\w-]+)")


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the program: what it gives, and (slot, variable) of what it is given."""

    name: str
    arguments: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Ran:
    """One case: texts by name, and what was wanted of the output (nothing: it came right)."""

    texts: Mapping[str, str] = field(hash=False)
    wanted: tuple[Wanted, ...]


Edits = tuple[tuple[str, Clauses], ...]


class _Program:
    """The program with its cases; remembers what steps gave, for one call."""

    def __init__(self, steps: Sequence[Step], values: Mapping[str, str], cases: Sequence[Ran], sight: Sight) -> None:
        self.steps = steps
        self.cases = cases
        self._values = values
        self._sight = sight
        self._clauses = {name: understood(text).clauses for name, text in values.items()}
        self._given: dict[tuple[Clauses, tuple[tuple[str, str], ...]], str] = {}

    def satisfied(self, edits: Mapping[str, Clauses]) -> int:
        """In how many cases the program, so edited, gives what is wanted."""
        return sum(self._satisfies(case, edits) for case in self.cases)

    def _satisfies(self, case: Ran, edits: Mapping[str, Clauses]) -> bool:
        texts = dict(case.texts)
        before = ""
        for step in self.steps:
            before = case.texts.get(step.name, "")
            steering = next((source for _, source in step.arguments if self._clauses.get(source)), None)
            if steering is not None:
                inputs = tuple(
                    (slot, texts.get(source, self._values.get(source, "")))
                    for slot, source in step.arguments
                    if source != steering
                )
                texts[step.name] = self._result(edits.get(steering, self._clauses[steering]), inputs)
        result = texts.get(self.steps[-1].name, "")
        if not case.wanted:
            return result == before
        return result != UNKNOWN and are_met(case.wanted, result, before)

    def _result(self, clauses: Clauses, inputs: tuple[tuple[str, str], ...]) -> str:
        if (clauses, inputs) not in self._given:
            try:
                given = carried_out(clauses, pages.seen(_page(inputs), self._sight))
            except MissingOperand:
                given = UNKNOWN
            self._given[clauses, inputs] = given
        return self._given[clauses, inputs]


def _page(inputs: Sequence[tuple[str, str]]) -> tuple[Line, ...]:
    """The facts of what a step is given, as a forward call shows them."""
    if len(inputs) == 1:
        return pages.page_of(inputs[0][1])
    return tuple(line for slot, text in inputs for line in pages.value_lines(slot, text))


def suggested(prompt: str, names: Sequence[str], sight: Sight = CLEAR) -> dict[str, str]:
    """A text for each name: the best edit of the program, "" for what stays."""
    found, outside = pages.blocks(prompt)
    values = {block.labels[0]: block.text for block in found if block.labels and not block.children}
    steps = [Step(match[1], tuple(_ARGUMENT.findall(match[2]))) for match in _LINE.finditer(outside)]
    cases = tuple(case for block in found for case in _cases(block, names))
    present = {name: understood(values[name]).clauses for name in names if name in values}
    best: Edits = ()
    if steps and cases:
        best = _best(_Program(steps, values, cases, sight), present, prompt)
    changed = dict(best)
    return {
        name: rewritten(understood(values[name]), changed[name], prompt) if name in changed else "" for name in names
    }


def _cases(block: Block, names: Sequence[str]) -> Iterator[Ran]:
    """The case that a block is. One that holds values to set is a memory of earlier ones."""
    labels = [child.labels[0] for child in block.children if child.labels]
    if labels and not any(label in names for label in labels):
        texts = {child.labels[0]: child.text for child in block.children if child.labels}
        loose = [child.text for child in block.children if not child.labels]
        yield Ran(texts, tuple(wanted for text in loose for wanted in wanted_in(text)))


def _best(program: _Program, present: Mapping[str, Clauses], seed: str) -> Edits:
    """At most two edits that satisfy more cases than their price; none if nothing beats the program as it is."""
    pool = library(_fields(program.cases))
    price = max(0.5, len(program.cases) / 4)
    scores: dict[Edits, float] = {(): float(program.satisfied({}))}
    for name, clauses in present.items():
        for new in single_edits(clauses, pool):
            scores.setdefault(((name, new),), program.satisfied({name: new}) - price)
    if max(scores.values()) < len(program.cases) - price:
        order = sorted(scores, key=lambda edits: (-scores[edits], pages.digest(seed, repr(edits))))
        for rank, first in enumerate(order):
            for name, clauses in present.items():
                for new in single_edits(dict(first).get(name, clauses), pool if rank < BEAM else FORMATS):
                    both = {**dict(first), name: new}
                    edits = tuple(
                        (each, both[each]) for each in present if each in both and both[each] != present[each]
                    )
                    if edits not in scores:
                        scores[edits] = program.satisfied(both) - 2 * price
    return min(scores, key=lambda edits: (-scores[edits], len(edits), pages.digest(seed, repr(edits))))


def _fields(cases: Sequence[Ran]) -> tuple[str, ...]:
    """The fields that stand in at least half of the cases."""
    counted: Counter[str] = Counter()
    for case in cases:
        lines = (line for name, text in case.texts.items() for line in pages.value_lines(name, text))
        counted.update(list(dict.fromkeys(line.field.casefold() for line in lines if line.field)))
    return tuple(sorted(name for name, count in counted.items() if 2 * count >= len(cases)))
