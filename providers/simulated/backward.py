"""The simulated model's backward reader: which input is to blame, by enumeration. Pure.

Takes a prompt and the slots it asks about, gives a verdict for each. It finds its way by value: the instruction is the
block that holds clauses, the gradient is the block that makes demands, labelled blocks are inputs, what is left is
the output and inputs without a name. Hypotheses are all single edits of one visible value, asked about or not, or of
one clause. The prior is even over places, then over the edits of a place; the likelihood is whether the edited step
would have met every demand. What it cannot see is marginalised: the instruction over the library of clauses, a number
over 0 to 9 if every number in view has one digit and else over 0 to 99, a yes or no over both, and the place of what is
hidden, or has no name, over all places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from semprop.providers.simulated import pages
from semprop.providers.simulated.clauses import Clause, Program, understood
from semprop.providers.simulated.execution import UNKNOWN, MissingOperand, carried_out
from semprop.providers.simulated.pages import CLEAR, Block, Line, Sight
from semprop.providers.simulated.wanted import (
    SHOULD_DIFFER,
    Demand,
    Wanted,
    are_met,
    number_in,
    should_omit,
    should_state,
    wanted_in,
)
from semprop.providers.simulated.wordings import library, written

DIGITS = tuple(str(number) for number in range(10))
NUMBERS = tuple(str(number) for number in range(100))
"""The domains of a number that is not visible; the first if all that are visible have one digit."""

MOST_FILLINGS = 4_096
"""In more ways than these nothing hidden is filled in: then nothing is known of it."""

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


@dataclass(frozen=True, slots=True)
class _World:
    """One way in which what is hidden may be, and how likely it is."""

    weight: float
    clauses: tuple[Clause, ...]
    page: tuple[Line, ...]


@dataclass(slots=True)
class _Posterior:
    """What the enumeration adds up: `blame` by place; `meets` by (place, advice), the weight of the worlds in which
    this edit does what is wanted; `possible` by place, the weight of those in which some edit does."""

    blame: dict[str, float] = field(default_factory=dict)
    meets: dict[tuple[str, str], float] = field(default_factory=dict)
    possible: dict[str, float] = field(default_factory=dict)

    def add(self, weight: float, edits: Sequence[_Edit], case: Case) -> None:
        sizes = Counter(edit.place for edit in edits)
        here: dict[str, float] = {}
        for edit in edits:
            if likelihood := _likelihood(edit, case):
                where = (edit.place, edit.advice)
                self.meets[where] = self.meets.get(where, 0.0) + weight * likelihood
                here[edit.place] = here.get(edit.place, 0.0) + likelihood
        for place, total in here.items():
            self.blame[place] = self.blame.get(place, 0.0) + weight * total / sizes[place]
            self.possible[place] = self.possible.get(place, 0.0) + weight * min(1.0, total)


def backward(prompt: str, asked: Sequence[str], sight: Sight = CLEAR, ties: str = "seeded") -> tuple[Advice, ...]:
    """Judge each asked slot: change if the posterior that it is to blame is at least ½, with the value that most
    probably does what is wanted if that is at least as likely as not; else keep.

    Places that are equally likely are one place: a draw seeded by the prompt decides which, or the first by name if
    `ties` is "lexicographic". So are values.
    """
    case = case_of(prompt, asked, sight)
    if not case.wanted:
        return tuple(Advice(slot, False) for slot in asked)
    posterior = _posterior(case)
    if posterior is None:
        return tuple(Advice(slot, False) for slot in asked)
    if not posterior.blame:
        blamed = _tied(list(asked), prompt, ties)
        return tuple(Advice(slot, slot == blamed, SHOULD_DIFFER if slot == blamed else "") for slot in asked)
    return _verdicts(case, posterior, prompt, ties)


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
    # A prompt may show the instruction twice, once under a name that it asks about: that is one value.
    named = {index: any(label in asked for label in found[index].labels) for index in programs}
    steering = max(programs, key=lambda index: (len(programs[index].clauses), named[index]), default=-1)
    program = programs.get(steering, Program(()))
    twice = found[steering].text.strip() if steering >= 0 and named[steering] else None
    kept = (index for index in range(len(found)) if index not in (gradient, steering))
    rest = [found[index] for index in kept if found[index].text.strip() != twice]
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


def _posterior(case: Case) -> _Posterior | None:
    """The sums over all worlds and edits; without blame if no hypothesis explains the demand, None if nothing in view
    needs to change: the step as it stands meets it."""
    posterior = _Posterior()
    for world in _worlds(case):
        result = _result(world.clauses, world.page) or ""
        if case.program.clauses and are_met(case.wanted, result, case.output):
            return None
        posterior.add(world.weight, _edits(case, world), case)
    return posterior


def _worlds(case: Case) -> list[_World]:
    """What is hidden, filled in every way that the shown output allows. A hidden table is not filled in
    (`TABLE_ODDS`)."""
    fields = tuple(dict.fromkeys(line.field.casefold() for line in case.page if line.field))
    known = case.program.clauses
    worlds: list[_World] = []
    for program in [known] if known else [(clause,) for clause in library(fields)]:
        try:
            result = carried_out(program, case.page)
        except MissingOperand as missing:
            if missing.what == "value":
                filled = [page for page in _filled(case.page, missing) if _result(program, page) == case.output]
                worlds += [_World(1 / len(filled), program, page) for page in filled]
            elif known:
                worlds.append(_World(1.0, program, case.page))
        else:
            pages_in_order = [case.page] if result == case.output else _orders(case.page, program, case.output)
            if known or result == case.output:
                worlds += [_World(1.0, program, page) for page in pages_in_order or [case.page]]
    return worlds


def _filled(page: tuple[Line, ...], missing: MissingOperand) -> Iterator[tuple[Line, ...]]:
    """The page with hidden values at every place around what is visible."""
    domain = missing.domain or _hidden_domain(page)
    if len(domain) ** missing.count > MOST_FILLINGS:
        return
    for values in product(domain, repeat=missing.count):
        hidden = tuple(Line("", "", "", value) for value in values)
        for place in range(missing.count + 1):
            yield (*hidden[:place], *page, *hidden[place:])


def _hidden_domain(page: Sequence[Line]) -> tuple[str, ...]:
    texts = [line.value for line in page if line.sign != "="]
    if any(number_in(text) is not None for text in texts):
        return _numbers(texts)
    return ("yes", "no") if any(text.casefold() in ("yes", "no") for text in texts) else tuple(dict.fromkeys(texts))


def _numbers(texts: Iterable[str]) -> tuple[str, ...]:
    """The published domain of a number beside these."""
    return DIGITS if all(text in DIGITS for text in texts if number_in(text) is not None) else NUMBERS


def _orders(page: tuple[Line, ...], program: tuple[Clause, ...], output: str) -> list[tuple[Line, ...]]:
    """The orders of named values among those without a name in which the step would have written its output."""
    named = tuple(line for line in page if line.slot)
    loose = tuple(line for line in page if not line.slot)
    orders = [(*loose[:place], *named, *loose[place:]) for place in range(1, len(loose) + 1)] if loose else []
    return [order for order in orders if _result(program, order) == output]


def _likelihood(edit: _Edit, case: Case) -> float:
    result = _result(edit.clauses, edit.page)
    if result is None:
        return TABLE_ODDS
    return float(result != UNKNOWN and are_met(case.wanted, result, case.output))


def _edits(case: Case, world: _World) -> list[_Edit]:
    """Every single edit of a visible value or of a clause, without those that change nothing."""
    page, program = world.page, world.clauses
    domain = _domain(case, page)
    numbers = _numbers(line.value for line in case.page)
    keys = tuple(dict.fromkeys(line.value for line in page if line.is_whole or not line.sign))
    visible = dict.fromkeys(case.page)
    edits: list[_Edit] = []
    for index, line in enumerate(page):
        if line not in visible:
            continue
        before, after = page[:index], page[index + 1 :]
        values = dict.fromkeys((*domain, *numbers) if number_in(line.value) is not None else domain)
        for value in values:
            if value != line.value:
                changed = replace(line, value=value)
                advice = should_state(value if line.is_whole else changed.raw)
                edits.append(_Edit(line.slot, advice, (*before, changed, *after), program))
        if not line.is_whole and (line.slot or line.sign):
            edits.append(_Edit(line.slot, should_omit(line.raw), (*before, *after), program))
        if line.sign == ":" and not line.is_whole:
            edits += [
                _Edit(line.slot, should_state(changed.raw), (*before, changed, *after), program)
                for name in _named_fields(page, program)
                for changed in (replace(line, field=name, value=value) for value in values)
            ]
    edits += _additions(page, program, domain, keys)
    if case.program.clauses:
        edits += _clause_edits(page, program)
    return edits


def _named_fields(page: Sequence[Line], program: tuple[Clause, ...]) -> tuple[str, ...]:
    """Fields that the instruction asks for and that no value has."""
    present = {line.field.casefold() for line in page}
    asked = (clause.argument for clause in program if clause.kind in ("extract", "report"))
    return tuple(dict.fromkeys(name for name in asked if name not in present))


def _domain(case: Case, page: Sequence[Line]) -> tuple[str, ...]:
    """The values that a fact may take: whatever stands anywhere in view."""
    stated = [wanted.text for wanted in case.wanted if wanted.demand in (Demand.IS, Demand.STATES)]
    facts = [line for text in stated for line in pages.value_lines("", text)]
    seen = [text for line in (*page, *facts) for text in (line.field, line.value)]
    return tuple(dict.fromkeys(text for text in (*seen, *stated) if text and "\n" not in text))


def _additions(
    page: tuple[Line, ...],
    program: tuple[Clause, ...],
    domain: Sequence[str],
    keys: Sequence[str],
) -> list[_Edit]:
    """A fact more in a value that holds facts, under a name that another value gives."""
    edits = []
    for slot in dict.fromkeys(line.slot for line in page if line.slot):
        mine = [line for line in page if line.slot == slot]
        sign = mine[0].sign
        fields = [name for name in keys if all(line.field != name for line in mine)] if sign == "=" else []
        for key in fields:
            for value in domain:
                added = Line(slot, key, sign, value)
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


def _verdicts(case: Case, posterior: _Posterior, prompt: str, ties: str) -> tuple[Advice, ...]:
    total = sum(posterior.blame.values())
    blame: dict[str, float] = {}
    for place, weight in posterior.blame.items():
        slot = case.instruction_slot if place == _INSTRUCTION and case.instruction_slot else place
        blame[slot] = blame.get(slot, 0.0) + weight / total
    highest = max(blame.values())
    tied = [place for place, share in blame.items() if highest - share < _SAME]
    if len(tied) > 1:
        blame.update(dict.fromkeys(tied, 0.0))
        blame[_tied(tied, prompt, ties)] = highest * len(tied)
    return tuple(
        Advice(slot, True, _advice(slot, case, posterior, prompt, ties))
        if blame.get(slot, 0.0) >= 0.5 - _SAME
        else Advice(slot, False)
        for slot in case.asked
    )


def _advice(slot: str, case: Case, posterior: _Posterior, prompt: str, ties: str) -> str:
    place = _INSTRUCTION if case.instruction_slot == slot else slot
    mine = {advice: weight for (where, advice), weight in posterior.meets.items() if where == place}
    highest = max(mine.values())
    if highest < (0.5 - _SAME) * posterior.possible[place]:
        return SHOULD_DIFFER
    return _tied([advice for advice, weight in mine.items() if highest - weight < _SAME], prompt, ties)


def _tied(places: Sequence[str], prompt: str, ties: str) -> str:
    ordered = sorted(places)
    return ordered[0] if ties == "lexicographic" else pages.pick(ordered, "tie", prompt)
