"""The synchronous façade: the library for scripts and notebooks without `await`.

    result = blocking.optimize(spec)

Each call runs its own event loop in a thread of its own, so it works inside a running loop too (a notebook's), which
it blocks meanwhile. Ctrl-C cancels the call in order, waits for that, and raises KeyboardInterrupt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

from anyio.from_thread import start_blocking_portal

from semprop.bench import evaluate as evaluating
from semprop.bench.evaluate import Evaluation
from semprop.engine.tape import Value
from semprop.engine.training import trainer
from semprop.engine.training.events import Observer
from semprop.engine.training.program import Program
from semprop.engine.training.report import Result
from semprop.engine.training.specification import Specification
from semprop.engine.training.telemetry import Price, unpriced
from semprop.providers.base import Provider

T = TypeVar("T")


def optimize(
    spec: Specification, *, observers: Sequence[Observer] = (), price: Price = unpriced, resume: bool = False
) -> Result:
    """As `semprop.engine.optimize`, and raises what that raises. Observers are called in the other thread."""
    return _waited(partial(trainer.optimize, spec, observers=observers, price=price, resume=resume))


def evaluate(spec: Specification, *, observers: Sequence[Observer] = (), price: Price = unpriced) -> Evaluation:
    """As `semprop.bench.evaluate.evaluate`, and raises what that raises. Observers are called in the other thread."""
    return _waited(partial(evaluating.evaluate, spec, observers=observers, price=price))


def call(program: Program, inputs: Mapping[str, str], provider: Provider | Mapping[str, Provider]) -> Value:
    """The output of a program, as from `await program(inputs, provider)`; providers are opened and closed here.

    Raises:
        SpecificationError, NoAnswer, StopError: as the program does.
    """
    return _waited(partial(_called, program, inputs, provider))


async def _called(program: Program, inputs: Mapping[str, str], provider: Provider | Mapping[str, Provider]) -> Value:
    async with AsyncExitStack() as stack:
        for one in dict.fromkeys(provider.values() if isinstance(provider, Mapping) else (provider,)):
            await stack.enter_async_context(one)
        return await program(inputs, provider)


def _waited(work: Callable[[], Awaitable[T]]) -> T:
    """Run in a portal's thread. Whatever interrupts the wait cancels the work; the portal waits for its end."""
    with start_blocking_portal() as portal:
        future = portal.start_task_soon(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise
