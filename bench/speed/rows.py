"""The rows of the speed table: what was claimed, what was measured, beside what. Data and its checks; runs nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure.

    Attributes:
        repetitions: how often each figure is taken; its median is reported.
        scale: share of the full size of a measurement: 1 for a claim, less to see that it runs.
        client_core, endpoint_core: processors that this process and the mock endpoint are pinned to; None: not pinned.
    """

    repetitions: int = 5
    scale: float = 1.0
    client_core: int | None = None
    endpoint_core: int | None = None

    def sized(self, full: int, least: int = 1) -> int:
        """A count at this scale."""
        return max(least, round(full * self.scale))


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must reach: at most, or at least, so much."""

    sign: str
    amount: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {self.amount:g}{self.unit}"

    def holds(self, value: float) -> bool:
        """Whether a figure reaches it."""
        return value <= self.amount if self.sign == "≤" else value >= self.amount


def at_most(amount: float, unit: str = "") -> Bar:
    """An upper bar."""
    return Bar("≤", amount, unit)


def at_least(amount: float, unit: str = "") -> Bar:
    """A lower bar."""
    return Bar("≥", amount, unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure.

    Attributes:
        what: what was measured, in words, with its sizes.
        samples: the figure of each repetition, in the order taken; the median is compared with the bar.
        bar: what it must reach; None: reported only.
        beside: the reference that the figure is a ratio to, or an oracle that it was counted by.
        note: what a reader must know to believe it.
        unit: of the samples; empty for a ratio.
    """

    what: str
    samples: Sequence[float]
    bar: Bar | None = None
    beside: str = ""
    note: str = ""
    unit: str = ""

    @property
    def value(self) -> float:
        """The median of the samples."""
        return median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the bar is reached; None if there is none."""
        return None if self.bar is None else self.bar.holds(self.value)


class Skipped(Exception):
    """Why a measurement cannot be carried out here; a peer that cannot be installed, say. No figure is given."""


Measure = Callable[[Settings], Awaitable[Sequence[Row]]]
"""One measurement: an asynchronous function, run in an event loop (uvloop) of its own."""
