"""What OpenTelemetry costs a call: off, with its hook taken out of the program, and on; paired, in one process.

Off is a provider as everybody gets it. In *without*, the hook is cut out of the source of `semprop.providers.stack`,
and the provider is connected by what is left: whatever off costs must show beside it. On, spans and metrics go through
OpenTelemetry's own SDK to an exporter that throws them away: sending them is the exporter's price, not the call's.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.abc import InspectLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any

from semprop.bench.speed.cost import ENDPOINT, Tally, mean, rounds, timed
from semprop.bench.speed.mock import mock
from semprop.bench.speed.rows import Measure, Row, Settings, at_most
from semprop.bench.speed.workload import Store, through_engine
from semprop.engine.errors import RunError, UsageError
from semprop.providers import stack
from semprop.providers.base import Provider
from semprop.providers.surroundings import Surroundings
from semprop.tools.otel import discarding

HOOK = """    if ground.around.watch is not None:
        yield ground.around.watch(specification)
"""

IN_FLIGHT = 128

NOISE = at_most(1.05)
"""Nothing is measurable: two equal paths differ by as much between runs on a shared machine."""

Connect = Callable[..., Provider]


def without_hook() -> Connect:
    """`connect` of a program that never heard of OpenTelemetry.

    Raises:
        RunError: the hook does not stand where it is looked for, so that nothing would be measured.
    """
    source = inspect.getsource(stack)
    if source.count(HOOK) != 1:
        raise RunError("the hook of `watch` is not in semprop.providers.stack as it was: mend tools/otel_cost.py")
    name = "semprop.providers.stack_without_watch"
    specification = spec_from_loader(name, _Without(source.replace(HOOK, "")))
    if specification is None or specification.loader is None:
        raise RunError(f"{name} cannot be loaded")
    module = module_from_spec(specification)
    # Dataclasses of a module look it up by name while it runs.
    sys.modules[name] = module
    specification.loader.exec_module(module)
    connect: Connect = module.connect
    return connect


class _Without(InspectLoader):
    """Loads one module of this source."""

    def __init__(self, source: str) -> None:
        self._source = source

    def get_source(self, fullname: str) -> str:
        return self._source


async def otel(settings: Settings) -> Sequence[Row]:
    """Processor time of a call through graph, limiter and HTTP: off over without, on over off."""
    calls, in_flight = rounds(settings, IN_FLIGHT)
    subjects: dict[str, Connect] = {"off": stack.connect, "without": without_hook()}
    try:
        watched, close = discarding()
    except UsageError:
        note = " On was not measured: the extra `otel` is not installed."
    else:
        note = ""
        subjects["on"] = partial(stack.connect, surroundings=Surroundings(watch=watched.watch))
    tally = Tally()
    async with mock(ENDPOINT, settings) as endpoint:
        address = f"openai:any@{endpoint.url}"
        for _ in range(settings.repetitions):
            spent: Mapping[str, list[Any]] = {name: [] for name in subjects}
            # There and back, so that what drifts in a repetition drifts for all of them.
            for name in (*subjects, *reversed(subjects)):
                provider = subjects[name](address, in_flight=in_flight)
                spent[name].append(await timed(partial(through_engine, provider, calls, in_flight, Store.MEMORY)))
            for name, runs in spent.items():
                tally.add(name, mean(runs))
            tally.add("off over without", tally["off"][-1] / tally["without"][-1])
            if "on" in subjects:
                tally.add("on over off", tally["on"][-1] / tally["off"][-1])
    if "on" in subjects:
        close()
    said = f"n = 2 × {calls} calls a sample, {in_flight} in flight, replies in memory.{note}"
    beside = f"the same without the hook, {tally.micro('without')} a call"
    rows = [Row(what="OpenTelemetry off: CPU per call", samples=tally["off over without"], bar=NOISE, beside=beside)]
    if "on" in subjects:
        beside = f"off, {tally.micro('off')} a call"
        rows.append(Row(what="OpenTelemetry on: CPU per call", samples=tally["on over off"], beside=beside, note=said))
    return rows


MEASURES: Mapping[str, Measure] = {"otel": otel}
