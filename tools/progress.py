"""Progress of a run on stderr: a live line on a terminal, plain lines in a log. An observer; it changes nothing.

A tally of events is data (`Tally`), what is said of it is pure (`Tally.line`); the shells only draw. While nothing
happens no event comes, so the shells also look by themselves, a few times a minute, at why nothing runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from semprop.engine.graph import model_nodes
from semprop.engine.training.documents import gate_document
from semprop.engine.training.events import CallDone, Event, ItemDone, PassStarted, StepDone
from semprop.engine.training.specification import Specification
from semprop.providers.base import Provider
from semprop.providers.clock import Handle
from semprop.providers.limits.reasons import in_words
from semprop.tools.render import dollars, duration
from semprop.tools.render import step as step_line
from semprop.tools.screen import plain

QUIET = 15.0
"""Seconds after which a log gets a line, if calls were answered, or if something holds them back."""

STILL = 60.0
"""Seconds after which it gets one if nothing happened and nothing is known to hold calls back."""

SELDOM = 300.0
"""Seconds between two lines, at most, while nothing happens."""

LOOK = 1.0
"""Seconds between two looks of a live line at why nothing runs."""

Why = Callable[[], str | None]
"""Why nothing runs, in words; None while calls go out as they should."""

Later = Callable[[float, Callable[[], None]], Handle]
"""Calls back after so many seconds, in the event loop of the run."""


@dataclass(slots=True)
class Tally:
    """What has happened so far. Seconds are those of any monotonic clock."""

    steps: int
    tests: int
    calls_a_test: int
    began: float
    phase: str = "start"
    step: int = 0
    done: int = 0
    items: int | None = None
    calls: int = 0
    failed: int = 0
    in_flight: int = 0
    input: int = 0
    output: int = 0
    usd: float | None = None
    unpriced: int = 0
    tested: bool = False
    step_ends: list[float] = field(default_factory=list)

    def take(self, event: Event, now: float) -> None:
        """Count an event."""
        match event:
            case PassStarted(step, phase, items):
                self.step, self.phase, self.items, self.done = step, phase, items, 0
                self.tested = phase != "step"
            case ItemDone():
                self.done += 1
            case CallDone(phase, in_flight, tokens_in, tokens_out, usd, failed):
                self.phase, self.in_flight = phase, in_flight
                self.calls += 1
                self.failed += failed
                self.input += tokens_in or 0
                self.output += tokens_out or 0
                if usd is not None:
                    self.usd = (self.usd or 0.0) + usd
                elif not failed:
                    self.unpriced += 1
            case StepDone(step):
                self.step_ends.append(now)

    def seconds_left(self, now: float) -> float | None:
        """A guess from the mean step and the mean call so far; None before there is anything to guess from."""
        elapsed = now - self.began
        if not self.calls or (not self.step_ends and not self.tested):
            return None
        if self.tested:
            return elapsed / self.calls * self.calls_a_test * max(0, self.tests - self.done)
        mean = (self.step_ends[-1] - self.began) / len(self.step_ends)
        running = min(mean, now - self.step_ends[-1])
        held_out = elapsed / self.calls * self.calls_a_test * self.tests
        return mean * (self.steps - len(self.step_ends)) - running + held_out

    def line(self, now: float, why: str | None = None) -> str:
        """Where the run is, and what it has used; in place of what is in flight, why nothing runs."""
        where = self.phase if self.tested else f"step {self.step + 1} of {self.steps}"
        if not self.tested and self.phase not in ("step", "start"):
            where += f", {self.phase}"
        if self.items is not None:
            where += f" {self.done} of {self.items}"
        parts = [
            where,
            f"{self.in_flight} in flight" if why is None else why,
            f"{self.calls:,} calls" + (f" ({self.failed:,} failed)" if self.failed else ""),
            f"{self.input:,} + {self.output:,} tokens",
            dollars(self.usd, self.unpriced) if self.calls else "",
            duration(now - self.began),
        ]
        left = self.seconds_left(now)
        if left is not None:
            parts.append(f"about {duration(left)} left")
        return " · ".join(filter(None, parts))


def step_words(event: StepDone) -> Text:
    """One finished step in a line."""
    verdict = event.verdict
    row = {
        "index": event.step,
        "wrong": event.wrong,
        "seen": event.seen,
        "candidates": len(event.candidates),
        "dropped": len(event.dropped),
        "gate": None if verdict is None else gate_document(verdict),
        "verdict": "no proposal" if verdict is None else str(verdict.decision),
        "reason": event.reason,
    }
    return step_line(row)


class Progress(Protocol):
    """Something that watches a run: an observer, shown while its block runs."""

    def __call__(self, event: Event) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def _unknown() -> str | None:
    """Nobody can be asked."""
    return None


class Looking:
    """Looks again and again, in the event loop, while its block runs: `look` gives the seconds until the next time."""

    def __init__(self, look: Callable[[], float], first: float, later: Later | None) -> None:
        self._look, self._first, self._later = look, first, later
        self._handle: Handle | None = None

    def start(self) -> None:
        """Look for the first time after `first` seconds; never without a clock (`later`)."""
        if self._later is not None:
            self._handle = self._later(self._first, self._rung)

    def stop(self) -> None:
        """Look no more."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None

    def _rung(self) -> None:
        if self._handle is not None and self._later is not None:
            self._handle = self._later(self._look(), self._rung)


class Lines:
    """Plain lines: when a pass begins, when a step ends, otherwise at most one in `QUIET` seconds; while nothing
    happens, why, ever more seldom."""

    def __init__(
        self,
        tally: Tally,
        say: Callable[[str], None],
        now: Callable[[], float],
        why: Why = _unknown,
        later: Later | None = None,
    ) -> None:
        self._tally, self._say, self._now, self._why = tally, say, now, why
        self._said = tally.began
        self._pause = QUIET
        self._looking = Looking(self._look, QUIET, later)

    def __call__(self, event: Event) -> None:
        now = self._now()
        self._tally.take(event, now)
        self._pause = QUIET
        if isinstance(event, StepDone):
            self._tell(step_words(event).plain, now)
        elif (isinstance(event, PassStarted) and event.phase != "step") or now - self._said >= QUIET:
            self._tell(self._tally.line(now, self._why()), now)

    def _look(self) -> float:
        now, why = self._now(), self._why()
        if now - self._said >= (self._pause if why is not None else max(self._pause, STILL)):
            self._tell(self._tally.line(now, why), now)
            self._pause = min(2.0 * self._pause, SELDOM)
        return QUIET

    def _tell(self, line: str, now: float) -> None:
        self._say(line)
        self._said = now

    def __enter__(self) -> Self:
        self._looking.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._looking.stop()


class Bar:
    """A line that is redrawn four times a second, and a lasting one for each step."""

    def __init__(
        self,
        tally: Tally,
        console: Console,
        now: Callable[[], float],
        why: Why = _unknown,
        later: Later | None = None,
    ) -> None:
        self._tally, self._console, self._now, self._why = tally, console, now, why
        self._held: str | None = None
        # Looked at in the event loop: the line is drawn by a thread, which must not touch a limiter.
        self._looking = Looking(self._look, LOOK, later)
        self._live = Live(
            console=console, get_renderable=self._drawn, refresh_per_second=4, transient=True, redirect_stdout=False
        )

    def __call__(self, event: Event) -> None:
        self._tally.take(event, self._now())
        if isinstance(event, StepDone):
            self._console.print(step_words(event), soft_wrap=True)

    def _look(self) -> float:
        self._held = self._why()
        return LOOK

    def _drawn(self) -> Text:
        line = self._tally.line(self._now(), self._held)
        return Text(plain(line), style="cyan", no_wrap=True, overflow="ellipsis")

    def __enter__(self) -> Self:
        self._live.start()
        self._looking.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._looking.stop()
        self._live.stop()


class Silent:
    """Says nothing: a JSON document was asked for, and nobody watches."""

    def __call__(self, event: Event) -> None:
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def tally_of(spec: Specification, *, steps: int, sides: int, now: float) -> Tally:
    """An empty tally of a run of so many steps that scores each test item under so many sets of parameters."""
    return Tally(steps, len(spec.splits.test), sides * len(model_nodes(spec.graph)), now)


def why_of(providers: Iterable[Provider]) -> Why:
    """Asks providers why nothing runs: batches under way and their limits first, then their retries."""
    asked = list({id(provider): provider for provider in providers}.values())

    def why() -> str | None:
        told = [provider.statistics() for provider in asked]
        for counted in told:
            batches = counted.get("batches")
            if isinstance(batches, Mapping) and batches.get("waits"):
                return str(batches["waits"])
            limits = counted.get("limits")
            words = in_words(limits) if isinstance(limits, Mapping) else None
            if words is not None:
                return words
        if any(counted.get("in_flight") or counted.get("waiting") for counted in told):
            return None
        again = sum(count for counted in told if isinstance(count := counted.get("retries_waiting"), int))
        return f"{again} wait to be asked again after a failure" if again else None

    return why
