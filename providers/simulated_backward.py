"""The simulated model's backward reader: which input is to blame, by enumeration. Pure.

Takes a prompt and the slots it asks about, gives a verdict for each. It finds its way by value: the instruction is the
block that holds clauses, the gradient is the block that makes demands, labelled blocks are inputs, what is left is
the output. Hypotheses are all single edits of one asked value or of one clause; what else is in view is taken as
given. The prior is even over places, then over the edits of a place; the likelihood is whether the edited step would
have met every demand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from semprop.providers import simulated_pages as pages
from semprop.providers.simulated_clauses import Clause, Program, understood
from semprop.providers.simulated_execution import UNKNOWN, MissingOperand, carried_out
from semprop.providers.simulated_pages import CLEAR, Block, Line, Sight
from semprop.providers.simulated_wanted import (
    SHOULD_DIFFER,
    Demand,
    Wanted,
    are_met,
    number_in,
    should_omit,
    should_state,
    wanted_in,
)
from semprop.providers.simulated_wordings import library, written

NUMBERS = tuple(str(number) for number in range(100))
"""The domain of a number that is not visible."""

TABLE_ODDS = 1 / 40
"""How likely one look-up in a table that is not visible gives one certain value."""

_INSTRUCTION = "\x00instruction"
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Advice:
    """The verdict on one slot; `text` is empty for keep."""

    slot: str
    change: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """What a backward call shows, by value; `instruction_slot` is the instruction's slot if that is asked about."""

    asked: tuple[str, ...]
    page: tuple[Line, ...]
    program: Program
    output: str
    wanted: tuple[Wanted, ...]
    instruction_slot: str = ""


@dataclass(frozen=True, slots=True)
class _Edit:
    """One hypothesis: the place it changes, what would be advised, and the step as edited."""

    place: str
    advice: str
    page: tuple[Line, ...]
    clauses: tuple[Clause, ...]


def backward(prompt: str, asked: Sequence[str], sight: Sight = CLEAR, ties: str = "seeded") -> tuple[Advice, ...]:
    """Judge each asked slot: change if the posterior that it is to blame is at least ½, with the value if that value's
    share of the slot's posterior is at least ½; else keep.

    Places that are equally likely are one place: a draw seeded by the prompt decides which, or the first by name if
    `ties` is "lexicographic".
    """
    case = case_of(prompt, asked, sight)
    if not case.wanted:
        return tuple(Advice(slot, False) for slot in asked)
    weights = _weights(case)
    if weights is None:
        return tuple(Advice(slot, False) for slot in asked)
    if not weights:
        blamed = _tied(list(asked), prompt, ties)
        return tuple(Advice(slot, slot == blamed, SHOULD_DIFFER if slot == blamed else "") for slot in asked)
    return _verdicts(case, weights, asked, prompt, ties)


def case_of(prompt: str, asked: Sequence[str], sight: Sight = CLEAR) -> Case:
    """Sort the blocks of a prompt by what they hold."""
    found, _ = pages.blocks(prompt)
    demands = {index: wanted for index, block in enumerate(found) if (wanted := wanted_in(block.text))}
    gradient = max(demands, key=lambda index: (not found[index].labels, index), default=-1)
    programs = {
        index: program
        for index, block in enumerate(found)
        if index != gradient and len((program := understood(block.text)).clauses) > _facts(block)
    }
    steering = max(programs, key=lambda index: len(programs[index].clauses), default=-1)
    program = programs.get(steering, Program(()))
    rest = [block for index, block in enumerate(found) if index not in (gradient, steering)]
    page = _page(block for block in rest if block.labels)
    loose = [block.text.strip() for block in rest if not block.labels]
    output = _output(loose, program, page)
    if output in loose:
        loose.remove(output)
    page = (*page, *_page(Block(text, ("",), ()) for text in loose))
    labels = found[steering].labels if steering >= 0 else ()
    name = next((label for label in labels if label in asked), "")
    return Case(tuple(asked), pages.seen(page, sight), program, output, demands.get(gradient, ()), name)


def _facts(block: Block) -> int:
    return sum(bool(line.sign) for line in pages.value_lines("", block.text))


def _page(blocks: Iterable[Block]) -> tuple[Line, ...]:
    return tuple(line for block in blocks for line in pages.value_lines(block.labels[0], block.text))


def _output(loose: Sequence[str], program: Program, page: Sequence[Line]) -> str:
    """Of the blocks that are left, the one that the step would have written, else the last."""
    would = _result(program.clauses, page) if program.clauses else None
    return would if would is not None and would in loose else loose[-1] if loose else ""


def _result(clauses: Sequence[Clause], page: Sequence[Line]) -> str | None:
    """What the step writes; None if that depends on what cannot be seen."""
    try:
        return carried_out(clauses, page)
    except MissingOperand:
        return None


def _weights(case: Case) -> dict[tuple[str, str], float] | None:
    """(place, advice) → posterior mass, not normalised; empty if no hypothesis explains the demand, None if nothing
    in view needs to change: the step as it stands meets it."""
    weights: dict[tuple[str, str], float] = {}
    explained = False
    for weight, program, page in _worlds(case):
        explained = explained or are_met(case.wanted, _result(program, page) or "", case.output)
        edits = _edits(case, program, page)
        sizes = Counter(edit.place for edit in edits)
        for edit in edits:
            if likelihood := _likelihood(edit, case):
                where = (edit.place, edit.advice)
                weights[where] = weights.get(where, 0.0) + weight * likelihood / sizes[edit.place]
    return None if explained and case.program.clauses else weights


def _worlds(case: Case) -> list[tuple[float, tuple[Clause, ...], tuple[Line, ...]]]:
    """What is hidden, filled in every way that the shown output allows: the instruction out of the library, one number
    out of `NUMBERS`. A hidden table is not filled in (`TABLE_ODDS`)."""
    fields = tuple(dict.fromkeys(line.field.casefold() for line in case.page if line.field))
    programs = [case.program.clauses] if case.program.clauses else [(clause,) for clause in library(fields)]
    worlds: list[tuple[float, tuple[Clause, ...], tuple[Line, ...]]] = []
    for program in programs:
        try:
            result = carried_out(program, case.page)
        except MissingOperand as missing:
            if missing.what == "number":
                filled = [(*case.page, Line("", "", "", number)) for number in NUMBERS]
                worlds += [(1.0, program, page) for page in filled if _result(program, page) == case.output]
            elif case.program.clauses:
                worlds.append((1.0, program, case.page))
        else:
            if case.program.clauses or result == case.output:
                worlds.append((1.0, program, case.page))
    return worlds


def _likelihood(edit: _Edit, case: Case) -> float:
    result = _result(edit.clauses, edit.page)
    if result is None:
        return TABLE_ODDS
    return float(result != UNKNOWN and are_met(case.wanted, result, case.output))


def _edits(case: Case, program: tuple[Clause, ...], page: tuple[Line, ...]) -> list[_Edit]:
    """Every single edit of an asked value or of a clause, without those that change nothing."""
    domain = _domain(case, page)
    keys = tuple(dict.fromkeys(line.value for line in page if line.is_whole or not line.sign))
    edits: list[_Edit] = []
    for index, line in enumerate(page):
        if line.slot not in case.asked:
            continue
        before, after = page[:index], page[index + 1 :]
        numeric = number_in(line.value) is not None
        for value in (*domain, *NUMBERS) if numeric else domain:
            if value != line.value:
                changed = replace(line, value=value)
                edits.append(
                    _Edit(
                        line.slot,
                        should_state(value if line.is_whole else changed.raw),
                        (*before, changed, *after),
                        program,
                    )
                )
        if not line.is_whole:
            edits.append(_Edit(line.slot, should_omit(line.raw), (*before, *after), program))
    edits += _additions(case.asked, page, program, domain, keys)
    if case.program.clauses:
        edits += _clause_edits(page, program)
    return edits


def _domain(case: Case, page: Sequence[Line]) -> tuple[str, ...]:
    """The values that a fact may take: whatever stands anywhere in view."""
    stated = [wanted.text for wanted in case.wanted if wanted.demand in (Demand.IS, Demand.STATES)]
    facts = [line for text in stated for line in pages.value_lines("", text)]
    seen = [text for line in (*page, *facts) for text in (line.field, line.value)]
    return tuple(dict.fromkeys(text for text in (*seen, *stated) if text and "\n" not in text))


def _additions(
    asked: Sequence[str],
    page: tuple[Line, ...],
    program: tuple[Clause, ...],
    domain: Sequence[str],
    keys: Sequence[str],
) -> list[_Edit]:
    """A fact more in a value that holds facts, under a name that another value gives."""
    edits = []
    for slot in dict.fromkeys(line.slot for line in page if line.slot in asked):
        mine = [line for line in page if line.slot == slot]
        sign = mine[0].sign
        fields = [key for key in keys if all(line.field != key for line in mine)] if sign == "=" else []
        for field in fields:
            for value in domain:
                added = Line(slot, field, sign, value)
                edits.append(_Edit(slot, should_state(added.raw), (*page, added), program))
    return edits


def _clause_edits(page: tuple[Line, ...], program: tuple[Clause, ...]) -> list[_Edit]:
    fields = tuple(dict.fromkeys(line.field.casefold() for line in page if line.field))
    edits = []
    for clause in library(fields):
        advice = should_state(written(clause))
        for index in range(len(program) + 1):
            if clause not in program[index : index + 1]:
                edited = (*program[:index], clause, *program[index + 1 :])
                edits.append(_Edit(_INSTRUCTION, advice, page, edited))
    for index, clause in enumerate(program):
        rest = (*program[:index], *program[index + 1 :])
        if rest:
            edits.append(_Edit(_INSTRUCTION, should_omit(written(clause)), page, rest))
    return edits


def _verdicts(
    case: Case, weights: dict[tuple[str, str], float], asked: Sequence[str], prompt: str, ties: str
) -> tuple[Advice, ...]:
    total = sum(weights.values())
    blame: dict[str, float] = {}
    for (place, _), weight in weights.items():
        slot = case.instruction_slot if place == _INSTRUCTION and case.instruction_slot else place
        blame[slot] = blame.get(slot, 0.0) + weight / total
    highest = max(blame.values())
    tied = [place for place, share in blame.items() if highest - share < _SAME]
    if len(tied) > 1:
        blame.update(dict.fromkeys(tied, 0.0))
        blame[_tied(tied, prompt, ties)] = highest * len(tied)
    return tuple(
        Advice(slot, True, _advice(slot, case, weights)) if blame.get(slot, 0.0) >= 0.5 else Advice(slot, False)
        for slot in asked
    )


def _advice(slot: str, case: Case, weights: dict[tuple[str, str], float]) -> str:
    place = _INSTRUCTION if case.instruction_slot == slot else slot
    mine = {advice: weight for (where, advice), weight in weights.items() if where == place}
    best, weight = max(mine.items(), key=lambda item: item[1])
    return best if weight >= 0.5 * sum(mine.values()) - _SAME else SHOULD_DIFFER


def _tied(places: Sequence[str], prompt: str, ties: str) -> str:
    ordered = sorted(places)
    return ordered[0] if ties == "lexicographic" else pages.pick(ordered, "tie", prompt)
