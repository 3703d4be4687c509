"""What happens in a run, as data for people and programs that watch. Observers observe, never steer.

An observer is any callable that takes an event. One that raises is reported once in the log and not called again;
the run goes on unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from semprop.engine.gates import Verdict
from semprop.engine.method import Candidate, Dropped

log = structlog.get_logger("semprop")


@dataclass(frozen=True, slots=True)
class PassStarted:
    """A pass begins: `items` is how many units of work it may take (examples, plans), if known."""

    step: int
    phase: str
    items: int | None = None


@dataclass(frozen=True, slots=True)
class PhaseBegan:
    """Inside a step: forward, backward, update or gate begins."""

    step: int
    phase: str


@dataclass(frozen=True, slots=True)
class ItemDone:
    """One unit of the present pass was consumed, in canonical order."""

    step: int
    phase: str


@dataclass(frozen=True, slots=True)
class CallDone:
    """An outcome arrived from a provider. Tokens are None where the endpoint did not say."""

    phase: str
    in_flight: int
    input_tokens: int | None
    output_tokens: int | None
    usd: float | None
    failed: bool


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step is over: what was proposed, what became of it."""

    step: int
    wrong: int
    seen: int
    candidates: tuple[Candidate, ...]
    dropped: tuple[Dropped, ...]
    verdict: Verdict | None
    reason: str


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Before and after on the test split: the claim."""

    before: float | None
    after: float | None
    n: int


Event = PassStarted | PhaseBegan | ItemDone | CallDone | StepDone | HeldOut
Observer = Callable[[Event], Any]


class Announcer:
    """Hands events to observers in order."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = list(observers)

    @property
    def observed(self) -> bool:
        """Whether anybody looks."""
        return bool(self._observers)

    def __call__(self, event: Event) -> None:
        for observer in tuple(self._observers):
            try:
                observer(event)
            except Exception:
                # An observer must not be able to break or steer a run; its error is shown, and it is let go.
                self._observers.remove(observer)
                log.exception("an observer raised and is not called again", observer=repr(observer))
