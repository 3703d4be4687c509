"""`diagnose`: before money is spent, what an optimization could gain, what would be seen of it, what to fix first.

Takes a specification, gives a `Diagnosis`. Opens train and gate only, never the test. Each part says what it will take
before it runs, the cheap ones first, and is left out if that exceeds what is left of the limits.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from semprop.bench.diagnosis import controls
from semprop.bench.diagnosis.coupling import Cells, coupling
from semprop.bench.diagnosis.laboratory import Entry, Laboratory, Spent, calls_an_item
from semprop.bench.diagnosis.order import Books, Order, Watch
from semprop.bench.diagnosis.results import Controls, Diagnosis, FormatGap, Headroom, SmallestGain, Start
from semprop.bench.diagnosis.wording import (
    WORKED,
    drawn_from,
    format_line,
    output_instruction,
    texts,
    variants,
    with_format,
)
from semprop.bench.evaluate import interval_of
from semprop.engine.bias import bias_corrected
from semprop.engine.errors import SpecificationError
from semprop.engine.example import Example, shuffled
from semprop.engine.findings import Item, Side, classes
from semprop.engine.method import Proposals, Scored, UpdateContext
from semprop.engine.methods.catalogue import Choices, method_named
from semprop.engine.parameters import Parameters, rendered
from semprop.engine.statistics import Comparison, compare, items_needed, smallest_gain, wilson
from semprop.engine.tape import shown
from semprop.engine.training.specification import Specification
from semprop.engine.training.telemetry import Telemetry
from semprop.engine.training.trainer import constrained_to
from semprop.providers.errors import ErrorClass, StopError


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """The findings, and what they cost."""

    found: Diagnosis
    telemetry: Telemetry


async def diagnose(order: Order, watch: Watch) -> Diagnosed:
    """Carry out the parts that were asked for, in their order.

    Raises:
        StopError: a provider will answer nothing more, or no example could be scored.
        SpecificationError: there are too few examples.
    """
    doctor = _Doctor(order, watch)
    async with Laboratory(order.spec, watch.price, watch.observers) as laboratory:
        await doctor.examine(laboratory)
    await doctor.compare_controls(laboratory.telemetry)
    return Diagnosed(doctor.found, laboratory.telemetry)


class _Doctor:
    """The diagnosis so far, and what it cost."""

    def __init__(self, order: Order, watch: Watch) -> None:
        self.order, self.watch, self.spec = order, watch, order.spec
        self.books = Books(order, watch.price)
        self._found = Diagnosis(order.spec.task)
        splits = order.spec.splits
        self._worked = splits.train[:WORKED] if len(splits.train) > WORKED else ()
        pool = (*splits.gate, *splits.train[len(self._worked) :])
        self.items: tuple[Example, ...] = shuffled(pool, order.spec.seed, "diagnose")[: order.items]
        if len(self.items) < 2:
            raise SpecificationError("train and gate hold fewer than 2 examples to score: give more with --train")
        self._scored: dict[str, tuple[Entry, ...]] = {}
        self._other: Parameters | None = None

    @property
    def found(self) -> Diagnosis:
        return replace(self._found, outcomes=self.books.outcomes)

    # The cheap parts --------------------------------------------------------------------------------------------------

    async def examine(self, laboratory: Laboratory) -> None:
        """The start, and every part that needs no optimization."""
        names, size = self.order.parts, len(self.items)
        held = 1 if self._is_held else 0
        wordings = 0 if self.order.pools else -(-len(texts(self.spec.graph)) // calls_an_item(self.spec.graph))
        plans: dict[str, tuple[int, Callable[[Laboratory], Awaitable[None]]]] = {
            "start": (size, self._start),
            "format": (size * (1 + held), self._format),
            "classes": (0, self._classes),
            "gain": (size + wordings, self._gain),
            "headroom": (size * 5, self._headroom),
            "coupling": (size * 2 if "gain" in names else size * 3 + wordings, self._coupling),
        }
        for name, (items, part) in plans.items():
            if name != "start" and (name not in names or self._found.start is None):
                continue
            if self._may(name, self.books.calls(items)):
                before = laboratory.spent
                await part(laboratory)
                self.books.close(name, laboratory.spent - before)
                self.watch.found(name, self.found)

    @property
    def _is_held(self) -> bool:
        """Whether decoding can be held to the labels."""
        spec = self.spec
        able = spec.provider("forward").capabilities.choices and output_instruction(spec.graph) is not None
        return bool(spec.labels) and able

    async def _start(self, laboratory: Laboratory) -> None:
        rows = await self._score(laboratory, self.spec.initial)
        scored = [row for row in rows if isinstance(row, Scored)]
        if not scored:
            told = f"none of {len(rows)} examples could be scored: a provider failed on all of them"
            raise StopError(told, ErrorClass.TRANSIENT)
        values = [row.score.value for row in scored]
        lenient = [row.score.lenient for row in scored if row.score.lenient is not None]
        items = [Item(_side(row), _side(row), row.tape.example.expected, row.tape.example.group) for row in scored]
        start = Start(
            n=len(values),
            score=_mean(values),
            interval=interval_of(values, self.spec.seed)[0],
            lenient=_mean(lenient) if len(lenient) == len(values) else None,
            constrained=None,
            missing=len(rows) - len(values),
            classes=classes(items, self.spec.labels, self.spec.seed),
        )
        self._found = replace(self._found, start=start)

    async def _format(self, laboratory: Laboratory) -> None:
        spec, start = self.spec, self._found.start
        assert start is not None, "the start is measured first"
        held: Comparison | None = None
        if self._is_held:
            limited = constrained_to(spec.graph, spec.labels)
            columns = [await self._score(laboratory, spec.initial)]
            columns.append(await laboratory.score(spec.initial, self.items, "constrained", limited))
            held = self._paired(_complete(columns))
            self._found = replace(self._found, start=replace(start, constrained=None if held is None else held.after))
        rows = [row for row in self._scored[spec.initial.hash] if isinstance(row, Scored)]
        read = self._paired([[row.score.value, row.score.lenient] for row in rows if row.score.lenient is not None])
        lined = with_format(spec.graph, spec.initial, spec.loss, spec.labels)
        line = None if lined is None else await self._compared(laboratory, lined)
        text, chance = format_line(spec.loss, spec.labels), 1 / len(spec.labels) if spec.labels else None
        self._found = replace(self._found, format=FormatGap(text, read, held, line, chance))

    async def _classes(self, _: Laboratory) -> None:
        """They were read off the start."""

    async def _gain(self, laboratory: Laboratory) -> None:
        other = await self._alternative(laboratory)
        found = await self._compared(laboratory, other)
        if found is None:
            return
        changed = found.wins + found.losses
        interval = wilson(changed, found.n)
        # Where nothing changed, the most that may still change is taken: the pilot is small.
        rho = changed / found.n if changed else interval.high
        sizes, delta = self.spec.splits, self.order.delta
        gate, test = (smallest_gain(len(part), rho) if part else math.inf for part in (sizes.gate, sizes.test))
        needed = items_needed(delta, max(rho, delta))
        gain = SmallestGain(
            found.n,
            changed,
            rho,
            interval,
            len(sizes.gate),
            len(sizes.test),
            in_gate=gate,
            in_test=test,
            delta=delta,
            needed=needed,
        )
        self._found = replace(self._found, gain=gain)

    async def _headroom(self, laboratory: Laboratory) -> None:
        spec = self.spec
        tried = variants(spec.graph, spec.initial, spec.loss, spec.labels, self._worked)
        columns = [await self._score(laboratory, spec.initial)]
        for variant in tried:
            columns.append(await self._score(laboratory, variant.parameters))
        full = _complete(columns)
        if not full:
            return
        means = [_mean([row[place] for row in full]) for place in range(len(columns))]
        room = Headroom(
            n=len(full),
            start=means[0],
            names=tuple(variant.name for variant in tried),
            scores=tuple(means[1:]),
            best=bias_corrected(full, spec.seed),
            any_solves=_mean([max(row) for row in full]),
        )
        self._found = replace(self._found, headroom=room)

    async def _coupling(self, laboratory: Laboratory) -> None:
        """The last instruction against all others, each at its start and as another wording."""
        spec, names = self.spec, texts(self.spec.graph)
        if len(names) < 2:
            self.books.leave_out("coupling", "the graph has one instruction: there is nothing to interact")
            return
        last = output_instruction(spec.graph)
        first = last if last in names else names[-1]
        other, start = await self._alternative(laboratory), spec.initial
        a = start.replaced({first: other[first]})
        b = start.replaced({name: other[name] for name in names if name != first})
        columns = [await self._score(laboratory, parameters) for parameters in (start, a, b, other)]
        found = coupling([Cells(*row) for row in _complete(columns)], spec.seed)
        self._found = replace(self._found, coupling=found)

    # The controls -----------------------------------------------------------------------------------------------------

    async def compare_controls(self, telemetry: Telemetry) -> None:
        """The method and its controls, each a whole optimization."""
        asked = [name for name in controls.CONTROLS if name in self.order.parts]
        if not asked or self._found.start is None:
            return
        if len(self.spec.splits.gate) < 2:
            self._leave_out(asked, "the gate split has fewer than 2 examples, so that it cannot be halved")
            return
        spec = controls.halved(self.spec)
        true = await self._searched(controls.TRUE, spec, telemetry, None)
        if true is None or true.gain is None:
            self._leave_out(asked, "without the method's own gain there is nothing to compare with")
            return
        gains: dict[str, Comparison] = {}
        for name in asked:
            found = await self._searched(name, spec, telemetry, true.spent if name == "random" else None)
            if found is not None and found.gain is not None:
                gains[name] = found.gain
        self._found = replace(self._found, controls=Controls(true.gain, gains))
        self.watch.found("controls", self.found)

    async def _searched(
        self, name: str, spec: Specification, telemetry: Telemetry, same: Spent | None
    ) -> controls.Searched | None:
        try:
            method = controls.method_of(name, spec)
        except SpecificationError as error:
            self._leave_out([name], str(error))
            return None
        most = controls.most_calls(spec)
        if not self._may(name, most if same is None else max(most, same.calls)):
            return None
        found = await controls.search(spec, method, self.watch.price, self.watch.observers, same)
        telemetry.absorb(found.telemetry)
        self.books.close(name, found.total)
        return found

    # What they share --------------------------------------------------------------------------------------------------

    async def _score(self, laboratory: Laboratory, parameters: Parameters) -> tuple[Entry, ...]:
        known = self._scored.get(parameters.hash)
        if known is None:
            known = self._scored[parameters.hash] = await laboratory.score(parameters, self.items, "diagnose")
        return known

    async def _compared(self, laboratory: Laboratory, parameters: Parameters) -> Comparison | None:
        """The start against these parameters, over the items that both have."""
        columns = [await self._score(laboratory, each) for each in (self.spec.initial, parameters)]
        return self._paired(_complete(columns))

    def _paired(self, rows: Sequence[Sequence[float]]) -> Comparison | None:
        return compare([row[0] for row in rows], [row[1] for row in rows], self.spec.seed) if rows else None

    async def _alternative(self, laboratory: Laboratory) -> Parameters:
        """Other wordings of all instructions: out of the task's clauses, else written by the update model without
        data, else with a general sentence."""
        if self._other is None:
            spec = self.spec
            known = drawn_from(self.order.pools, spec.initial, spec.seed)
            if not known:
                known = _written(await laboratory.carry_out(self._blind(laboratory)))
            general = variants(spec.graph, spec.initial, spec.loss, (), ())
            spare = next((variant.parameters for variant in general), spec.initial)
            changed = {name: known.get(name, rendered(spare[name])) for name in texts(spec.graph)}
            self._other = spec.initial.replaced(changed)
        return self._other

    def _blind(self, laboratory: Laboratory) -> Any:
        spec = self.spec
        method = method_named("improve-blind", Choices(spec.method.gate))
        context = UpdateContext(
            graph=spec.graph,
            parameters=spec.initial,
            collected={},
            scored=(),
            solved=(),
            step=0,
            seed=spec.seed,
            wanted=1,
            style=laboratory.style("update"),
            is_copy=lambda text, present: "",
        )
        return method.update(context)

    def _may(self, name: str, calls: int) -> bool:
        """Say what a part may take, and whether the limits allow it; if not, it is noted as left out."""
        planned = self.books.plan(name, calls)
        refusal = self.books.refusal(planned)
        if refusal:
            self._leave_out([name], refusal)
        else:
            self.watch.plan(name, planned)
        return not refusal

    def _leave_out(self, names: Sequence[str], why: str) -> None:
        for name in names:
            self.books.leave_out(name, why)
            self.watch.found(name, self.found)


def _complete(columns: Sequence[Sequence[Entry]]) -> list[list[float]]:
    """The scores of the items that every column has, a row an item."""
    rows = [[cell.score.value for cell in row if isinstance(cell, Scored)] for row in zip(*columns, strict=True)]
    return [row for row in rows if len(row) == len(columns)]


def _written(proposals: Proposals) -> dict[str, str]:
    """The wordings in a blind update's proposals, the first of each parameter."""
    found: dict[str, str] = {}
    for entry in proposals.candidates:
        for edit in entry.edits:
            found.setdefault(edit.parameter, rendered(edit.after))
    return found


def _side(entry: Scored) -> Side:
    answer = entry.tape.answer
    return Side(entry.score.value, None if answer is None else shown(answer), entry.score.lenient)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
