"""What was measured, as one document and as rows of a table. Pure: takes cells, gives data and text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from semprop.bench.providers.metrics import FORMULAS
from semprop.bench.providers.quality import Estimate, Quality, Standing, front, quality_of
from semprop.bench.providers.runner import Cell, Measured
from semprop.bench.providers.samples import Unit

SCHEMA = 1

SIMULATED = "simulated: rules answered in place of a language model; figures of quality say nothing about one"

NOTES: Mapping[str, str] = {
    "bottleneck": "the client was the bottleneck: its processor or its event loop was too busy; these are its figures",
    "unpriced": "the price of some calls is unknown: dollars are unknown, not 0",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One row: an endpoint, a load, and what it gave as text, by column."""

    provider: str
    load: str
    cells: Mapping[str, str]
    notes: tuple[str, ...]


LATENCIES = 6
"""How many of the columns are about latency; they stand first."""

COLUMNS = (
    "answered",
    "first token p50 / p99",
    "gap p50",
    "intended p50 / p90 / p99",
    "actual p50 / p99",
    "queued p50",
    "req/s",
    "tok/s",
    "goodput",
    "429",
    "retries",
    "$ / request",
    "$ / 10⁶ tokens",
)


def document(measured: Measured) -> dict[str, Any]:
    """Everything, as JSON data."""
    plan = measured.plan
    found = qualities(measured)
    return {
        "schema": SCHEMA,
        "workload": measured.workload.name,
        "providers": dict(measured.identities),
        "simulated": list(measured.simulated),
        "ended": measured.ended,
        "formulas": dict(FORMULAS),
        "objectives": {name: getattr(plan.objectives, name) for name in ("first_token", "per_token", "total")},
        "seed": plan.seed,
        "cells": [_cell(cell) for cell in measured.cells],
        "quality": {name: _quality(quality) for name, quality in found.items()},
        "front": list(front(standings(measured, found))),
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "provider": cell.provider,
        "load": cell.load,
        "shape": cell.shape.name,
        "units": cell.begun,
        "form": str(cell.shape.form),
        "at": cell.shape.at,
        "stopped": cell.stopped,
        **cell.figures.document(),
        "overhead": None if cell.overhead is None else cell.overhead.document(),
    }


def _quality(quality: Quality) -> dict[str, Any]:
    return {
        "n": quality.n,
        "missing": quality.missing,
        "score": _estimate(quality.score),
        "usd_per_thousand_correct": _estimate(quality.usd_per_thousand_correct),
    }


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    ends = [None if end == float("inf") else end for end in estimate.interval]
    return {"value": estimate.value, "interval": ends}


def qualities(measured: Measured) -> dict[str, Quality]:
    """Score and price of the correct of every endpoint, over all of its loads; nothing without a task."""
    if not measured.workload.scored:
        return {}
    units: dict[str, list[Unit]] = {name: [] for name in measured.identities}
    for cell in measured.cells:
        units[cell.provider] += cell.units
    return {name: quality_of(done, measured.plan.seed) for name, done in units.items()}


def standings(measured: Measured, found: Mapping[str, Quality]) -> list[Standing]:
    """Where the endpoints stand: score, dollars an answered request, and the median latency under the first load."""
    placed = []
    for name in measured.identities:
        cells = [cell for cell in measured.cells if cell.provider == name]
        quality = found.get(name)
        score = None if quality is None or quality.score is None else quality.score.value
        told = cells[0].figures.document() if cells else {}
        median = cells[0].figures.latencies["from_intended"].percentile(0.5) if cells else None
        if cells and cells[0].figures.answered:
            placed.append(Standing(name, score, told["usd_per_request"], median))
    return placed


def lines(measured: Measured) -> Iterator[Line]:
    """The rows of the table."""
    for cell in measured.cells:
        yield Line(cell.provider, load_words(cell), dict(zip(COLUMNS, _texts(cell), strict=True)), _notes(cell))


def load_words(cell: Cell) -> str:
    """The load, and the shape that it was for this endpoint."""
    return cell.load if cell.load == cell.shape.name else f"{cell.load} ({cell.shape.name})"


def _notes(cell: Cell) -> tuple[str, ...]:
    how = "ended early" if cell.figures.calls else "not measured"
    notes = [f"{how}: {cell.stopped}"] if cell.stopped else []
    if cell.overhead is not None and cell.overhead.is_bottleneck:
        notes.append(NOTES["bottleneck"])
    if cell.figures.unpriced:
        notes.append(NOTES["unpriced"])
    return tuple(notes)


def _texts(cell: Cell) -> Sequence[str]:
    told = cell.figures.document()
    latency = told["latency"]
    return (
        f"{told['answered']}/{told['calls']}",
        _joined(latency["first_token"], "p50", "p99"),
        _joined(latency["gap"], "p50"),
        _joined(latency["from_intended"], "p50", "p90", "p99"),
        _joined(latency["from_actual"], "p50", "p99"),
        _joined(latency["queued"], "p50"),
        _number(told["requests_per_second"]),
        _number(told["tokens_per_second"]),
        _number(told["goodput"]),
        str(told["throttled"]),
        str(told["retries"]),
        dollars(told["usd_per_request"]),
        dollars(told["usd_per_million_tokens"]),
    )


def _joined(summary: Mapping[str, float | None], *names: str) -> str:
    return " / ".join(seconds(summary[name]) for name in names)


def seconds(value: float | None) -> str:
    """A duration for people."""
    if value is None:
        return "–"
    if value < 0.0005:
        return "0 ms"
    return f"{1000 * value:.3g} ms" if value < 0.9995 else f"{value:.3g} s"


def dollars(value: float | None) -> str:
    """A price for people; an unknown one is a question mark."""
    return "?" if value is None else f"${value:.4g}"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def quality_words(name: str, quality: Quality) -> str:
    """One endpoint's quality in a sentence."""
    if quality.score is None:
        return f"{name}: no item has a score ({quality.missing} failed)"
    score, price = quality.score, quality.usd_per_thousand_correct
    words = (
        f"{name}: score {100 * score.value:.1f} % ({100 * score.interval.low:.1f} to {100 * score.interval.high:.1f}; "
        f"n = {quality.n}"
    )
    words += f", {quality.missing} without a score)" if quality.missing else ")"
    if price is None:
        return f"{words}, price of the correct unknown"
    upper = "∞" if price.interval.high == float("inf") else dollars(price.interval.high)
    return f"{words}, {dollars(price.value)} per 1,000 correct ({dollars(price.interval.low)} to {upper})"
