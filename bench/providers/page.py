"""One HTML file that holds everything: tables and charts as inline SVG, light and dark, no script, no network. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from semprop.bench.providers.metrics import FORMULAS
from semprop.bench.providers.report import (
    COLUMNS,
    LATENCIES,
    SIMULATED,
    dollars,
    lines,
    qualities,
    quality_words,
    seconds,
    standings,
)
from semprop.bench.providers.runner import Cell, Measured
from semprop.bench.providers.shapes import Form

COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#65a30d")
"""One for each endpoint, told apart on white and on black; the legend names them."""

WIDE, HIGH, LEFT, FOOT, TOP = 640, 320, 84, 52, 34

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --line: #d4d4d4; --dim: #5b5b5b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #161616; --line: #3d3d3d; --dim: #a3a3a3; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 1200px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, li { color: var(--dim); } .told { color: var(--ink); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; white-space: nowrap; }
th, td { text-align: right; padding: .3rem .7rem; border-bottom: 1px solid var(--line); }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; } th { font-weight: 600; }
svg { width: 100%; max-width: 720px; height: auto; display: block; } svg text { fill: var(--dim); font-size: 12px; }
@media (max-width: 560px) { svg text { font-size: 19px; } }
.axis { stroke: var(--line); stroke-width: 1; } .key { display: inline-block; margin-right: 1rem; color: var(--ink); }
.key i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin-right: .35rem; }
"""


@dataclass(frozen=True, slots=True)
class Curve:
    """A line or points of one endpoint on a chart; `dots` are drawn as points, with their labels."""

    name: str
    points: tuple[tuple[float, float], ...]
    dots: bool = False
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: what it says, from where to where, and how its numbers are written. `log` spaces powers alike."""

    words: str
    low: float
    high: float
    written: Callable[[float], str]
    log: bool = False

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        if self.log:
            value, low, high = math.log(max(value, self.low)), math.log(self.low), math.log(self.high)
        else:
            low, high = self.low, self.high
        return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.5

    @property
    def ticks(self) -> list[float]:
        """Where numbers stand."""
        if not self.log:
            every = [self.low + (self.high - self.low) * step / 4 for step in range(5)]
            # Long numbers would stand in each other on a narrow screen.
            return every if max(len(self.written(tick)) for tick in every) <= 8 else every[::2]
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        steps = (1, 2, 5) if last - first <= 3 else (1,)
        every = [digit * 10.0**power for power in range(first, last + 1) for digit in steps]
        inside = [tick for tick in every if self.low <= tick <= self.high * 1.0001]
        return inside if len(inside) >= 2 else [self.low, self.high]


def chart(title: str, across: Axis, up: Axis, curves: Sequence[Curve], colours: Mapping[str, str]) -> str:
    """One chart as SVG, with its title for whoever cannot see it."""

    def x(value: float) -> float:
        return round(LEFT + across.place(value) * (WIDE - LEFT - 16), 1)

    def y(value: float) -> float:
        return round(TOP + (1 - up.place(value)) * (HIGH - TOP - FOOT), 1)

    parts = [f'<svg viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{escape(title, quote=True)}">']
    for tick in across.ticks:
        parts.append(f'<line class="axis" x1="{x(tick)}" x2="{x(tick)}" y1="{TOP}" y2="{HIGH - FOOT}"/>')
        anchor = "end" if across.place(tick) > 0.95 else "middle"
        words = escape(across.written(tick))
        parts.append(f'<text x="{x(tick)}" y="{HIGH - FOOT + 20}" text-anchor="{anchor}">{words}</text>')
    for tick in up.ticks:
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDE - 16}" y1="{y(tick)}" y2="{y(tick)}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(tick) + 4}" text-anchor="end">{escape(up.written(tick))}</text>')
    middle = (LEFT + WIDE - 16) / 2
    parts.append(f'<text x="{LEFT}" y="20">{escape(up.words)}</text>')
    parts.append(f'<text x="{middle}" y="{HIGH - 8}" text-anchor="middle">{escape(across.words)}</text>')
    for curve in curves:
        colour = colours[curve.name]
        if not curve.dots and len(curve.points) > 1:
            path = " ".join(f"{x(a)},{y(b)}" for a, b in curve.points)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for number, (a, b) in enumerate(curve.points if curve.dots or len(curve.points) == 1 else ()):
            parts.append(f'<circle cx="{x(a)}" cy="{y(b)}" r="5" fill="{colour}"/>')
            if number < len(curve.labels):
                anchor = "end" if across.place(a) > 0.7 else "start"
                shift = -9 if anchor == "end" else 9
                label = escape(curve.labels[number])
                parts.append(f'<text x="{x(a) + shift}" y="{y(b) - 7}" text-anchor="{anchor}">{label}</text>')
    return "".join([*parts, "</svg>"])


def page(measured: Measured) -> str:
    """The whole file."""
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(measured.identities)}
    sections = [_head(measured, colours), _table(measured)]
    sections += _distributions(measured, colours)
    sections += _saturation(measured, colours)
    sections += _front(measured, colours)
    formulas = "".join(f"<li><b>{escape(name)}</b>: {escape(words)}</li>" for name, words in FORMULAS.items())
    sections.append(f"<h2>Formulas</h2><ul>{formulas}</ul>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,"><title>Providers compared</title>'
        f"<style>{STYLE}</style></head><body>{''.join(sections)}</body></html>\n"
    )


def _head(measured: Measured, colours: Mapping[str, str]) -> str:
    keys = "".join(
        f'<span class="key"><i style="background:{colours[name]}"></i>{escape(name)} ({escape(identity)})</span>'
        for name, identity in measured.identities.items()
    )
    told = [
        f"<p>{escape(measured.workload.name)}; endpoints took turns {measured.plan.blocks} times under each load.</p>"
    ]
    if measured.simulated:
        told.append(f'<p class="told">{escape(", ".join(measured.simulated))}: {escape(SIMULATED)}.</p>')
    if measured.ended:
        told.append(f'<p class="told">Ended early: {escape(measured.ended)}</p>')
    return f"<h1>Providers compared</h1>{''.join(told)}<p>{keys}</p>"


def _table(measured: Measured) -> str:
    notes = [
        f"<li>{escape(line.provider)}, {escape(line.load)}: {escape(note)}</li>"
        for line in lines(measured)
        for note in line.notes
    ]
    told = f"<ul>{''.join(notes)}</ul>" if notes else ""
    latencies, rates = _columns(measured, COLUMNS[:LATENCIES]), _columns(measured, COLUMNS[LATENCIES:])
    return f"<h2>Latency</h2>{latencies}<h2>Rates and prices</h2>{rates}{told}"


def _columns(measured: Measured, columns: Sequence[str]) -> str:
    """Some of the columns as a table, so that none stands outside of a page."""
    head = "".join(f"<th>{escape(column)}</th>" for column in ("provider", "load", *columns))
    rows = []
    for line in lines(measured):
        cells = "".join(f"<td>{escape(line.cells[column])}</td>" for column in columns)
        rows.append(f"<tr><td>{escape(line.provider)}</td><td>{escape(line.load)}</td>{cells}</tr>")
    body = "".join(rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _by_load(measured: Measured) -> dict[str, list[Cell]]:
    loads: dict[str, list[Cell]] = {}
    for cell in measured.cells:
        if cell.figures.answered:
            loads.setdefault(cell.load, []).append(cell)
    return loads


def _distributions(measured: Measured, colours: Mapping[str, str]) -> list[str]:
    sections = []
    for load, cells in _by_load(measured).items():
        histograms = {cell.provider: cell.figures.latencies["from_intended"] for cell in cells}
        low = min(histogram.smallest for histogram in histograms.values())
        high = max(histogram.largest for histogram in histograms.values())
        across = Axis("seconds from the intended start", max(low * 0.9, 1e-6), high * 1.05, seconds, log=True)
        curves = [Curve(name, tuple(histogram.curve())) for name, histogram in histograms.items()]
        drawn = chart(f"Latency under {load}", across, Axis("share of calls", 0, 1, _share), curves, colours)
        sections.append(f"<h2>Latency, {escape(load)}</h2>{drawn}")
    return sections


def _saturation(measured: Measured, colours: Mapping[str, str]) -> list[str]:
    """Latency against throughput, where an endpoint was measured under several loads."""
    curves = []
    for name in measured.identities:
        points = []
        for cell in measured.cells:
            median = cell.figures.latencies["from_intended"].percentile(0.5)
            if cell.provider == name and median is not None and cell.shape.form is not Form.RAMP:
                points.append((cell.figures.answered / cell.figures.seconds, median))
        if len(points) > 1:
            curves.append(Curve(name, tuple(sorted(points))))
    if not curves:
        return []
    every = [point for curve in curves for point in curve.points]
    across = Axis("answered calls a second", 0.0, 1.05 * max(rate for rate, _ in every), lambda value: f"{value:.3g}")
    up = Axis("median from the intended start", 0.0, 1.1 * max(value for _, value in every), seconds)
    drawn = chart("Throughput against latency", across, up, curves, colours)
    return [f"<h2>Throughput against latency</h2>{drawn}"]


def _front(measured: Measured, colours: Mapping[str, str]) -> list[str]:
    found = qualities(measured)
    placed = [one for one in standings(measured, found) if one.score is not None and one.usd is not None]
    words = "".join(f"<li>{escape(quality_words(name, quality))}</li>" for name, quality in found.items())
    if not found:
        return []
    if not placed:
        return [f"<h2>Quality and price</h2><ul>{words}</ul><p>No price is known: there is no front to draw.</p>"]
    dearest = max(one.usd or 0.0 for one in placed) or 1.0
    across = Axis("dollars an answered request", 0.0, 1.2 * dearest, dollars)
    up = Axis("score", 0.0, 1.0, _share)
    curves = [
        Curve(one.name, ((one.usd or 0.0, one.score or 0.0),), True, (f"{one.name}, {seconds(one.seconds)}",))
        for one in placed
    ]
    drawn = chart("Quality against price", across, up, curves, colours)
    return [f"<h2>Quality, price and latency</h2><ul>{words}</ul>{drawn}"]


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"
