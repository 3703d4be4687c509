"""`semprop optimize … --dry-run`: what a run may take and what it can show, before anything is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any

import anyio
import typer
from rich.console import RenderableType
from rich.table import Table

from semprop.bench import projected
from semprop.bench.diagnosis.laboratory import Spent
from semprop.bench.projection import DISCORDANCE, SECONDS_A_CALL, WHY, Projection, Range, projection
from semprop.engine.training.report import RESULT_SCHEMA
from semprop.engine.training.specification import DEFAULT_ROLES
from semprop.tools import render
from semprop.tools.exits import Ended, ExitCode, Problem, document_of
from semprop.tools.preparing import Prepared, Surrounding
from semprop.tools.screen import Screen, plain


def project(prepared: Prepared, screen: Screen) -> Ended:
    """Show the projection; asks nobody and writes nothing."""
    spec = prepared.specification
    planned = projection([spec], prepared.price)
    screen.show(*words(planned))
    document = {
        "schema": RESULT_SCHEMA,
        "status": "done",
        "error": None,
        "run": None,
        "simulated": spec.is_simulated,
        "result": {
            "task": spec.task,
            "method": spec.method.name,
            "gate": spec.method.gate.name,
            "seed": spec.seed,
            "models": {role: spec.provider(role).identity for role in DEFAULT_ROLES},
            "projection": planned.document(),
        },
        "telemetry": None,
    }
    return Ended(document)


def beside(prepared: Prepared, telemetry: Mapping[str, Any]) -> str:
    """What a run was projected to take, beside what it took."""
    found = projection([prepared.specification], prepared.price).whole
    calls, tokens, cost = sum(telemetry["calls"].values()), telemetry["tokens"], telemetry["cost"]
    projected_calls, given, produced, usd, _ = _cells(found)
    paid = render.dollars(cost["usd"], cost["unpriced_requests"])
    return (
        f"projected: {projected_calls} calls, {given} tokens in, {produced} out, {usd}; "
        f"taken: {calls:,} calls, {tokens['input']:,} in, {tokens['output']:,} out, {paid}"
    )


def words(planned: Projection) -> Iterator[RenderableType]:
    """The projection for people: a range for each phase, where it comes from, and the smallest gain."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("phase", "calls", "tokens in", "tokens out", "dollars", "usual"):
        table.add_column(column, overflow="fold")
    for name, found in (*planned.phases.items(), ("all", planned.whole)):
        table.add_row(name, *_cells(found))
    yield table
    least, most = (render.duration(seconds) for seconds in planned.seconds)
    yield f"time: {least} to {most} if a call takes {SECONDS_A_CALL:g} s and no limit slows it"
    yield "usual: the most calls, at usual lengths; the range: the least and the most of everything"
    yield plain(WHY)
    if planned.smallest == float("inf"):
        yield f"{planned.test:,} test examples show no gain of any size"
    else:
        yield (
            f"{planned.test:,} test examples show a gain of {100 * planned.smallest:.1f} points or more "
            f"(if {100 * DISCORDANCE:.0f} % of them differ; one-sided 5 %, power 80 %)"
        )
    yield "nothing was asked and nothing was written"


def _cells(found: Range) -> tuple[str, ...]:
    least, most = found.least, found.most
    return (
        _between(least.calls, most.calls),
        _between(least.tokens_in, most.tokens_in),
        _between(least.tokens_out, most.tokens_out),
        f"{_usd(least)} to {_usd(most)}" if most.usd is not None and least.usd is not None else "unknown",
        _usd(found.usual),
    )


def _between(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _usd(spent: Spent) -> str:
    return "unknown" if spent.usd is None else f"${spent.usd:,.4f}" if spent.usd else "$0"


def projections(
    seeds: Annotated[int, typer.Option(min=1, help="runs of each method under each gate")] = 2,
    json: Annotated[bool, typer.Option("--json", help="print one JSON document, on every exit code")] = False,
) -> Callable[[Surrounding, Screen], Ended]:
    """Run every method under every gate on simulated worlds, and compare what they took with what was projected."""
    return partial(measure, seeds)


def measure(seeds: int, around: Surrounding, screen: Screen) -> Ended:
    """Run, compare and show; exit code 1 if a run leaves its range."""
    runs = anyio.run(partial(projected.study, seeds=tuple(range(seeds)), say=screen.say))
    found = projected.document(runs)
    errors = ", ".join(
        f"{name} {'unknown' if error is None else f'{100 * error:.0f} %'}"
        for name, error in found["median_relative_error"].items()
    )
    within = f"{100 * found['within']:.1f} % of {found['n']} simulated runs lie within their ranges"
    screen.show(
        f"{within} of calls, tokens and dollars",
        "median relative error of the usual figures, which bound the calls and have a language model's lengths, where "
        f"rules answer in a few words: {errors}",
        *(f"outside: {name}" for name in found["outside"]),
    )
    document = {"schema": RESULT_SCHEMA, "status": "done", "error": None, "result": found}
    if not found["outside"]:
        return Ended(document)
    problem = Problem("RunError", f"{len(found['outside'])} runs left their ranges", ExitCode.INTERNAL)
    return Ended(document_of(problem, document), problem)
