"""`semprop reproduce`: says what it may take and what it can show, runs the published experiment or an arm of it, and
sets the table beside the published figures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from semprop.bench.data import data_source
from semprop.bench.projection import DISCORDANCE, SECONDS_A_CALL, Projection, projection
from semprop.bench.reproduction.experiment import MODELS, faults_of
from semprop.bench.reproduction.protocol import (
    Plan,
    Unit,
    departures,
    specification,
    substitutions,
    units,
)
from semprop.bench.reproduction.reproduce import run_unit
from semprop.bench.reproduction.tally import (
    FULL,
    SEEDS_NEEDED,
    Ran,
    Row,
    against_document,
    against_full,
    beside,
    published_document,
    table,
    table_document,
    total,
)
from semprop.engine.errors import SempropError, UsageError
from semprop.engine.findings import Trap
from semprop.engine.training.claim import finding_document, strata_document
from semprop.engine.training.report import RESULT_SCHEMA
from semprop.engine.training.specification import DEFAULT_ROLES, Specification
from semprop.engine.training.telemetry import Price
from semprop.providers.errors import ProviderError
from semprop.providers.valve import Valve
from semprop.tools import render
from semprop.tools.connecting import connected, priced
from semprop.tools.exits import Ended, ExitCode, Problem, document_of, interrupted, problem_of
from semprop.tools.interruption import Patience, listening
from semprop.tools.optimizing import patience_of, progress_of, run_loop
from semprop.tools.preparing import Order, Surrounding, roles_of, run_directory
from semprop.tools.screen import Screen, plain

FREE = ("simulated", "embedded")
"""Kinds of providers that cost nothing."""


@dataclass(frozen=True, slots=True)
class ReproduceOrder:
    """What to reproduce, with whom, and whether money may be spent."""

    plan: Plan
    roles: Mapping[str, str]
    providers: Path | None = None
    data: Path | None = None
    in_flight: int = 128
    yes: bool = False


def listed(text: str | None) -> tuple[str, ...]:
    """A list written with commas."""
    return () if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def seeds_of(text: str) -> tuple[int, ...]:
    """Seeds written with commas.

    Raises:
        UsageError: one is no whole number.
    """
    try:
        return tuple(dict.fromkeys(int(part) for part in listed(text)))
    except ValueError as error:
        raise UsageError(f"--seeds {text!r}: give whole numbers with commas, as 0,1,2") from error


def reproduce_flags(flags: Mapping[str, Any], around: Surrounding, screen: Screen) -> Ended:
    """Reproduce what the flags of the command say.

    Raises:
        UsageError: an experiment, an arm, a task or a seed is none.
    """
    sizes = {"train": flags["train"], "gate": flags["gate_size"], "test": flags["test"], "steps": flags["steps"]}
    plan = Plan(
        name=flags["experiment"],
        arms=listed(flags["arm"]),
        protocol=flags["protocol"],
        seeds=seeds_of(flags["seeds"]),
        tasks=listed(flags["task"]),
        sizes={name: size for name, size in sizes.items() if size is not None},
        gate=flags["gate"],
    )
    roles = {role: flags[role] for role in ("forward", "backward", "update") if flags[role] is not None}
    order = ReproduceOrder(plan, roles, flags["providers"], flags["data"], flags["in_flight"], flags["yes"])
    return reproduce(order, around, screen)


def reproduce(order: ReproduceOrder, around: Surrounding, screen: Screen) -> Ended:
    """Plan, ask for --yes, run, and tell."""
    plan = order.plan
    roles = roles_of(order.roles, MODELS)
    asked, valve = Order(task=plan.name, providers=order.providers, in_flight=order.in_flight), Valve()
    stacks = connected(asked.connecting, roles, around.providers, valve)
    price, source = priced(stacks), data_source(order.data, os.environ, screen.say)
    specs = [(unit, specification(plan, unit, stacks, source, order.in_flight)) for unit in units(plan)]
    source.check_read(plan.name)
    # Arms and seeds measure the same items, tasks different ones: what one arm under one seed shows is what counts.
    first = (specs[0][0].label, specs[0][0].seed)
    test = sum(len(spec.splits.test) for unit, spec in specs if (unit.label, unit.seed) == first)
    planned = projection([spec for _, spec in specs], price, test)
    document = _document(plan, specs[0][1], planned)
    screen.show(*plan_words(plan, specs, planned, document["result"]))
    if not order.yes and not all(text.partition(":")[0] in FREE for text in roles.values()):
        told = "nothing was run: add --yes to spend this, or name other providers (--forward simulated: costs nothing)"
        unpaid = Problem("UsageError", told, ExitCode.INPUT)
        return Ended(document_of(unpaid, document), unpaid)
    ran, problem = run_loop(
        partial(_run, specs, price, Stop(valve, patience_of(asked, around, screen)), around, screen)
    )
    document = _finished(document, plan, ran)
    screen.show(*table_words(plan, ran, document["result"]))
    return Ended(document if problem is None else document_of(problem, document), problem)


@dataclass(frozen=True, slots=True)
class Stop:
    """How the order is stopped, and what stops sending then."""

    valve: Valve
    patience: Patience


async def _run(
    specs: Sequence[tuple[Unit, Specification]], price: Price, stop: Stop, around: Surrounding, screen: Screen
) -> tuple[list[Ran], Problem | None]:
    ran: list[Ran] = []
    async with listening(stop.valve, stop.patience) as interruption:
        with interruption.scope:
            for number, (unit, spec) in enumerate(specs, 1):
                directory = run_directory(f"reproduce-{unit.name}", around)
                screen.say(
                    f"run {number} of {len(specs)}: {unit.label}, {unit.task.name}, seed {unit.seed} ({directory})"
                )
                progress = progress_of(spec, screen, steps=spec.steps, sides=2)
                with progress:
                    try:
                        ran.append(await run_unit(unit, spec, directory, price, [progress]))
                    except (SempropError, ProviderError) as error:
                        # What ends one run ends the order; the runs before it are told, the error is the exit code.
                        return ran, problem_of(error)
            return ran, None
    return ran, interrupted(interruption.number or 0, f"{len(ran)} of {len(specs)} runs are finished and on record")


# As JSON data --------------------------------------------------------------------------------------------------------


def _document(plan: Plan, spec: Specification, planned: Projection) -> dict[str, Any]:
    models = {role: spec.provider(role).identity for role in DEFAULT_ROLES}
    smallest = None if planned.smallest == float("inf") else planned.smallest
    return {
        "schema": RESULT_SCHEMA,
        "status": "failed",
        "error": None,
        "run": None,
        "simulated": spec.is_simulated,
        "result": {
            "experiment": plan.name,
            "protocol": str(plan.protocol),
            "arms": list(plan.arms),
            "seeds": list(plan.seeds),
            "models": models,
            "substitutions": list(substitutions(models)),
            "departures": list(departures(plan)),
            "faults": [{"published": fault.what, "here": fault.here} for fault in faults_of(plan.name)],
            "plan": {
                "runs": planned.runs,
                **planned.spent.document(),
                "seconds": planned.seconds[1],
                "range": planned.whole.document(),
                "test": planned.test,
                "smallest_gain": smallest,
            },
            "published": published_document(plan),
            "runs": [],
            "table": [],
            "against_full": [],
        },
        "telemetry": None,
    }


def _finished(document: Mapping[str, Any], plan: Plan, ran: Sequence[Ran]) -> dict[str, Any]:
    runs = [
        {
            "arm": entry.label,
            "task": entry.task,
            "seed": entry.seed,
            "run": None if entry.run is None else str(entry.run),
            "status": entry.status,
            "test_reused": entry.reused,
            "findings": [] if entry.report is None else [finding_document(found) for found in entry.report.findings],
        }
        for entry in ran
    ]
    result = {
        **document["result"],
        "runs": runs,
        "table": table_document(table(ran)),
        "against_full": against_document(table(ran)),
    }
    return {**document, "status": "done", "result": result, "telemetry": {"spent": total(ran).document()}}


# In words ------------------------------------------------------------------------------------------------------------


def plan_words(
    plan: Plan, specs: Sequence[tuple[Unit, Specification]], planned: Projection, document: Mapping[str, Any]
) -> Iterator[RenderableType]:
    """What is about to run, what it may take, and what it can show."""
    splits, experiment = specs[0][1].splits, plan.experiment
    yield Text(plain(f"{plan.name}: {', '.join(plan.arms)}; protocol {plan.protocol}"), style="bold")
    gate = "judged on train" if specs[0][1].gate_on_train else f"gate {len(splits.gate)}"
    yield f"{planned.runs} runs; the first has train {len(splits.train)}, {gate}, test {len(splits.test)}"
    yield from (plain(f"  {remark}") for remark in experiment.remarks)
    yield render.models(document["models"])
    yield from (Text(plain(f"substituted: {line}"), style="yellow") for line in document["substitutions"])
    yield from (plain(f"departs: {line}") for line in document["departures"])
    spent = planned.spent
    usd = "price unknown" if spent.usd is None else f"${spent.usd:,.2f}"
    yield (
        f"it may take up to {spent.calls:,} calls, about {spent.tokens_in:,} tokens in and {spent.tokens_out:,} out, "
        f"{usd}, and {render.duration(planned.seconds[1])} if a call takes {SECONDS_A_CALL:g} s and no limit slows it"
    )
    shown = "nothing" if planned.smallest == float("inf") else f"a gain of {100 * planned.smallest:.1f} points or more"
    yield (
        f"an arm's {planned.test:,} test examples show {shown} (if {100 * DISCORDANCE:.0f} % of them differ; one-sided "
        "5 %, power 80 %)"
    )


def table_words(plan: Plan, ran: Sequence[Ran], document: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The table beside the published figures, and what must be said of both."""
    rows = table(ran)
    if not rows:
        yield "no run is finished: there is no table"
        return
    yield ""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("arm", "part", "n", "before", "after", "gain", "95 % interval", "", "published"):
        shown.add_column(column, overflow="fold")
    for row in rows:
        for number, cell in enumerate(row.cells):
            shown.add_row(*_line(plan, row, number, stratified=False))
            if cell.strata is not None:
                shown.add_row(*_line(plan, row, number, stratified=True))
    yield shown
    yield from tasks_words(rows)
    yield from (line for row in rows if (line := seeds_words(row)))
    yield from map(plain, arms_words(rows))
    if document["substitutions"]:
        yield Text(plain(f"other models than published: {'; '.join(document['substitutions'])}"), style="yellow")
    reused = [entry for entry in ran if entry.reused]
    if reused:
        yield Text(
            f"test reused: {len(reused)} of {len(ran)} runs opened examples that earlier runs opened", style="yellow"
        )
    yield from map(plain, findings_words(ran))
    yield "faults of the published code, and what is done here:"
    for fault in document["faults"]:
        yield plain(f"  {fault['published']}")
        yield plain(f"    here: {fault['here']}")
    spent = total(ran)
    usd = "price unknown" if spent.usd is None else render.dollars(spent.usd, 0)
    yield f"cost: {spent.calls:,} calls · tokens {spent.tokens_in:,} in, {spent.tokens_out:,} out · {usd}"


def findings_words(ran: Sequence[Ran]) -> Iterator[str]:
    """The traps that runs fell into, by run; those where nothing helped are counted."""
    found = [(entry, finding) for entry in ran if entry.report is not None for finding in entry.report.findings]
    for entry, finding in found:
        if finding.trap is not Trap.NOTHING:
            yield f"finding ({entry.label}, {entry.task}, seed {entry.seed}): {finding.words}"
    nothing = sum(finding.trap is Trap.NOTHING for _, finding in found)
    if nothing:
        yield f"finding: nothing helped in {nothing} of {len(ran)} runs"


def _line(plan: Plan, row: Row, number: int, *, stratified: bool) -> tuple[str, ...]:
    cell = row.cells[number]
    found = cell.strata if stratified and cell.strata is not None else cell.pooled
    part = row.part or "all"
    if cell.strata is not None:
        part += f", stratified over {len(cell.strata.strata)} tasks" if stratified else ", pooled"
    low, high = found.interval
    figures = beside(plan.experiment.figures, row.part)
    published = ", ".join(f"{figure.who} {100 * figure.score:.1f}" for figure in figures)
    return (
        plain(row.label) + (f" (seed {cell.seed})" if len(row.cells) > 1 else ""),
        part,
        str(found.n),
        render.percent(found.before),
        render.percent(found.after),
        render.points(found.difference),
        f"{100 * low:+.1f} to {100 * high:+.1f}",
        str(found.word).replace("δ", "5 points"),
        published or "none",
    )


def tasks_words(rows: Sequence[Row]) -> Iterator[RenderableType]:
    """Every task of an arm, with its claim after Holm's correction."""
    for row in rows:
        for cell in row.cells:
            if row.part == "" and cell.strata is not None:
                yield Text(plain(f"{row.label}, seed {cell.seed}, task by task"), style="bold")
                yield from render.strata(strata_document(cell.strata))


def arms_words(rows: Sequence[Row]) -> Iterator[str]:
    """Every arm against the full method, paired over seeds."""
    for found in against_full(rows):
        yield (
            f"{found.label} against {FULL}, paired over {found.seeds} seeds: {render.points(found.difference)} after; "
            f"{found.words}"
        )


def seeds_words(row: Row) -> str:
    """What the seeds say together; "" for one."""
    if len(row.cells) < 2:
        return ""
    gains = ", ".join(f"{100 * cell.pooled.difference:+.1f}" for cell in row.cells)
    where = f"{row.label}, {row.part or 'all'}"
    tested = (
        f"p = {row.p:.3f} by sign flips over seeds"
        if row.p is not None
        else f"no claim over seeds below {SEEDS_NEEDED} of them"
    )
    return plain(f"{where}: mean gain {render.points(row.gain)} over {len(row.cells)} seeds ({gains}); {tested}")
