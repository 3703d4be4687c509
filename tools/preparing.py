"""From what stands on the command line to a specification, in the order that is cheapest to be wrong in:
task → providers → data → sizes → specification. Reads files; calls no model, writes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_type_hints

import orjson

from semprop.bench.data import DataSource, data_source
from semprop.bench.judge_labels import judge_labels
from semprop.bench.task import Sizes, Task
from semprop.bench.tasks import PYTHON
from semprop.bench.tasks import resolve as resolve_task
from semprop.engine.errors import SpecificationError, UsageError
from semprop.engine.example import Splits
from semprop.engine.gates import Spending, WholeGate
from semprop.engine.gates.catalogue import GateOptions, gate_named
from semprop.engine.graph import Graph
from semprop.engine.graph_changes import only
from semprop.engine.methods.catalogue import Choices, Options, default_gate, graph_for, method_named
from semprop.engine.methods.labels import with_wrong_labels
from semprop.engine.parameters import Parameters, value_of
from semprop.engine.training.cache import ReplyCache
from semprop.engine.training.events import Observer
from semprop.engine.training.reading import FILE_NAME
from semprop.engine.training.runs import Run
from semprop.engine.training.specification import DEFAULT_ROLES, Specification
from semprop.engine.training.telemetry import Price
from semprop.providers.budget import Caps
from semprop.providers.surroundings import Surroundings
from semprop.providers.valve import Valve
from semprop.tools.connecting import Connecting, connected, priced
from semprop.tools.interruption import GRACE
from semprop.tools.stores import cache_of

RUNS = Path("semprop-runs")
"""Where runs are kept unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for; None means: as the task says.

    Attributes:
        roles: role → provider, as it was written.
        gate: its name; None takes the method's own.
        alpha, beta, delta, spending: the gate's settings.
        gate_pool: gate examples to draw each step's from, as many as `gate_size`; None: every step uses all.
        whole_gate: measure every candidate on every gate example, whatever the gate could save.
        options: parts of the method that were set.
        only: the one parameter that is optimized; the others are frozen.
        wrong_labels: the share of training labels that are wrong for all that learns.
        providers: the TOML file that names providers.
        examples_per_gradient: 0 is the whole minibatch.
        judge_labels: a file of the user's own grades, to check a judge by.
        start: a JSON file of parameter values, or a run's directory.
        run: the directory of the run; None gives it a name below `RUNS`.
        max_calls, max_tokens, max_input_tokens, max_output_tokens, max_usd, max_seconds: the most that may be spent;
            None is no cap.
        batch: phases whose requests go by batch APIs, with commas; "none" or None: none.
        grace: seconds that requests on the wire may take to come back after a stop.
        fork: the directory of a new run, which is answered from `run` where requests are the same.
        cache: the directory of replies that runs share; None takes the user's own if a provider costs money.
        no_cache: share nothing.
        dry_run: say what it may take, and ask nobody.
    """

    task: str
    roles: Mapping[str, str] = field(default_factory=dict, hash=False)
    providers: Path | None = None
    method: str | None = None
    steps: int | None = None
    minibatch: int | None = None
    examples_per_gradient: int | None = None
    candidates: int | None = None
    gate: str | None = None
    alpha: float | None = None
    beta: float | None = None
    delta: float | None = None
    spending: Spending | None = None
    gate_pool: int | None = None
    whole_gate: bool = False
    options: Options = Options()
    only: str | None = None
    wrong_labels: float | None = None
    seed: int = 0
    data: Path | None = None
    judge_labels: Path | None = None
    start: Path | None = None
    run: Path | None = None
    in_flight: int | None = None
    train: int | None = None
    gate_size: int | None = None
    test: int | None = None
    max_calls: int | None = None
    max_tokens: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    max_usd: float | None = None
    max_seconds: float | None = None
    batch: str | None = None
    grace: float = GRACE
    fork: Path | None = None
    cache: Path | None = None
    no_cache: bool = False
    dry_run: bool = False

    @property
    def batched(self) -> tuple[str, ...]:
        """The phases that go by batches."""
        return () if self.batch is None else tuple(name for name in self.batch.split(",") if name != "none")

    @property
    def gate_options(self) -> GateOptions:
        """The gate's settings."""
        return GateOptions(alpha=self.alpha, beta=self.beta, delta=self.delta, spending=self.spending)

    @property
    def connecting(self) -> Connecting:
        """How its providers are reached."""
        return Connecting(self.providers, self.in_flight, self.caps, batch=bool(self.batched))

    @property
    def caps(self) -> Caps:
        """The most that may be spent; seconds apart.

        Raises:
            SpecificationError: a cap is no number.
        """
        try:
            return Caps(
                calls=self.max_calls,
                tokens=self.max_tokens,
                input=self.max_input_tokens,
                output=self.max_output_tokens,
                usd=self.max_usd,
            )
        except ValueError as error:
            raise SpecificationError(str(error)) from error

    def recipe(self) -> dict[str, Any]:
        """What makes this order again, wherever the command is started then: JSON data, with whole paths. Where the
        parameters start is not in it: a journal holds their values."""
        left_out = ("run", "start", "options", "fork", "dry_run")
        kept = {each.name: _absolute(getattr(self, each.name)) for each in fields(self) if each.name not in left_out}
        options = {each.name: getattr(self.options, each.name) for each in fields(Options)}
        return {**kept, "task": _absolute_task(self.task), "roles": dict(self.roles), "options": options}

    @classmethod
    def of(cls, recipe: Mapping[str, Any]) -> Order:
        """The inverse of `recipe`."""
        options = Options(**_typed(Options, recipe.get("options", {})))
        return cls(**{**_typed(cls, recipe), "options": options})


def _typed(kind: type, document: Mapping[str, Any]) -> dict[str, Any]:
    """JSON data as the fields of a dataclass have it: paths and words of a list are more than text."""
    hints = get_type_hints(kind)
    read: dict[str, Any] = {}
    for each in fields(kind):
        value = document.get(each.name, MISSING)
        if value is MISSING:
            continue
        special = [part for part in get_args(hints[each.name]) if isinstance(part, type)]
        made = next((part for part in special if issubclass(part, Path | StrEnum)), None)
        read[each.name] = value if made is None or value is None else made(value)
    return read


def _absolute(value: Any) -> Any:
    return str(value.absolute()) if isinstance(value, Path) else value


def _absolute_task(name: str) -> str:
    """A task's name, with the whole path if it stands in a file."""
    if match := PYTHON.fullmatch(name):
        attribute = match["attribute"]
        return f"{Path(match['path']).absolute()}{'' if attribute is None else f':{attribute}'}"
    return str(Path(name).absolute()) if name.endswith(".toml") else name


def order_of(flags: Mapping[str, Any]) -> Order:
    """The order that the flags of a command make: a flag is a role's provider, an option of the method, or the field
    of an order with its name; what is none of these (`json`) concerns how the command speaks."""
    names, options = (tuple(each.name for each in fields(kind)) for kind in (Order, Options))
    return Order(
        roles={role: flags[role] for role in DEFAULT_ROLES if flags.get(role) is not None},
        options=Options(**{name: flags[name] for name in options if name in flags}),
        **{name: value for name, value in flags.items() if name in names},
    )


@dataclass(frozen=True, slots=True)
class Surrounding:
    """What the command takes from outside: for providers, the time of day, names nobody has, and who watches a run."""

    providers: Surroundings = Surroundings()
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    token: Callable[[], str] = lambda: os.urandom(2).hex()
    observers: tuple[Observer, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task with the specification of its run, what its calls cost, what every attempt of theirs passes, and who
    watches."""

    task: Task
    roles: Mapping[str, str] = field(hash=False)
    specification: Specification
    price: Price
    valve: Valve
    cache: ReplyCache | None = None
    observers: tuple[Observer, ...] = ()


def prepare(
    order: Order, around: Surrounding, say: Callable[[str], None], initial: Parameters | None = None
) -> Prepared:
    """The specification of a run; `say` is told what is fetched.

    Args:
        initial: the parameter values of a run that is resumed, in place of `order.start`.

    Raises:
        UsageError: task, file, size, name or data are at fault; the message says which and the mend.
        StopError: a provider is (CONFIGURATION).
        StorageError: fetched data cannot be kept.
    """
    task = resolve_task(order.task)
    name, start = order.method or task.defaults.method, initial
    gate = gate_named(order.gate or default_gate(name), order.gate_options)
    gate = WholeGate(gate) if order.whole_gate else gate
    method = method_named(name, Choices(gate, pools=task.clauses, options=order.options, seed=order.seed))
    graph = graph_for(name, task.graph)
    graph = graph if order.only is None else only(graph, order.only)
    if start is None and order.start is not None:
        start = parameters_in(order.start, graph)
    roles = roles_of(order.roles, task.defaults.providers) if order.roles or task.defaults.providers else {}
    valve = Valve(order.caps)
    providers = connected(order.connecting, roles, around.providers, valve)
    defaults = task.defaults
    source = data_source(order.data, os.environ, say)
    sizes = _sizes(order, defaults.sizes)
    splits, gate_items = _pooled(order, sizes, partial(examples_of, task, source, order.seed))
    if order.wrong_labels is not None:
        method = with_wrong_labels(method, splits.train, order.wrong_labels, order.seed)
    specification = Specification(
        graph=graph,
        loss=task.loss,
        splits=splits,
        method=method,
        providers=providers,
        steps=_given(order.steps, defaults.steps),
        minibatch=_given(order.minibatch, defaults.minibatch),
        examples_per_gradient=_given(order.examples_per_gradient, defaults.examples_per_gradient) or None,
        candidates=_given(order.candidates, defaults.candidates),
        gate_items=gate_items,
        seed=order.seed,
        start=start,
        labels=task.labels,
        judge_labels=() if order.judge_labels is None else judge_labels(order.judge_labels, graph.inputs),
        task=task.name,
        in_flight=_given(order.in_flight, defaults.in_flight),
        batched=order.batched,
        run=order.run,
        recipe=order.recipe(),
    )
    notes = [task.note]
    if specification.is_simulated and task.simulated_note != task.note:
        notes.append(task.simulated_note)
    if own := source.own():
        notes.append(f"your own files stand in for published ones: {', '.join(own)}; results are not comparable")
    specification = replace(specification, notes=tuple(note for note in notes if note))
    cache = cache_of(order.cache, order.no_cache, providers.values())
    return Prepared(task, roles, specification, priced(providers), valve, cache, around.observers)


def _given(value: int | None, default: int) -> int:
    return default if value is None else value


def _sizes(order: Order, defaults: Sizes) -> Sizes:
    given = {"train": order.train, "gate": order.gate_size, "test": order.test}
    return replace(defaults, **{name: size for name, size in given.items() if size is not None})


def examples_of(task: Task, source: DataSource, seed: int, sizes: Sizes) -> Splits:
    """What a task loads.

    Raises:
        UsageError: a data directory was given for this order, and the task reads none; or as `Task.load`.
    """
    splits = task.load(source, seed, sizes)
    source.check_read(task.name)
    return splits


def _pooled(order: Order, sizes: Sizes, load: Callable[[Sizes], Splits]) -> tuple[Splits, int | None]:
    """The splits, and how many gate examples judge a step; None: all of them, every time.

    Raises:
        SpecificationError: the pool that the steps draw from is smaller than what one step takes.
    """
    if order.gate_pool is None:
        return load(sizes), None
    splits, wanted = load(replace(sizes, gate=order.gate_pool)), sizes.gate
    if len(splits.gate) < max(wanted, 1):
        raise SpecificationError(
            f"a pool of {len(splits.gate)} gate examples (asked for: --gate-pool {order.gate_pool}) cannot give each "
            f"step {wanted}: name a larger pool, or 1 to {len(splits.gate)} with --gate-size"
        )
    return splits, wanted


def roles_of(given: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    """Role → provider. Whoever names the forward provider replaces the task's: other roles then fall back on it."""
    base = {} if "forward" in given else dict(defaults)
    named = {**base, **given}
    if "forward" not in named:
        raise SpecificationError("the task names no provider for the role 'forward': give one with --forward")
    return {role: named.get(role, named["forward"]) for role in (*DEFAULT_ROLES, *named)}


def parameters_in(path: Path, graph: Graph) -> Parameters:
    """The parameter values in a JSON file `{parameter: value}`, or the latest accepted ones of a run.

    Raises:
        UsageError: no such file or run, not JSON, or a name or value that the graph does not take.
    """
    if path.is_dir():
        try:
            return graph.initial.replaced(dict(run_in(path).parameters))
        except SpecificationError as error:
            raise SpecificationError(
                f"the run {path} is of another graph: {error}; if a method added to the graph, name it with --method"
            ) from error
    try:
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): name a JSON file or a run's directory") from error
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path} is not JSON ({error}): write one object, parameter → value") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} holds {type(document).__name__}, expected one object, parameter → value")
    try:
        return graph.initial.replaced({name: value_of(value) for name, value in document.items()})
    except SpecificationError as error:
        raise SpecificationError(f"{path}: {error}") from error


def holds_run(path: Path) -> bool:
    """Whether a directory holds a run, or the replies of a proxy."""
    return (path / FILE_NAME).is_file()


def run_in(path: Path) -> Run:
    """The recorded run in a directory.

    Raises:
        UsageError: there is none.
        StorageError: it cannot be read.
    """
    if not holds_run(path):
        raise UsageError(f"{path} holds no run: name a directory that semprop optimize wrote (semprop runs lists them)")
    return Run(path)


def run_directory(task: str, around: Surrounding) -> Path:
    """A directory that is nobody's yet: `semprop-runs/TASK-UTC-xxxx`. The name enters no decision."""
    safe = re.sub(r"[^\w.-]+", "-", task).strip("-.") or "task"
    return RUNS / f"{safe}-{around.now():%Y%m%dT%H%M%SZ}-{around.token()}"
