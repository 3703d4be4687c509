"""The simulated model's update reader: which edit of an instruction would have satisfied the shown cases. Pure.

Takes a prompt, gives instructions. It maximises (cases satisfied) − κ · (clauses edited) over at most two edits, where
κ is a quarter of the cases and at least ½, so that what fits one case by chance is not proposed. A clause that names a
field is considered if at least half of the cases have that field: an instruction is for all inputs of a sort.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field

from semprop.providers.simulated import pages
from semprop.providers.simulated.clauses import Clause, Program, Sentence, understood
from semprop.providers.simulated.execution import (
    FORMATS,
    UNKNOWN,
    Items,
    MissingOperand,
    carried_out,
    one_more,
    said,
)
from semprop.providers.simulated.pages import CLEAR, Block, Line, Sight
from semprop.providers.simulated.wanted import Demand, Wanted, are_met, number_in, wanted_in
from semprop.providers.simulated.wordings import library, written

BEAM = 12
"""How many first edits are combined with every second one; with the format clauses all of them are."""

REMARKS = (
    "Be careful.",
    "Check the reply before you send it.",
    "Read everything first.",
    "Do not hurry.",
    "Be exact.",
    "Look twice.",
)
"""Sentences that do nothing, for proposals that have to differ and not to harm."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One case: the facts that entered, what came out, and what was wanted of it."""

    page: tuple[Line, ...]
    output: str
    wanted: tuple[Wanted, ...]


Clauses = tuple[Clause, ...]


@dataclass(slots=True)
class _Judge:
    """How many cases a list of clauses satisfies; remembers what it computed, for one call.

    What a list comes to on all cases is a state, a number; most lists come to few states, and each state is judged
    once. State 0 is before any clause.
    """

    present: Clauses
    cases: tuple[Shown, ...]
    states: list[tuple[Items | None, ...]] = field(default_factory=list)
    numbers: dict[tuple[Items | None, ...], int] = field(default_factory=dict)
    steps: dict[tuple[int, Clause], int] = field(default_factory=dict)
    met: dict[int, int] = field(default_factory=dict)

    def satisfied(self, clauses: Clauses) -> int:
        """How many cases would have met their demands: on the output, or, where a case shows no facts, on the
        instruction itself ("it should state: …"). A case without demands came right: it must come out the same."""
        state = self._numbered((None,) * len(self.cases))
        for clause in clauses:
            if (state, clause) not in self.steps:
                self.steps[state, clause] = self._numbered(self._after(state, clause))
            state = self.steps[state, clause]
        if state not in self.met:
            self.met[state] = sum(map(_is_met, self.cases, self.states[state]))
        bare = (case for case in self.cases if not case.page)
        return self.met[state] + sum(
            all(_says(clauses, wanted, self.present) for wanted in case.wanted) for case in bare
        )

    def _numbered(self, state: tuple[Items | None, ...]) -> int:
        if state not in self.numbers:
            self.numbers[state] = len(self.states)
            self.states.append(state)
        return self.numbers[state]

    def _after(self, state: int, clause: Clause) -> tuple[Items | None, ...]:
        return tuple(map(_carried, self.cases, self.states[state], (clause,) * len(self.cases)))


STUCK: Items = ("",)
"""What is selected after a clause that found no operand; it stays so."""


def _carried(case: Shown, items: Items | None, clause: Clause) -> Items | None:
    if not case.page or items is STUCK:
        return items
    try:
        return one_more(clause, case.page, items)
    except MissingOperand:
        return STUCK


def _is_met(case: Shown, items: Items | None) -> bool:
    if not case.page:
        return False
    result = UNKNOWN if items is STUCK else said(items)
    if not case.wanted:
        return result == case.output
    return result != UNKNOWN and are_met(case.wanted, result, case.output)


def update(prompt: str, count: int, sight: Sight = CLEAR) -> tuple[str, ...]:
    """`count` different instructions, best first; where nothing beats the present one, that as it is, then it
    with remarks that do nothing. An instruction that holds no known clause always gets a remark."""
    view = _read(prompt, sight)
    cases, program = view.cases, understood(view.present)
    judge = _Judge(program.clauses, cases)
    price = max(0.5, len(cases) / 4)
    refused = {understood(text).clauses for text in view.rejected} - {program.clauses}
    ranked = _ranked(program.clauses, judge, price, prompt, len(cases))
    better = [clauses for clauses in ranked if clauses not in refused] if cases else []
    if view.is_scored:
        better += _explored(program.clauses, {*refused, *better}, prompt)
    proposals = [rewritten(program, clauses, prompt) for clauses in better[:count]]
    if program.clauses and not proposals:
        proposals.append(program.text)
    basis = understood(proposals[0]) if proposals else program
    variant = int(pages.chance("variant", prompt) * len(REMARKS))
    while len(proposals) < count:
        proposals = list(dict.fromkeys([*proposals, _reworded(basis, variant)]))
        variant += 1
    return tuple(proposals)


@dataclass(frozen=True, slots=True)
class _View:
    """What a prompt shows: the instruction in use, others that were tried, cases, and whether instructions have
    scores."""

    present: str
    rejected: tuple[str, ...]
    cases: tuple[Shown, ...]
    is_scored: bool = False


def _read(prompt: str, sight: Sight) -> _View:
    """The instruction now in use, the refused ones, and the cases. Blocks that hold blocks are cases; of the others,
    the instruction in use is the one that accounts for most of the shown outputs; of equals, the one with the highest
    score beside it."""
    found, _ = pages.blocks(prompt)
    cases = tuple(case for block in found if block.children for case in _cases(block, sight))
    leaves = [block for block in found if not block.children]
    if not leaves:
        return _View("", (), cases)
    steering = [block for block in leaves if understood(block.text).clauses] or leaves[:1]
    texts = [block.text.strip() for block in steering]
    scores = [(_accounted(text, cases), _scored(block)) for text, block in zip(texts, steering, strict=True)]
    present = texts[scores.index(max(scores))]
    rejected = tuple(text for text in texts if text != present)
    return _View(present, rejected, cases, any(score >= 0 for _, score in scores))


def _accounted(text: str, cases: Sequence[Shown]) -> int:
    """How many of the shown outputs an instruction accounts for."""
    return sum(_gives(understood(text).clauses, case.page) == case.output for case in cases)


def _scored(block: Block) -> float:
    """The score that stands beside an instruction; below all scores if there is none."""
    number = number_in(block.labels[0]) if block.labels else None
    return -1.0 if number is None else number


def _cases(block: Block, sight: Sight) -> Iterator[Shown]:
    """The worked cases in a block; another begins where a name occurs again."""
    group: list[Block] = []
    names: set[str] = set()
    for child in block.children:
        if child.labels and child.labels[0] in names:
            yield _shown(group, sight)
            group, names = [], set()
        names.update(child.labels[:1])
        group.append(child)
    if group:
        yield _shown(group, sight)


def _shown(group: Sequence[Block], sight: Sight) -> Shown:
    page = tuple(line for block in group if block.labels for line in pages.value_lines(block.labels[0], block.text))
    loose = [block.text.strip() for block in group if not block.labels]
    demands = [wanted for text in loose for wanted in wanted_in(text)]
    output = next((text for text in loose if not wanted_in(text)), "")
    return Shown(pages.seen(page, sight), output, tuple(dict.fromkeys(demands)))


def _gives(clauses: Clauses, page: Sequence[Line]) -> str:
    try:
        return carried_out(clauses, page)
    except MissingOperand:
        return UNKNOWN


def _says(clauses: Clauses, wanted: Wanted, present: Clauses) -> bool:
    if wanted.demand is Demand.DIFFERS:
        return bool(clauses) and clauses != present
    asked = understood(wanted.text).clauses
    if not asked:
        return False
    holds = all(clause in clauses for clause in asked)
    return not holds if wanted.demand is Demand.OMITS else holds


def _ranked(clauses: Clauses, judge: _Judge, price: float, seed: str, cases: int) -> list[Clauses]:
    """The edited instructions that score above the present one, best first; of equals the shorter, then by a draw."""
    fields = Counter(name for case in judge.cases for name in {line.field.casefold() for line in case.page})
    usual = tuple(sorted(name for name, count in fields.items() if name and 2 * count >= cases))
    pool = tuple(dict.fromkeys((*library(usual), *_advised(judge.cases))))
    present = judge.satisfied(clauses)

    def score(edited: Clauses, edits: int) -> float:
        return judge.satisfied(edited) - price * edits

    scores = {edited: score(edited, 1) for edited in single_edits(clauses, pool)}
    # Two edits are looked for only where they could beat one.
    bar = max(present, *scores.values()) if scores else present
    if bar < cases - 2 * price:
        order = sorted(scores, key=lambda edited: (-scores[edited], pages.digest(seed, repr(edited))))
        for rank, first in enumerate(order):
            for second in single_edits(first, pool if rank < BEAM else FORMATS):
                if second != clauses and second not in scores:
                    scores[second] = score(second, 2)
    best = [edited for edited in scores if scores[edited] > present]
    return sorted(best, key=lambda edited: (-scores[edited], len(edited), pages.digest(seed, repr(edited))))


def _explored(clauses: Clauses, known: Container[Clauses], seed: str) -> list[Clauses]:
    """Single edits that were not tried yet, in an order that the prompt draws: where others were tried and nothing
    fits, something else is the best that there is. It knows no field that the instructions do not name."""
    pool = library(tuple(dict.fromkeys(clause.argument for clause in clauses if clause.kind in ("extract", "report"))))
    untried = dict.fromkeys(each for each in single_edits(clauses, pool) if each and each not in known)
    return sorted(untried, key=lambda each: pages.digest(seed, repr(each)))


def _advised(cases: Sequence[Shown]) -> Iterator[Clause]:
    for case in cases:
        for wanted in case.wanted:
            if not case.page:
                yield from understood(wanted.text).clauses


def single_edits(clauses: Clauses, pool: Sequence[Clause]) -> Iterator[Clauses]:
    """Every single edit: one clause replaced, added at the end, or left out."""
    for clause in pool:
        for index in range(len(clauses) + 1):
            if clause not in clauses[index : index + 1]:
                yield (*clauses[:index], clause, *clauses[index + 1 :])
    for index in range(len(clauses)):
        yield (*clauses[:index], *clauses[index + 1 :])


def rewritten(program: Program, clauses: Clauses, seed: str) -> str:
    """The instruction with other clauses; sentences that are no clause, and clauses that stay, stay as they are."""
    variant = int(pages.chance("wording", seed) * 4)
    kept = {sentence.clause: sentence.text for sentence in program.sentences if sentence.clause}
    queue = list(clauses)
    sentences: list[Sentence] = []
    for sentence in program.sentences:
        if sentence.clause is None:
            sentences.append(sentence)
        elif queue:
            clause = queue.pop(0)
            sentences.append(Sentence(kept.get(clause) or written(clause, variant), clause, sentence.gap or " "))
    sentences += [Sentence(kept.get(clause) or written(clause, variant), clause) for clause in queue]
    spaced = [Sentence(each.text, each.clause, each.gap or " ") for each in sentences]
    return Program(tuple(spaced)).text


def _reworded(program: Program, variant: int) -> str:
    """The same clauses, and a remark or two that do nothing."""
    number, more = variant % len(REMARKS), variant // len(REMARKS)
    remarks = [REMARKS[number], *(f"Do so {time + 2} times." for time in range(more))]
    return " ".join([program.text, *remarks]).strip()
