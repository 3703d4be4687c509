"""`semprop diagnose`: says what each part will take before it runs, what it found, and what to do."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from semprop.bench.diagnosis import verdict as words
from semprop.bench.diagnosis.diagnose import Diagnosed, diagnose
from semprop.bench.diagnosis.laboratory import Spent
from semprop.bench.diagnosis.order import DELTA, ITEMS, Watch
from semprop.bench.diagnosis.order import Order as Wanted
from semprop.bench.diagnosis.results import CHEAP, PARTS, Diagnosis
from semprop.engine.training.report import RESULT_SCHEMA
from semprop.engine.training.specification import DEFAULT_ROLES
from semprop.tools import render
from semprop.tools.exits import Ended, Problem, document_of, interrupted
from semprop.tools.interruption import Patience, listening
from semprop.tools.optimizing import patience_of, progress_of, run_loop
from semprop.tools.preparing import Order, Prepared, Surrounding, prepare
from semprop.tools.screen import Screen, plain


@dataclass(frozen=True, slots=True)
class DiagnoseOrder:
    """What to diagnose: the order of an optimization, and which parts, on how many examples, within which limits."""

    order: Order
    parts: str | None = None
    items: int = ITEMS
    delta: float = DELTA
    max_calls: int | None = None
    max_usd: float | None = None


def parts_of(text: str | None) -> tuple[str, ...]:
    """The parts in a list; `all` are all of them, and nothing means the cheap ones. In the order in which they run."""
    if text is None:
        return CHEAP
    named = [part.strip() for part in text.split(",") if part.strip()]
    if "all" in named:
        return tuple(PARTS)
    return (*(part for part in PARTS if part in named), *(part for part in named if part not in PARTS))


def diagnose_task(asked: DiagnoseOrder, around: Surrounding, screen: Screen) -> Ended:
    """Diagnose a task and say what to do."""
    prepared = prepare(asked.order, around, screen.say)
    spec = prepared.specification
    wanted = Wanted(
        spec=spec,
        pools=prepared.task.clauses if spec.method.name == "clauses" else {},
        parts=parts_of(asked.parts),
        items=asked.items,
        delta=asked.delta,
        max_calls=asked.max_calls,
        max_usd=asked.max_usd,
    )
    screen.say(f"task: {spec.task} ({prepared.task.description})")
    screen.say("providers: " + ", ".join(f"{role} {prepared.roles[role]}" for role in DEFAULT_ROLES))
    if spec.is_simulated:
        screen.show(render.simulated())
    screen.say("only training and gate examples are opened; the test stays closed")
    began = time.monotonic()
    done, problem = run_loop(partial(_diagnose, prepared, wanted, patience_of(asked.order, around, screen), screen))
    if done is None:
        assert problem is not None, "without a diagnosis there is a reason"
        return Ended(document_of(problem), problem)
    document = document_of_diagnosis(prepared, done, time.monotonic() - began)
    screen.show(*_verdict(document["result"]["verdict"]), render.cost(document["telemetry"]))
    return Ended(document)


async def _diagnose(
    prepared: Prepared, wanted: Wanted, patience: Patience, screen: Screen
) -> tuple[Diagnosed | None, Problem | None]:
    progress = progress_of(prepared.specification, screen, steps=0, sides=1)
    watch = Watch(
        prepared.price,
        lambda name, planned: screen.say(plan_words(name, planned)),
        lambda name, found: screen.show(*part(name, found)),
        (progress,),
    )
    async with listening(prepared.valve, patience) as interruption:
        with progress, interruption.scope:
            return await diagnose(wanted, watch), None
        return None, interrupted(interruption.number or 0, "a diagnosis keeps nothing; start it again")


# In words ------------------------------------------------------------------------------------------------------------


def plan_words(name: str, planned: Spent) -> str:
    """What a part may take."""
    if not planned.calls:
        return f"{name}: no further calls"
    usd = "price unknown" if planned.usd is None else render.dollars(planned.usd, 0)
    tokens = f"about {planned.tokens_in:,} tokens in and {planned.tokens_out:,} out"
    return f"{name}: up to {planned.calls:,} calls, {tokens}, {usd}"


_WORDS: Mapping[str, Callable[[Diagnosis], Iterator[str]]] = {
    "start": lambda found: iter(()) if found.start is None else words.start_words(found.start),
    "format": lambda found: (
        iter(()) if found.start is None or found.format is None else words.format_words(found.start, found.format)
    ),
    "classes": lambda found: iter(()) if found.start is None else words.class_words(found.start),
    "gain": lambda found: iter(()) if found.gain is None else words.gain_words(found.gain),
    "headroom": lambda found: iter(()) if found.headroom is None else words.headroom_words(found.headroom),
    "coupling": words.coupling_words,
    "controls": lambda found: iter(()) if found.controls is None else words.control_words(found.controls),
}


def lines(name: str, found: Diagnosis) -> list[str]:
    """What a part found, or why it was left out."""
    skipped = found.left_out(name)
    if skipped:
        return [f"left out: {skipped}"]
    return list(_WORDS[name](found)) if name in _WORDS else []


def part(name: str, found: Diagnosis) -> Iterator[RenderableType]:
    """A part for people."""
    yield Text(f"{name}", style="bold")
    for line in lines(name, found):
        yield plain(f"  {line}")


def _verdict(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    colour = {"worth optimizing": "green", "unclear": "yellow"}.get(document["worth"], "red")
    yield ""
    yield Text(f"verdict: {document['worth']}", style=f"bold {colour}")
    for reason in document["reasons"]:
        yield plain(f"  because {reason}")
    for number, advice in enumerate(document["advice"], 1):
        yield plain(f"  {number}. {advice}")


def document_of_diagnosis(prepared: Prepared, done: Diagnosed, seconds: float) -> dict[str, Any]:
    """The diagnosis as one JSON document, of the same frame as a run's."""
    spec, found = prepared.specification, done.found
    decided = words.verdict(found)
    names = ("start", *PARTS)
    figures = {name: getattr(found, name) for name in ("start", "format", "gain", "headroom", "coupling", "controls")}
    return {
        "schema": RESULT_SCHEMA,
        "status": "done",
        "error": None,
        "run": None,
        "simulated": spec.is_simulated,
        "result": {
            "task": spec.task,
            "method": spec.method.name,
            "seed": spec.seed,
            "models": {role: spec.provider(role).identity for role in DEFAULT_ROLES},
            "parts": [
                {
                    "name": outcome.name,
                    "skipped": outcome.skipped or None,
                    "planned": outcome.planned.document(),
                    "spent": outcome.spent.document(),
                    "words": lines("controls" if outcome.name not in names else outcome.name, found),
                }
                for outcome in found.outcomes
            ],
            "controls": lines("controls", found),
            "figures": {name: None if value is None else _data(asdict(value)) for name, value in figures.items()},
            "verdict": {
                "worth": str(decided.worth),
                "reasons": list(decided.reasons),
                "advice": list(decided.advice),
            },
            "notes": list(spec.notes),
        },
        "telemetry": done.telemetry.document(seconds),
    }


def _data(value: Any) -> Any:
    """Figures as JSON data: intervals are pairs, and what is infinite is not known."""
    match value:
        case dict():
            return {name: _data(part) for name, part in value.items()}
        case tuple() | list():
            return [_data(part) for part in value]
        case float() if math.isinf(value):
            return None
        case _:
            return value
