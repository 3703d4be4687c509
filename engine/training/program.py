"""A graph with its optimized parameters, to be called in production. Keeps nothing, records nothing."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio

from semprop.engine.errors import ContentError, RunError, SempropError, SpecificationError
from semprop.engine.example import Example, Given
from semprop.engine.graph import Graph, model_nodes
from semprop.engine.nobody import NOBODY
from semprop.engine.outcomes import Failure, FailureKind, Position, Returned, failure_of
from semprop.engine.parameters import Parameters
from semprop.engine.passes.forward import forward, wiring
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.scheduler import group
from semprop.engine.seam import FunctionCall, ModelCall
from semprop.engine.tape import Value
from semprop.providers.base import Completion, Provider
from semprop.providers.errors import ItemError, StopError


class NoAnswer(RunError):
    """The graph gave no answer to these inputs; `failure` says at which kind of fault."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"no answer ({failure.kind}): {failure.message}")
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Program:
    """`await program(inputs, provider)` runs the graph under `parameters`."""

    graph: Graph
    parameters: Parameters

    async def __call__(
        self, inputs: Mapping[str, Given], provider: Provider | Mapping[str, Provider] = NOBODY
    ) -> Value:
        """The output's value.

        Args:
            inputs: the graph's inputs by name.
            provider: an entered provider for every node, or one for each role (with "forward" for the rest); a graph
                without model nodes needs none.

        Raises:
            SpecificationError: an input or a role's provider is missing.
            NoAnswer: a model or a function failed on these inputs.
            StopError: the provider will answer nothing more.
        """
        missing = [name for name in self.graph.inputs if name not in inputs]
        if missing:
            raise SpecificationError(f"input {missing[0]!r} is missing; the graph reads {', '.join(self.graph.inputs)}")
        providers = provider if isinstance(provider, Mapping) else {"forward": provider}
        for node in model_nodes(self.graph):
            if node.role not in providers and "forward" not in providers:
                raise SpecificationError(
                    f"node {node.name!r} is answered by the role {node.role!r}, which has no provider; there are: "
                    f"{', '.join(providers)}"
                )
        seam = Direct(providers)
        example = Example("", inputs)
        async with group() as start:
            tape = await forward(wiring(self.graph), self.parameters, example, Position(0, "call"), seam, start)
        if tape.failure is not None:
            raise NoAnswer(tape.failure)
        return tape.answer


@dataclass(frozen=True, slots=True)
class Direct:
    """A seam that asks the world and remembers nothing. `providers` are entered, by role, with "forward" for the rest;
    a function's error that is not about content raises `NoAnswer`."""

    providers: Mapping[str, Provider] = field(hash=False)

    def style(self, role: str) -> ReplyStyle:
        return ReplyStyle.JSON

    async def ask_model(self, position: Position, call: ModelCall) -> Completion | Failure:
        provider = self.providers[call.role if call.role in self.providers else "forward"]
        try:
            return await provider.complete(call.request)
        except ItemError as error:
            return failure_of(error)

    async def ask_function(self, position: Position, call: FunctionCall) -> Returned | Failure:
        work = partial(call.call, **call.arguments)
        try:
            result: Any = await anyio.to_thread.run_sync(work) if call.blocking else work()
            return Returned(await result if inspect.isawaitable(result) else result)
        except ContentError as error:
            return Failure(FailureKind.CONTENT, str(error) or f"{call.name} could not use its input")
        except (SempropError, StopError):
            raise
        except Exception as error:
            said = f"{call.name} raised {type(error).__name__}: {error}"
            raise NoAnswer(Failure(FailureKind.FUNCTION, said)) from error
