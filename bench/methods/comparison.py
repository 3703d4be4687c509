"""Our methods and other packages on one task: the same splits, one endpoint with one ledger, the same dollars for each.

Every run gets a fresh endpoint that refuses what could pass the budget. What each of them ends with is scored by our
own evaluation on the same held-out split, outside of the budget. Runs stand in line, so that wall time is their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from semprop.bench.evaluate import Evaluation, evaluate
from semprop.bench.methods.desk import Desk, check
from semprop.bench.methods.ledger import Endpoint, Spent, Upstreams, endpoint
from semprop.bench.methods.programs import PROGRAMS, Ended, missing, optimized
from semprop.engine.errors import SpecificationError
from semprop.engine.method import Method
from semprop.engine.parameters import Parameters, rendered
from semprop.engine.training.specification import Specification
from semprop.engine.training.trainer import Trainer
from semprop.providers.clock import Clock
from semprop.providers.errors import StopError
from semprop.providers.stack import connect

START = "start"
"""The row of the parameters that all of them start from."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is to be compared.

    Attributes:
        specifications: seed → the task's specification with its own providers, which score the held-out split.
        methods: name → seed → our method.
        peers: names of `PROGRAMS`.
        python: the interpreter of the environment that has the packages.
        behind: who answers behind the endpoint.
        budget_usd: dollars for each run, training and gate together.
        most_seconds: after so long a package is stopped.
    """

    specifications: Mapping[int, Specification] = field(hash=False)
    methods: Mapping[str, Mapping[int, Method]] = field(hash=False)
    peers: tuple[str, ...]
    python: str
    behind: Upstreams
    budget_usd: float
    most_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class Run:
    """One method or package with one seed.

    `status` is done, budget (it was refused something), failed, or not installed; then nothing was measured.
    `changed` counts the parameters that differ from the start.
    """

    name: str
    seed: int
    status: str
    note: str = ""
    version: str = ""
    spent: Spent = Spent()
    seconds: float = 0.0
    evaluation: Evaluation | None = None
    changed: int = 0
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)
    is_package: bool = False

    def document(self) -> dict[str, Any]:
        """As JSON data; figures are null where nothing was measured."""
        found, is_measured = self.evaluation, self.evaluation is not None
        spent = self.spent
        return {
            "name": self.name,
            "package": self.is_package,
            "seed": self.seed,
            "status": self.status,
            "note": self.note,
            "version": self.version,
            "score": found.score if found else None,
            "interval": list(found.interval) if found else None,
            "interval_method": found.method if found else None,
            "lenient": found.lenient if found else None,
            "n": found.n if found else None,
            "missing": found.missing if found else None,
            "calls": spent.calls if is_measured else None,
            "tokens": {"input": spent.input, "output": spent.output} if is_measured else None,
            "usd": spent.usd if is_measured else None,
            "refused": spent.refused if is_measured else None,
            "seconds": round(self.seconds, 3) if is_measured else None,
            "changed": self.changed if is_measured else None,
            "parameters": dict(self.parameters),
        }


async def compared(asked: Comparison, clock: Clock, say: Callable[[str], None], ended: Callable[[Run], None]) -> None:
    """Tell every run as it ends: for each seed the start, our methods, then the packages.

    Raises:
        UsageError: the packages cannot be asked to run this task.
        RunError: the endpoint does not listen.
        StopError: the held-out split cannot be scored.
    """
    if asked.peers:
        for spec in asked.specifications.values():
            check(spec)
    absent = {name: await missing(PROGRAMS[name], asked.python) for name in asked.peers}
    for seed, spec in asked.specifications.items():
        say(f"seed {seed}: {START} …")
        ended(await _scored(Run(START, seed, "done"), spec, spec.initial))
        for name, made in asked.methods.items():
            say(f"seed {seed}: {name} …")
            ended(await _own(asked, name, seed, replace(spec, method=made[seed]), clock))
        for name in asked.peers:
            if absent[name]:
                ended(Run(name, seed, "not installed", absent[name], is_package=True))
            else:
                say(f"seed {seed}: {name} …")
                ended(await _peer(asked, name, seed, spec, clock))


async def _own(asked: Comparison, name: str, seed: int, spec: Specification, clock: Clock) -> Run:
    async with endpoint(asked.behind, asked.budget_usd) as served:
        began = clock.now()
        parameters, stopped = await own(spec, served)
        seconds, spent = clock.now() - began, await served.spent()
    run = Run(name, seed, status_of(bool(stopped), spent), stopped, spent=spent, seconds=seconds)
    return await _scored(run, spec, parameters)


async def _peer(asked: Comparison, name: str, seed: int, spec: Specification, clock: Clock) -> Run:
    async with endpoint(asked.behind, asked.budget_usd) as served:
        began = clock.now()
        said = await optimized(name, asked.python, Desk(spec), served, seed, asked.most_seconds)
        seconds, spent = clock.now() - began, await served.spent()
    parameters, note = taken(spec, said)
    status = status_of(bool(said.failed), spent)
    run = Run(name, seed, status, note, said.version, spent, seconds, is_package=True)
    return await _scored(run, spec, parameters)


def status_of(stopped: bool, spent: Spent) -> str:
    """How a run ended: at its budget; if not, failed where anything else stopped it, since what it has then is no score
    of the method."""
    return "budget" if spent.refused else "failed" if stopped else "done"


async def own(spec: Specification, served: Endpoint) -> tuple[Parameters, str]:
    """What one of our methods ends with, and why it was stopped, if it was."""
    stacks = {
        name: connect(served.provider(role, spec.provider(role).capabilities), in_flight=spec.in_flight)
        for role, name in served.models.items()
    }
    providers = {role: stacks[name] for role, name in served.models.items()}
    splits = replace(spec.splits, test=())
    trainer = Trainer(replace(spec, providers=providers, splits=splits, labels=(), run=None))
    try:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(trainer)
            async for _ in trainer:
                pass
    except StopError as error:
        return trainer.parameters, str(error)
    return trainer.parameters, ""


def taken(spec: Specification, said: Ended) -> tuple[Parameters, str]:
    """The parameters that a package ended with, and what must be said of them. Texts of other parameters, or ones too
    long for theirs, are not taken."""
    notes = [" ".join(said.failed.split())[:300]] if said.failed else []
    changes = {}
    for name, text in (said.parameters or {}).items():
        if name not in spec.graph.trainable:
            notes.append(f"it names {name!r}, which is no parameter")
        elif not isinstance(text, str) or len(text.encode()) > spec.graph.parameter(name).max_bytes:
            notes.append(f"its text for {name!r} is too long or no text, and is not taken")
        else:
            changes[name] = text
    if said.failed:
        notes.append("scored: the best texts that it told" if changes else "scored: the texts it started from")
    try:
        return spec.initial.replaced(changes), "; ".join(notes)
    except SpecificationError as error:
        return spec.initial, "; ".join([*notes, str(error)])


async def _scored(run: Run, spec: Specification, parameters: Parameters) -> Run:
    evaluation = await evaluate(replace(spec, start=parameters))
    changed = [name for name, value in parameters.items() if value != spec.initial[name]]
    texts = {name: rendered(value) for name, value in parameters.items()}
    return replace(run, evaluation=evaluation, changed=len(changed), parameters=texts)
