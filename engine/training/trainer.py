"""The trainer: a deterministic program whose only inputs from outside are outcomes. Iterate it, then ask for a report.

    async with Trainer(spec) as trainer:
        async for step in trainer:
            ...
        result = await trainer.report()

Each `__anext__` opens and closes its own task group: nothing runs between steps or after a `break` (law L6).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

import anyio

from semprop.engine.bias import Corrected
from semprop.engine.copying import CopyGuard
from semprop.engine.errors import RunError, StorageError
from semprop.engine.example import Example, shuffled
from semprop.engine.gates import Decision
from semprop.engine.graph import Graph
from semprop.engine.method import Scored
from semprop.engine.nodes import Model
from semprop.engine.outcomes import Failure, Position
from semprop.engine.parameters import Parameters, document_of, rendered
from semprop.engine.passes.forward import wiring
from semprop.engine.passes.loss import loss_of
from semprop.engine.scheduler import Start, in_order, together
from semprop.engine.training.approximate import approximate
from semprop.engine.training.asker import Asker
from semprop.engine.training.cache import Shared
from semprop.engine.training.claim import HeldOutReport, Row, Searched, held_out, held_out_document
from semprop.engine.training.documents import (
    gradients_document,
    proposals_document,
    selection_document,
    tape_document,
    verdict_document,
)
from semprop.engine.training.driver import Stage
from semprop.engine.training.events import Announcer, HeldOut, ItemDone, Observer, PassStarted, StepDone
from semprop.engine.training.journal import Journal
from semprop.engine.training.judges import judge_report
from semprop.engine.training.ledger import Ledger
from semprop.engine.training.openings import opened
from semprop.engine.training.patience import widened
from semprop.engine.training.report import Result, Status, status_of
from semprop.engine.training.runs import Run
from semprop.engine.training.sittings import Sitting, begin
from semprop.engine.training.specification import Specification, gate_items
from semprop.engine.training.step import Step, StepInput, run_step
from semprop.engine.training.telemetry import Price, Telemetry, unpriced
from semprop.providers.base import Noting
from semprop.providers.clock import Clock, SystemClock


class Trainer:
    """One run, a step at a time. Not reusable, and not to be iterated by two tasks at once.

    Args:
        spec: what to run.
        observers: called with every event, in order; they cannot change anything.
        price: (role, usage) → dollars, for the telemetry.
        resume: go on from the journal in `spec.run`, repeating no recorded call.
        shared: where requests may be answered from besides the run's own journal, open: a `ReplyCache`.
        recording: in place of a journal; `spec.run` is None then.

    Raises (on entering):
        UsageError: the run directory exists, and `resume` was not asked for; or it holds another run, or another
            process writes it.
        StorageError: it cannot be written, or holds no journal of this version.
    """

    def __init__(
        self,
        spec: Specification,
        *,
        observers: Sequence[Observer] = (),
        price: Price = unpriced,
        clock: Clock | None = None,
        resume: bool = False,
        shared: Shared | None = None,
        recording: Ledger | None = None,
    ) -> None:
        self.spec = spec
        self.parameters: Parameters = spec.initial
        self.steps: list[Step] = []
        self.telemetry = Telemetry(price)
        self._announce = Announcer([*observers])
        self._clock = clock or SystemClock()
        self._resume = resume
        self._shared = shared
        self._recording = recording
        self._stack = AsyncExitStack()
        self._ledger: Ledger | None = None
        self._is_copy = CopyGuard(spec.splits.train)
        self._rejected: dict[str, tuple[str, ...]] = {}
        self._right: dict[str, None] = {}  # Training examples that the present parameters were seen to solve.
        self._tried: dict[str, dict[str, None]] = {}
        self._busy = False
        self._result: Result | None = None
        self._ended = Status.INTERRUPTED

    async def __aenter__(self) -> Self:
        self._began = self._clock.now()
        try:
            for provider in dict.fromkeys(self.spec.providers.values()):
                await self._stack.enter_async_context(provider)
            if self._recording is not None:
                self._sitting = Sitting(self._recording)
            else:
                self._sitting = await begin(self.spec, self.telemetry, self._resume)
        except BaseException:
            await self._stack.aclose()
            raise
        self._ledger = self._sitting.ledger
        if isinstance(self._ledger, Journal):
            for provider in dict.fromkeys(self.spec.providers.values()):
                if isinstance(provider, Noting):
                    provider.keep(self._ledger)
        self._asker = Asker(self.spec, self._ledger, self.telemetry, self._announce, self._shared)
        self._stage = Stage(
            wiring(self.spec.graph), self.spec.loss, self._asker, 2 * self.spec.in_flight, self._announce
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ledger, self._ledger = self._ledger, None
        try:
            if ledger is not None:
                try:
                    if self._result is None and isinstance(ledger, Journal) and not isinstance(error, StorageError):
                        # Cancellation and Ctrl-C are no faults of the run.
                        failed = kind is not None and issubclass(kind, Exception)
                        ledger.describe("status", str(Status.FAILED if failed else self._ended))
                    if not isinstance(error, StorageError):
                        self._sitting.end(self._clock.now() - self._began)
                finally:
                    await self._sitting.close()
        finally:
            await self._stack.aclose()

    # Steps --------------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Step:
        ledger = self._opened()
        if len(self.steps) >= self.spec.steps or len(self._right) == len(self.spec.splits.train):
            raise StopAsyncIteration
        if self._busy:
            raise RunError("two tasks iterate one trainer: let one of them do it")
        self._busy = True
        try:
            index = len(self.steps)
            self._announce(PassStarted(index, "step"))
            tried = tuple(self._tried.get(self.parameters.hash, ()))
            state = self.steps[-1].proposals.state if self.steps else None
            batch = self._minibatch(index)
            given = StepInput(index, self.parameters, batch, self._is_copy, self._rejected, tried, state)
            # What ran ahead may not be on record: a step that is decided is replayed without running ahead.
            stage = replace(self._stage, window=1) if ledger.decided(index) else self._stage
            async with self._asker:
                step = await run_step(self.spec, stage, given)
            with anyio.CancelScope(shield=True):  # A step is on record whole, or not at all and is run again.
                self._record(ledger, step)
                # A native cancel goes through the shield: what is on record must be known here before anybody waits.
                self._advance(step)
                await ledger.flush()
        finally:
            self._busy = False
        return step

    def _advance(self, step: Step) -> None:
        self.steps.append(step)
        self.parameters = step.after
        if step.accepted:
            self._right = {}
        else:
            threshold = self.spec.method.selection.threshold
            right = (entry for entry in step.selected.scored if loss_of(entry.score) <= threshold)
            self._right.update((entry.tape.example.id, None) for entry in right)
        if step.verdict is not None and step.verdict.decision is Decision.REJECT:
            # They would lose again: the same gate items, mostly the same outcomes.
            self._tried.setdefault(step.before.hash, {}).update((entry.id, None) for entry in step.proposals.candidates)
        if self.spec.keep_rejected:
            self._remember(step)

    @property
    def seconds(self) -> float:
        """What the run has taken, in all its sittings."""
        return self._sitting.seconds + self._clock.now() - self._began

    def _opened(self) -> Ledger:
        if self._ledger is None:
            raise RunError("the trainer is not open: use `async with Trainer(spec) as trainer`")
        return self._ledger

    @property
    def _chunks(self) -> int:
        """How many minibatches it takes to see every training example once."""
        return -(-len(self.spec.splits.train) // self.spec.minibatch)

    def _minibatch(self, index: int) -> tuple[Example, ...]:
        """The step's examples: a slice of an order that is drawn anew for each epoch, from (seed, epoch) alone."""
        epoch, chunk = divmod(index, self._chunks)
        order = shuffled(self.spec.splits.train, self.spec.seed, "minibatch", epoch)
        return order[chunk * self.spec.minibatch : (chunk + 1) * self.spec.minibatch]

    def _record(self, ledger: Ledger, step: Step) -> None:
        selected = step.selected
        ledger.decide(step.index, "selection", "", selection_document(selected))
        for entry, gradients in zip(selected.wrong, step.gradients, strict=False):
            name = entry.tape.example.id
            ledger.decide(step.index, "tape", name, tape_document(entry.tape))
            ledger.decide(step.index, "gradients", name, gradients_document(gradients))
        ledger.decide(step.index, "proposals", "", proposals_document(step.proposals))
        ledger.decide(step.index, "verdict", "", verdict_document(step))
        values = {name: document_of(value) for name, value in step.after.items()}
        ledger.decide(step.index, "parameters", "", values)
        used = [entry.tape.example.id for entry in selected.scored]
        self.telemetry.close_pass("forward", (*used, *selected.left_out))
        judged = step.race.board.rows if step.race else ()
        self.telemetry.close_pass("gate", (item.id for item in gate_items(self.spec, step.index)[: len(judged)]))
        self._announce(
            StepDone(
                step.index,
                len(selected.wrong),
                len(selected.scored),
                step.proposals.candidates,
                step.proposals.dropped,
                step.verdict,
                step.reason,
            )
        )

    def _remember(self, step: Step) -> None:
        verdict = step.verdict
        if verdict is None or verdict.decision is Decision.ACCEPT:
            return
        for entry in step.proposals.candidates:
            for edit in entry.edits:
                known = self._rejected.get(edit.parameter, ())
                self._rejected[edit.parameter] = tuple(dict.fromkeys((*known, rendered(edit.after))))

    # Report -------------------------------------------------------------------------------------------------------

    async def report(self) -> Result:
        """Open the test split once, compare initial and final parameters on it, and return the result."""
        ledger = self._opened()
        if self._result is None:
            spec = self.spec
            async with self._asker:
                report = await self._held_out()
            result = self.partial(status_of(spec.initial, self.parameters, report), report)
            if report is not None:
                ledger.decide(len(self.steps), "held_out", "", held_out_document(report))
                self._announce(HeldOut(report.strict.before, report.strict.after, report.strict.n))
            if isinstance(ledger, Journal):
                ledger.describe("result", result.document())
                ledger.describe("status", str(result.status))
            await ledger.flush()
            self._result = result
        return self._result

    def end(self, status: Status) -> None:
        """Say what ends the run before its end, if it is not `interrupted`; for the journal."""
        self._ended = status

    def partial(self, status: Status, report: HeldOutReport | None = None) -> Result:
        """The result as it stands now; for a run that was stopped, with that status."""
        return Result(
            status,
            self.spec,
            self.spec.initial,
            self.parameters,
            tuple(self.steps),
            report,
            self.telemetry.document(self.seconds),
            self.spec.run,
            self._approximate(),
        )

    def _approximate(self) -> Corrected | None:
        spec = self.spec
        # What stayed as it was gained nothing, whatever the candidates that the gate turned down might have.
        if spec.splits.test or spec.gate_items is not None or self.parameters == spec.initial:
            return None
        return approximate(self.steps, spec.splits.gate, spec.seed)

    async def _held_out(self) -> HeldOutReport | None:
        spec = self.spec
        if not spec.splits.test:
            return None
        await self._open_test()
        rows = await self._measure(widened(self._stage, spec.batched, "test"), "test")
        constrained: list[Row] = []
        output = spec.graph.node(spec.graph.output)
        if spec.labels and isinstance(output, Model) and spec.provider(output.role).capabilities.choices:
            limited = constrained_to(spec.graph, spec.labels)
            constrained = await self._measure(replace(self._stage, wired=wiring(limited)), "constrained")
        tried = sum(len(step.proposals.candidates) for step in self.steps)
        searched = Searched(self.parameters != spec.initial, tried)
        judge = await judge_report(spec, self._stage, len(self.steps))
        return held_out(rows, constrained, spec.seed, spec.labels, searched, judge)

    async def _open_test(self) -> None:
        """Put on record that the test is opened, before anything of it is measured, and learn how often it was."""
        spec, ledger = self.spec, self._opened()
        if spec.run is None:
            return
        known = Run(spec.run).meta("test") if self._resume else None
        if known is None:
            reuse = await anyio.to_thread.run_sync(opened, spec.run.parent, spec.run.name, spec.splits.test)
            known = reuse.document()
            if isinstance(ledger, Journal):
                ledger.describe("test", known)
            await ledger.flush()
        self.telemetry.test = known

    async def _measure(self, stage: Stage, phase: str) -> list[Row]:
        """Initial and final parameters on every test item; what a provider failed on is asked once more at the end."""
        items, step = self.spec.splits.test, len(self.steps)
        self._announce(PassStarted(step, phase, len(items)))
        rows: dict[str, Row] = {}

        async def one(again: int, item: Example, start: Start) -> Row:
            async def side(parameters: Parameters) -> Scored | Failure:
                at = Position(step, phase, candidate=parameters.hash, again=again)
                return await stage.score(parameters, item, at, start)

            if self.parameters == self.spec.initial:
                scored = await side(self.parameters)
                return scored, scored
            before, after = await together([lambda: side(self.spec.initial), lambda: side(self.parameters)], start)
            return before, after

        def consume(item: Example, row: Row) -> bool:
            rows[item.id] = row
            self._announce(ItemDone(step, phase))
            return False

        await in_order(items, lambda item, start: one(0, item, start), consume, stage.window)
        failed = [item for item in items if any(isinstance(side, Failure) for side in rows[item.id])]
        await in_order(failed, lambda item, start: one(1, item, start), consume, stage.window)
        return [rows[item.id] for item in items]


def constrained_to(graph: Graph, labels: Sequence[str]) -> Graph:
    """The graph with its output node, a model's, held to the labels in decoding."""
    nodes = [
        replace(node, choices=tuple(labels)) if isinstance(node, Model) and node.name == graph.output else node
        for node in graph.nodes
    ]
    return Graph(inputs=graph.inputs, parameters=graph.parameters, nodes=nodes, output=graph.output)


async def optimize(
    spec: Specification,
    *,
    observers: Sequence[Observer] = (),
    price: Price = unpriced,
    resume: bool = False,
) -> Result:
    """Run a specification to its end and report on the held-out split.

    Raises:
        UsageError: the run directory exists.
        StopError: a provider will answer nothing more (key, bill, settings, outage).
        StorageError: the run cannot be written.
    """
    async with Trainer(spec, observers=observers, price=price, resume=resume) as trainer:
        async for _ in trainer:
            pass
        return await trainer.report()
