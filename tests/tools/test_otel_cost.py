"""The measurement of what OpenTelemetry costs: what it compares is what it says."""

from __future__ import annotations

import inspect

import pytest

from semprop.bench.speed.rows import Settings
from semprop.engine.errors import RunError
from semprop.providers import stack
from semprop.providers.surroundings import Surroundings
from semprop.tools import otel_cost
from semprop.tools.otel import discarding


def test_without_the_hook_nobody_can_watch_and_everything_else_is_the_same():
    connect = otel_cost.without_hook()
    traces, close = discarding()
    around = Surroundings(watch=traces.watch)
    close()
    assert "_Watch" in repr(stack.connect("simulated:", surroundings=around))
    assert "_Watch" not in repr(connect("simulated:", surroundings=around))
    assert repr(connect("simulated:")) == repr(stack.connect("simulated:"))
    assert otel_cost.HOOK in inspect.getsource(stack)


def test_a_hook_that_has_moved_is_no_measurement(monkeypatch):
    monkeypatch.setattr(otel_cost, "HOOK", "nowhere")
    with pytest.raises(RunError, match="not in semprop"):
        otel_cost.without_hook()


async def test_off_without_and_on_are_measured_in_one_sitting():
    off, on = await otel_cost.otel(Settings(repetitions=1, scale=0.01))
    assert (off.what, len(off.samples), off.bar) == ("OpenTelemetry off: CPU per call", 1, otel_cost.NOISE)
    assert on.samples[0] > 0
