"""The speed table as a document and as Markdown. Pure: takes what was measured, gives data and text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from semprop.bench.speed.rows import Row, Settings

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement that was carried out.

    Attributes:
        name: as in `--rows`.
        command: what gives these rows again.
        load: load averages of 1, 5 and 15 minutes before it began.
        seconds: how long it took.
        rows: its figures.
        skipped: why it was not carried out; empty if it was.
        failed: what went wrong; empty if nothing did.
    """

    name: str
    command: str
    load: tuple[float, ...]
    seconds: float
    rows: tuple[Row, ...] = ()
    skipped: str = ""
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was measured, on what, and how."""

    machine: Mapping[str, Any] = field(hash=False)
    settings: Settings
    measured: tuple[Measured, ...]

    @property
    def missed(self) -> tuple[Row, ...]:
        """The rows that are below their bar."""
        return tuple(row for entry in self.measured for row in entry.rows if row.met is False)

    @property
    def failed(self) -> tuple[Measured, ...]:
        """The measurements that could not be ended."""
        return tuple(entry for entry in self.measured if entry.failed)

    def document(self) -> dict[str, Any]:
        """The report as JSON data."""
        settings = self.settings
        return {
            "schema": SCHEMA,
            "machine": dict(self.machine),
            "settings": {
                "repetitions": settings.repetitions,
                "scale": settings.scale,
                "client_core": settings.client_core,
                "endpoint_core": settings.endpoint_core,
            },
            "measurements": [_document(entry) for entry in self.measured],
        }

    def markdown(self) -> str:
        """The report as Markdown: the table, then the notes, then the machine."""
        return "\n".join([*_table(self.measured), *_notes(self.measured), *self._conditions(), ""])

    def _conditions(self) -> Iterator[str]:
        yield ""
        yield f"Machine: {machine_words(self.machine)}."
        yield ""
        yield f"{settings_words(self.settings)}."


def _document(entry: Measured) -> dict[str, Any]:
    return {
        "name": entry.name,
        "command": entry.command,
        "load": list(entry.load),
        "seconds": round(entry.seconds, 3),
        "skipped": entry.skipped or None,
        "failed": entry.failed or None,
        "rows": [
            {
                "what": row.what,
                "median": row.value,
                "samples": list(row.samples),
                "unit": row.unit,
                "bar": None if row.bar is None else str(row.bar),
                "met": row.met,
                "beside": row.beside,
                "note": row.note,
            }
            for row in entry.rows
        ],
    }


def figure(row: Row) -> str:
    """The median, and the range of the samples if there are several."""
    words = f"{number(row.value)}{unit(row)}"
    low, high = number(min(row.samples)), number(max(row.samples))
    return words if low == high else f"{words} ({low}–{high})"


def unit(row: Row) -> str:
    """A row's unit as it stands behind a number."""
    return f" {row.unit.strip()}" if row.unit else ""


def notes(entry: Measured) -> dict[str, int]:
    """The notes of a measurement's rows, each once, with its number."""
    distinct = dict.fromkeys(row.note for row in entry.rows if row.note)
    return {note: number for number, note in enumerate(distinct, 1)}


def named(row: Row, numbers: Mapping[str, int]) -> str:
    """What a row is about, with the number of its note."""
    return f"{row.what} [{numbers[row.note]}]" if row.note else row.what


def number(value: float) -> str:
    """Three significant digits, or all that stand before the point."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def verdict(row: Row) -> str:
    """Whether the bar is met, in a word."""
    return {True: "met", False: "missed", None: "reported"}[row.met]


def settings_words(settings: Settings) -> str:
    """How it was measured, in words."""
    size = "full size" if settings.scale == 1 else f"at {settings.scale:g} of the full size: no claim"
    cores = "not pinned"
    if settings.client_core is not None or settings.endpoint_core is not None:
        cores = f"client on core {settings.client_core}, mock endpoint on core {settings.endpoint_core}"
    return f"Medians of {settings.repetitions}, {size}; {cores}; ranges in brackets"


def machine_words(machine: Mapping[str, Any]) -> str:
    """The machine in a line."""
    packages = ", ".join(f"{name} {found}" for name, found in machine["packages"].items())
    cores = machine["cores"]
    return f"{machine['processor']}, {cores} cores, {machine['system']}, {machine['python']}; {packages}"


def load_words(load: Sequence[float]) -> str:
    """Load averages in words."""
    return f"load {' '.join(f'{value:g}' for value in load)}" if load else "load unknown"


def _table(measured: Sequence[Measured]) -> Iterator[str]:
    yield "| what | measured | bar | | beside |"
    yield "| --- | --- | --- | --- | --- |"
    for entry in measured:
        numbers = notes(entry)
        for row in entry.rows:
            bar = "" if row.bar is None else str(row.bar)
            yield f"| {_cell(named(row, numbers))} | {figure(row)} | {bar} | {verdict(row)} | {_cell(row.beside)} |"
        for word, why in (("skipped", entry.skipped), ("failed", entry.failed)):
            if why:
                yield f"| `{entry.name}` | {word}: {_cell(why)} | | | |"


def _notes(measured: Sequence[Measured]) -> Iterator[str]:
    for entry in measured:
        yield ""
        yield f"`{entry.command}` took {entry.seconds:.0f} s ({load_words(entry.load)} before)."
        for note, place in notes(entry).items():
            yield f"- [{place}] {_cell(note)}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
