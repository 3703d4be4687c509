"""A simulated or computed figure beside the one that was claimed. Data and its checks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure.

    Attributes:
        table: which table it stands in.
        what: what was measured.
        value: ours; shares are in [0, 1], gains in points.
        error: Monte-Carlo standard error; 0: computed exactly.
        n: races or runs behind it; 0: none, it was computed.
        claimed: the figure to check, as it was written; empty: there is none.
        note: what a reader must know.
    """

    table: str
    what: str
    value: float
    error: float = 0.0
    n: int = 0
    claimed: str = ""
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the claimed figure agrees: within its own rounding and three standard errors, where a claim that was
        simulated (20,000 runs) has an error too; None if nothing is claimed."""
        if not self.claimed or math.isnan(self.value):
            return None
        low, high = claimed_range(self.claimed)
        slack = 3 * self.error * math.sqrt(1 + self.n / 20_000)
        return low - slack <= self.value <= high + slack

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "table": self.table,
            "what": self.what,
            "value": self.value,
            "error": self.error,
            "n": self.n,
            "claimed": self.claimed or None,
            "holds": self.holds,
            "note": self.note,
        }


def claimed_range(text: str) -> tuple[float, float]:
    """The values that are written like this: a number, or two with a dash; each stands for what rounds to it."""
    parts = text.replace(",", "").split("–")
    digits = len(parts[0].partition(".")[2])
    half = 0.5 * 10.0**-digits
    return float(parts[0]) - half, float(parts[-1]) + half


def share(hits: NDArray[np.bool_]) -> tuple[float, float]:
    """A share and its standard error."""
    mean = float(np.mean(hits))
    return mean, math.sqrt(mean * (1 - mean) / len(hits)) if len(hits) else math.nan


def mean(values: NDArray[np.float64]) -> tuple[float, float]:
    """A mean and its standard error; no number from fewer than two values."""
    if len(values) < 2:
        return math.nan, math.nan
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))


def markdown(figures: Sequence[Figure], conditions: Iterable[str]) -> str:
    """The tables as Markdown."""
    lines: list[str] = []
    for name in dict.fromkeys(entry.table for entry in figures):
        lines += [f"### {name}", "", "| what | ours | n | claimed | |", "|---|---|---|---|---|"]
        lines += [
            f"| {entry.what}{f' ({entry.note})' if entry.note else ''} | {shown(entry)} | "
            f"{size(entry)} | {entry.claimed} | {word(entry)} |"
            for entry in figures
            if entry.table == name
        ]
        lines.append("")
    return "\n".join([*lines, *conditions, ""])


def shown(entry: Figure) -> str:
    """The figure with its standard error."""
    if math.isnan(entry.value):
        return "none"
    digits = 0 if abs(entry.value) >= 100 else 1 if abs(entry.value) >= 2 else 3
    text = f"{entry.value:,.{digits}f}"
    return text if not entry.error else f"{text} ± {entry.error:.{max(digits, 2) if digits < 3 else 4}f}"


def size(entry: Figure) -> str:
    """How many races or runs a figure rests on; some are computed."""
    return f"{entry.n:,}" if entry.n or math.isnan(entry.value) else "exact"


def word(entry: Figure) -> str:
    """Whether the claim holds, in a word."""
    return {True: "holds", False: "wrong", None: ""}[entry.holds]
