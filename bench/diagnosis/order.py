"""What is to be diagnosed, within which limits, and who is told. Data, and the books of what was spent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from semprop.bench.diagnosis.laboratory import Spent, calls_an_item
from semprop.bench.diagnosis.results import CHEAP, PARTS, Diagnosis, Outcome
from semprop.engine.errors import SpecificationError, UsageError
from semprop.engine.example import words_of
from semprop.engine.methods.clauses import ClausePool
from semprop.engine.parameters import rendered
from semprop.engine.training.events import Observer
from semprop.engine.training.specification import Specification
from semprop.engine.training.telemetry import Price
from semprop.providers.base import Usage

ITEMS = 24
"""Examples of the pilot (statistics reference: 2 × 24)."""

DELTA = 0.05
"""The smallest gain worth having, unless told otherwise."""

REPLY_TOKENS, PROMPT_OVERHEAD = 150, 60
"""Tokens of a reply, and of a prompt beside instruction and inputs, before anything was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be diagnosed.

    Attributes:
        pools: the task's clauses, out of which other wordings are drawn; else a model is asked for them.
        parts: names of `PARTS`.
        items: how many examples are scored, out of train and gate.
        delta: the smallest gain worth having.
        max_calls, max_usd: a part whose plan exceeds what is left of them is left out.
    """

    spec: Specification
    pools: Mapping[str, ClausePool] = field(default_factory=dict, hash=False)
    parts: tuple[str, ...] = CHEAP
    items: int = ITEMS
    delta: float = DELTA
    max_calls: int | None = None
    max_usd: float | None = None

    def __post_init__(self) -> None:
        for name in self.parts:
            if name not in PARTS:
                raise UsageError(f"there is no part {name!r}; there are: {', '.join(PARTS)}, or all")
        if self.items < 2:
            raise SpecificationError(f"{self.items} items: a pilot needs at least 2")
        if not 0 < self.delta < 1:
            raise SpecificationError(f"delta is {self.delta}: give a gain between 0 and 1, as 0.05 for five points")


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told what is about to run and what was found, and what calls cost."""

    price: Price
    plan: Callable[[str, Spent], None]
    found: Callable[[str, Diagnosis], None]
    observers: tuple[Observer, ...] = ()


class Books:
    """What was planned, what was spent, and what was left out."""

    def __init__(self, order: Order, price: Price) -> None:
        self._order, self._price = order, price
        self.spent = Spent()
        self.outcomes: tuple[Outcome, ...] = ()

    def plan(self, name: str, calls: int) -> Spent:
        """Note what a part may take: so many calls at what calls took so far; before there are any, at a guess from
        the prompts' lengths."""
        planned = self._planned(calls)
        self.outcomes = (*self.outcomes, Outcome(name, planned))
        return planned

    def _planned(self, calls: int) -> Spent:
        spent = self.spent
        if spent.calls:
            usd = None if spent.usd is None else spent.usd * calls / spent.calls
            return Spent(calls, spent.tokens_in * calls // spent.calls, spent.tokens_out * calls // spent.calls, usd)
        spec = self._order.spec
        asked = sum(len(rendered(value)) for value in spec.initial.values()) / max(1, len(spec.initial))
        first = (*spec.splits.gate, *spec.splits.train)[: self._order.items]
        given = sum(len(words_of(given)) for item in first for given in item.inputs.values()) / len(first)
        tokens = round((asked + given) / 4) + PROMPT_OVERHEAD
        each = self._price("forward", Usage(input=tokens, output=REPLY_TOKENS))
        return Spent(calls, calls * tokens, calls * REPLY_TOKENS, None if each is None else each * calls)

    def refusal(self, planned: Spent) -> str:
        """Why the limits forbid a plan, or ""."""
        order, spent = self._order, self.spent
        if order.max_calls is not None and planned.calls > order.max_calls - spent.calls:
            left = max(0, order.max_calls - spent.calls)
            return f"it may take {planned.calls:,} calls, and {left:,} are left of --max-calls"
        if order.max_usd is None or not planned.calls:
            return ""
        if planned.usd is None or spent.usd is None:
            return "its price is unknown, so that --max-usd cannot be kept"
        if planned.usd > order.max_usd - spent.usd:
            left_usd = max(0.0, order.max_usd - spent.usd)
            return f"it may cost ${planned.usd:.4f}, and ${left_usd:.4f} is left of --max-usd"
        return ""

    def close(self, name: str, spent: Spent) -> None:
        """Note what a part took."""
        self.spent = self.spent + spent
        self._change(name, spent, "")

    def leave_out(self, name: str, why: str) -> None:
        """Note that a part was left out."""
        self._change(name, Spent(), why)

    def _change(self, name: str, spent: Spent, why: str) -> None:
        if all(outcome.name != name for outcome in self.outcomes):
            self.outcomes = (*self.outcomes, Outcome(name, Spent()))
        self.outcomes = tuple(
            replace(outcome, spent=outcome.spent + spent, skipped=why or outcome.skipped)
            if outcome.name == name
            else outcome
            for outcome in self.outcomes
        )

    def calls(self, items: int) -> int:
        """Calls that so many examples take."""
        return items * calls_an_item(self._order.spec.graph)
