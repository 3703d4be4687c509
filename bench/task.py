"""What a task is: a graph, a loss, examples and defaults, as frozen data. Runs nothing, reads nothing.

`semprop.bench.tasks` holds the table of built-in tasks and finds the user's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from semprop.bench.data import DataSource
from semprop.engine.errors import SpecificationError
from semprop.engine.example import Splits
from semprop.engine.graph import Graph
from semprop.engine.losses import Loss
from semprop.engine.methods.clauses import ClausePool


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many examples each split has at most.

    Raises:
        SpecificationError: a size is negative.
    """

    train: int
    gate: int
    test: int

    def __post_init__(self) -> None:
        for name in ("train", "gate", "test"):
            if getattr(self, name) < 0:
                raise SpecificationError(f"the size of {name} is {getattr(self, name)}: give 0 or more")


HOSTED = MappingProxyType({"forward": "openai:gpt-4o-mini", "backward": "openai:gpt-4.1", "update": "openai:gpt-4.1"})
"""Who answers in the published tasks, unless told otherwise: the paper's forward model, and in place of its
gpt-4-turbo a model that costs a fifth of it."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a run of the task uses where the user says nothing.

    Attributes:
        sizes: examples in train, gate and test.
        method: a key of the command's table of methods.
        providers: role → provider specification.
        steps: how many steps.
        minibatch: how many examples a step looks at, at most, until it has enough wrong ones.
        examples_per_gradient: how many wrong examples make a gradient.
        candidates: how many candidates a step tries.
        in_flight: how many requests may be open at once.
    """

    sizes: Sizes
    method: str = "semantic"
    providers: Mapping[str, str] = field(default_factory=lambda: HOSTED, hash=False)
    steps: int = 4
    minibatch: int = 32
    examples_per_gradient: int = 2
    candidates: int = 1
    in_flight: int = 128

    def __post_init__(self) -> None:
        for name in ("steps", "minibatch", "examples_per_gradient", "candidates", "in_flight"):
            if getattr(self, name) < 1:
                raise SpecificationError(f"{name} is {getattr(self, name)}: give 1 or more")
        object.__setattr__(self, "providers", MappingProxyType(dict(self.providers)))


Load = Callable[[DataSource, int, Sizes], Splits]
"""(where the data are, seed, sizes) → disjoint splits. Raises DataError."""


@dataclass(frozen=True, slots=True)
class Task:
    """Everything a run needs besides providers.

    Attributes:
        name: as on the command line.
        description: one line for the list of tasks.
        clauses: parameter → groups of alternative clauses, for the `clauses` method.
        labels: the possible answers, for scoring with constrained decoding beside the strict score; or none.
        note: what must be said beside a result, to be honest about it.
        simulated_note: the same when a simulated provider answered.
    """

    name: str
    description: str
    graph: Graph
    loss: Loss
    load: Load
    defaults: Defaults
    clauses: Mapping[str, ClausePool] = field(default_factory=dict, hash=False)
    labels: tuple[str, ...] = ()
    note: str = ""
    simulated_note: str = "No language model answered: these figures show that the machinery works, nothing else."

    def __post_init__(self) -> None:
        for name in self.clauses:
            if name not in self.graph.initial:
                raise SpecificationError(
                    f"task {self.name!r} has clauses for {name!r}, which is no parameter of its graph; there are: "
                    f"{', '.join(self.graph.initial)}"
                )
        object.__setattr__(self, "clauses", MappingProxyType(dict(self.clauses)))
