"""From an experiment, an arm and a protocol to specifications: what is run, and what is not as it was published. Pure.

Protocol `semprop` keeps the published sizes where data allow, with train, gate and test disjoint. Protocol `published`
makes the choices of the published code that can be made without its faults: candidates judged on the training rows
themselves, strictly, the whole vector of edits at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from semprop.bench import bbh, gsm8k, liar
from semprop.bench.data import DataSource
from semprop.bench.reproduction.experiment import EXPERIMENTS, Experiment
from semprop.bench.task import Sizes, Task
from semprop.engine.errors import UsageError
from semprop.engine.example import Splits, split
from semprop.engine.gates import Gate
from semprop.engine.graph import Graph
from semprop.engine.graph_changes import only
from semprop.engine.method import Method
from semprop.engine.methods.catalogue import (
    METHODS,
    Choices,
    Options,
    default_gate,
    gate_named,
    graph_for,
    method_named,
)
from semprop.engine.methods.rewrite import Raced, RewriteUpdate
from semprop.engine.methods.semantic import Calls
from semprop.engine.prompts.backward import Neighbours
from semprop.engine.training.specification import Specification
from semprop.providers.base import Provider


class Protocol(StrEnum):
    """How the experiment is run."""

    PUBLISHED = "published"
    SEMPROP = "semprop"


ONE_PARAMETER = "one-parameter"

ARMS: Mapping[str, str] = {
    "full": "semantic gradients, as published",
    "no-gradient": "without gradients: the update sees failures alone",
    "no-neighbourhood": "a call an input, which sees no sibling",
    ONE_PARAMETER: "one instruction only, a run for each",
    "no-gate": "every update is accepted unmeasured",
}
"""Arms of the paper's ablation; the name of any method is an arm, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be reproduced.

    Attributes:
        arms: names of `ARMS`, or of methods.
        tasks: for BIG-Bench Hard, which tasks; none given are all.
        sizes: numbers that replace the published ones: train, gate, test, steps.
        gate: replaces the arm's gate.
    """

    name: str
    arms: tuple[str, ...] = ("full",)
    protocol: Protocol = Protocol.SEMPROP
    seeds: tuple[int, ...] = (0,)
    tasks: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict, hash=False)
    gate: str | None = None

    def __post_init__(self) -> None:
        if self.name not in EXPERIMENTS:
            raise UsageError(f"there is no experiment {self.name!r}; there are: {', '.join(EXPERIMENTS)}")
        for arm in self.arms:
            if arm not in ARMS and arm not in METHODS:
                raise UsageError(f"there is no arm {arm!r}; there are: {', '.join((*ARMS, *METHODS))}")
        if not self.arms or not self.seeds:
            raise UsageError("nothing is to be run: give an arm and a seed at least")
        if self.tasks and self.name != "bbh":
            raise UsageError("--tasks chooses tasks of bbh, and this is another experiment: leave it out")
        for task in self.tasks:
            if task not in bbh.KINDS:
                raise UsageError(f"bbh has no task {task!r}; there are: {', '.join(bbh.KINDS)}")

    @property
    def experiment(self) -> Experiment:
        return EXPERIMENTS[self.name]


@dataclass(frozen=True, slots=True)
class Unit:
    """One run: an arm, a task, a seed, and for the arm with one parameter, which."""

    arm: str
    task: Task
    seed: int
    parameter: str = ""

    @property
    def name(self) -> str:
        """What its directory is called."""
        parts = [self.arm, self.task.name.replace(":", "-"), self.parameter, f"s{self.seed}"]
        return "-".join(filter(None, parts))

    @property
    def label(self) -> str:
        """The arm, with its parameter."""
        return f"{self.arm}: {self.parameter}" if self.parameter else self.arm


def units(plan: Plan) -> tuple[Unit, ...]:
    """Every run of a plan, in order."""
    found = []
    for arm in plan.arms:
        for task in _tasks(plan):
            chosen = task.graph.trainable if arm == ONE_PARAMETER else ("",)
            found += [Unit(arm, task, seed, parameter) for parameter in chosen for seed in plan.seeds]
    return tuple(found)


def _tasks(plan: Plan) -> tuple[Task, ...]:
    match plan.name:
        case "gsm8k":
            return (gsm8k.TASK,)
        case "liar":
            return (liar.TASK,)
        case _:
            wanted = {f"bbh:{name}" for name in plan.tasks}
            return tuple(task for task in bbh.tasks() if not wanted or task.name in wanted)


def specification(
    plan: Plan, unit: Unit, providers: Mapping[str, Provider], source: DataSource, in_flight: int
) -> Specification:
    """What a unit runs.

    Raises:
        DataError: a file is absent or malformed.
        SpecificationError: an arm does not apply.
    """
    experiment, published = plan.experiment, plan.protocol is Protocol.PUBLISHED
    steps, splits = plan.sizes.get("steps", experiment.steps), splits_of(plan, unit, source)
    graph = graph_of(unit)
    return Specification(
        graph=graph,
        loss=unit.task.loss,
        splits=splits,
        method=method_of(plan, unit),
        providers=providers,
        steps=steps,
        minibatch=len(splits.train),
        examples_per_gradient=experiment.errors,
        seed=unit.seed,
        task=unit.task.name,
        gate_on_train=published,
        notes=tuple(filter(None, (unit.task.note,))),
        in_flight=in_flight,
    )


def splits_of(plan: Plan, unit: Unit, source: DataSource) -> Splits:
    """The examples of a unit; the published protocol has no gate split."""
    given, experiment = plan.sizes, plan.experiment
    train = given.get("train", experiment.train)
    usual = {"gsm8k": 128, "bbh": bbh.SIZES.gate, "liar": liar.SIZES.gate}[plan.name]
    test = given.get("test", experiment.test or EVERYTHING)
    if plan.protocol is Protocol.SEMPROP:
        return unit.task.load(source, unit.seed, Sizes(train, given.get("gate", usual), test))
    if plan.name == "bbh":
        name = unit.task.name.removeprefix("bbh:")
        rows = bbh.examples(source.path(f"bbh/{name}.json"), name)
        # As published: all rows that are not for training are tested.
        return split(rows, unit.seed, train=train, gate=0, test=test, shares=(BBH_TRAIN, 0.0))
    return unit.task.load(source, unit.seed, Sizes(train, 0, test))


BBH_TRAIN = 0.12
"""The share of a task's 250 rows that may be for training: 20 are taken, and a few are left over."""

EVERYTHING = 1_000_000
"""More rows than any table has: all that are left."""


def graph_of(unit: Unit) -> Graph:
    """The task's graph, as the arm changes it."""
    if unit.parameter:
        return only(unit.task.graph, unit.parameter)
    return unit.task.graph if unit.arm in ARMS else graph_for(unit.arm, unit.task.graph)


def method_of(plan: Plan, unit: Unit) -> Method:
    """The method of an arm under a protocol."""
    name = {"no-gradient": "no-gradient"}.get(unit.arm, "semantic") if unit.arm in ARMS else unit.arm
    options = Options()
    if unit.arm == "no-neighbourhood":
        options = Options(neighbours=Neighbours.HIDDEN, calls=Calls.PER_EDGE)
    method = method_named(
        name, Choices(_gate(plan, unit, name), pools=unit.task.clauses, options=options, seed=unit.seed)
    )
    if plan.protocol is Protocol.PUBLISHED and isinstance(method.update, RewriteUpdate):
        method = replace(method, update=replace(method.update, raced=Raced.TOGETHER))
    return method


def _gate(plan: Plan, unit: Unit, method: str) -> Gate:
    if unit.arm == "no-gate":
        return gate_named("none")
    if plan.gate is not None:
        return gate_named(plan.gate)
    return gate_named("strict" if plan.protocol is Protocol.PUBLISHED else default_gate(method))


def substitutions(identities: Mapping[str, str]) -> tuple[str, ...]:
    """Every role that is not played by the published model."""
    from_paper = {"forward": "gpt-4o-mini", "backward": "gpt-4-turbo", "update": "gpt-4-turbo"}
    return tuple(
        f"{role}: {identities[role]} in place of {model}"
        for role, model in from_paper.items()
        if not is_model(identities[role], model)
    )


def is_model(identity: str, model: str) -> bool:
    """Whether an identity is OpenAI's model of this family: the name alone, or with its date."""
    kind, _, rest = identity.partition(":")
    name, at, base = rest.partition("@")
    if kind != "openai" or (at and "api.openai.com" not in base):
        return False
    return name == model or (name.startswith(f"{model}-") and name[len(model) + 1 :][:2] == "20")


def departures(plan: Plan) -> tuple[str, ...]:
    """What is not as it was published."""
    experiment = plan.experiment
    told = [
        f"{name} is {given}, published {getattr(experiment, name)}"
        for name, given in plan.sizes.items()
        if name in ("train", "test", "steps") and given != getattr(experiment, name)
    ]
    if plan.tasks:
        told.append(f"{len(plan.tasks)} of the 27 tasks")
    if plan.protocol is Protocol.SEMPROP:
        told.append("protocol semprop: a gate split of its own, disjoint from train and test")
        if plan.name == "bbh":
            told.append("at most a fifth of a task's rows is for train, a quarter for the gate; the rest is tested")
        return tuple(told)
    told += [
        "not mimicked: the prompts are semprop's own, without the published ones' faults",
        "not mimicked: the leak of training rows into the test, the lost feedback, the zeroed evaluations",
        "not mimicked: the test rows are those that the split leaves over; training rows are never among them",
    ]
    return tuple(told)
