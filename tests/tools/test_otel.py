"""OpenTelemetry: names as in the conventions, one tree a run, and nothing at all unless it is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import worlds
from aiohttp import web
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from semprop.engine import optimize
from semprop.engine.errors import UsageError
from semprop.providers import Message, Request, Sampling, connect
from semprop.providers.errors import ProviderError
from semprop.providers.retry import RetryPolicy
from semprop.providers.specification import Specification
from semprop.providers.surroundings import Surroundings
from semprop.tools import otel
from semprop.tools.endpoint import Endpoint, parse, serving
from semprop.tools.otel import Traces


class Collected:
    """Traces whose spans and metrics stay in memory."""

    def __init__(self):
        self._spans, self._metrics = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        meters = MeterProvider(metric_readers=[self._metrics])
        self.traces = Traces(tracers.get_tracer("test"), meters.get_meter("test"))

    def spans(self, name=None):
        return [span for span in self._spans.get_finished_spans() if name in (None, span.name)]

    def metrics(self):
        (resource,) = self._metrics.get_metrics_data().resource_metrics
        return {metric.name: metric for scope in resource.scope_metrics for metric in scope.metrics}


REQUEST = Request((Message.of("user", "hello"),), Sampling(temperature=0.5, max_tokens=20))


def watched(collected, kind="openai", url="http://127.0.0.1:9/v1", **settings):
    around = Surroundings(environment={}, retry=RetryPolicy(tries=1, throttles=1), watch=collected.traces.watch)
    return connect(Specification(kind, "m", url, **settings), surroundings=around)


async def test_a_call_is_a_span_with_the_names_of_the_conventions():
    collected = Collected()
    config = parse('[reply]\ntext = "a reply of some more words"\n[latency]\nfirst = 0.001\ngap = 0.002\n')
    async with (
        serving(Endpoint(config)) as served,
        watched(collected, "anthropic", served.url, stream=True) as provider,
    ):
        completion = await provider.complete(REQUEST)
    (span,) = collected.spans()
    assert (span.name, span.kind, span.status.status_code) == ("chat m", SpanKind.CLIENT, StatusCode.UNSET)
    attributes = dict(span.attributes)
    assert attributes.pop("server.port") > 0
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 20,
        "gen_ai.response.model": "m",
        "gen_ai.response.id": completion.request_id,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": completion.usage.input,
        "gen_ai.usage.output_tokens": completion.usage.output,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "semprop.attempts": 1,
        "server.address": "127.0.0.1",
    }
    metrics = collected.metrics()
    assert {name: metric.unit for name, metric in metrics.items()} == {
        "gen_ai.client.token.usage": "{token}",
        "gen_ai.client.operation.duration": "s",
        "gen_ai.client.operation.time_to_first_chunk": "s",
        "gen_ai.client.operation.time_per_output_chunk": "s",
    }
    points = metrics["gen_ai.client.token.usage"].data.data_points
    assert {point.attributes["gen_ai.token.type"]: point.sum for point in points} == {
        "input": completion.usage.input,
        "output": completion.usage.output,
    }


async def test_a_failed_call_names_the_class_of_its_error():
    collected = Collected()
    config = parse('[[fault]]\nkind = "auth"\nshare = 1.0\n')
    async with serving(Endpoint(config)) as served, watched(collected, "openai", served.url) as provider:
        with pytest.raises(ProviderError):
            await provider.complete(REQUEST)
    (span,) = collected.spans()
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "auth")
    (point,) = collected.metrics()["gen_ai.client.operation.duration"].data.data_points
    assert point.attributes["error.type"] == "auth"


async def test_a_run_is_one_tree_of_steps_passes_and_calls():
    collected = Collected()
    async with serving(Endpoint(parse("[reply]\ntext = 'x'\n"))) as served:
        provider = watched(collected, "openai", served.url)
        spec = worlds.specification(providers={"forward": provider}, splits=worlds.splits(4, 4, 4), steps=1)
        await optimize(spec, observers=[collected.traces])
    collected.traces.close()
    spans = {span.context.span_id: span for span in collected.spans()}
    (run,) = collected.spans("semprop.run")
    (step,) = collected.spans("semprop.step")
    (test,) = collected.spans("semprop.test")
    assert run.parent is None
    assert {spans[span.parent.span_id].name for span in (step, test)} == {"semprop.run"}
    (forward,) = collected.spans("semprop.forward")
    assert spans[forward.parent.span_id] is step
    calls = collected.spans("chat m")
    assert {spans[call.parent.span_id].name for call in calls} >= {
        "semprop.forward",
        "semprop.backward",
        "semprop.test",
    }
    assert {span.context.trace_id for span in spans.values()} == {run.context.trace_id}
    assert step.attributes["semprop.seen"] == 4
    metrics = collected.metrics()
    (durations,) = metrics["gen_ai.client.operation.duration"].data.data_points
    assert durations.count == len(calls)
    for kind in ("input", "output"):
        points = metrics["gen_ai.client.token.usage"].data.data_points
        (told,) = [point for point in points if point.attributes["gen_ai.token.type"] == kind]
        assert (told.count, told.sum) == (
            len(calls),
            sum(call.attributes[f"gen_ai.usage.{kind}_tokens"] for call in calls),
        )
    assert all(span.start_time >= spans[span.parent.span_id].start_time for span in spans.values() if span.parent)


async def test_every_run_is_a_tree_of_its_own():
    collected = Collected()
    async with serving(Endpoint(parse("[reply]\ntext = 'x'\n"))) as served:
        provider = watched(collected, "openai", served.url)
        spec = worlds.specification(providers={"forward": provider}, splits=worlds.splits(4, 4, 4), steps=1)
        for seed in range(2):
            await optimize(replace(spec, seed=seed), observers=[collected.traces])
    collected.traces.close()
    runs, steps = collected.spans("semprop.run"), collected.spans("semprop.step")
    assert len(runs) == 2
    assert [step.parent.span_id for step in steps] == [run.context.span_id for run in runs]


async def test_a_cancelled_call_ends_its_span():
    collected = Collected()
    layer = collected.traces.watch(Specification("simulated", ""))

    async def send(request):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await layer.around(send)(REQUEST)
    assert collected.spans("chat simulated")[0].attributes["error.type"] == "cancelled"


def test_without_it_no_layer_stands_around_a_call():
    plain = connect("simulated:")
    around = Surroundings(watch=Collected().traces.watch)
    assert "_Watch" not in repr(plain)
    assert "_Watch" in repr(connect("simulated:", surroundings=around))
    assert Surroundings().watch is None


def test_without_the_package_the_mend_is_named(monkeypatch):
    def absent(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(otel, "import_module", absent)
    with pytest.raises(UsageError, match=r'pip install "\.\[otel\]"'):
        Traces(None, None)


def test_the_command_sends_to_where_the_variables_say(command, serve, monkeypatch):
    seen = []

    async def collect(request):
        seen.append((request.path, len(await request.read())))
        return web.Response()

    url = serve(collect).partition("@")[2].removesuffix("/v1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    said = command("--otel", "optimize", "lookup", "--steps", "1", "--train", "4", "--gate-size", "4", "--test", "4")
    assert said.code == 0, said
    assert {path for path, size in seen if size} == {"/v1/traces", "/v1/metrics"}


async def test_a_pool_is_one_call_whose_span_says_which_member_answered():
    collected = Collected()
    async with serving(Endpoint(parse(""))) as one, serving(Endpoint(parse(""))) as two:
        around = Surroundings(environment={}, watch=collected.traces.watch)
        pool = f"pool:openai:m@{one.url},openai:m@{two.url};name=both"
        async with connect(pool, surroundings=around) as provider:
            await provider.complete(REQUEST)
    (span,) = collected.spans("chat m")
    assert span.attributes["semprop.member"] == f"openai:m@{one.url}"
    assert span.attributes["gen_ai.provider.name"] == "pool"
    assert "server.address" not in span.attributes
