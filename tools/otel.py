"""OpenTelemetry: spans of run, step, pass and call, and metrics of calls, named as in the GenAI semantic conventions.

    traces = Traces(tracer, meter)
    connect(…, surroundings=Surroundings(watch=traces.watch))
    Trainer(…, observers=[traces])

Off by default: without `watch` no layer stands around a call, and nothing here runs. The package `opentelemetry` is an
extra (`otel`), imported when somebody asks for it. Texts of prompts and replies are not recorded.

Conventions: OpenTelemetry GenAI, status Development (spans `chat MODEL`, `gen_ai.client.*`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

from yarl import URL

from semprop.engine.errors import UsageError
from semprop.engine.training.events import Event, HeldOut, PassStarted, PhaseBegan, StepDone
from semprop.providers.base import Completion, Request, Stop
from semprop.providers.errors import ProviderError
from semprop.providers.kinds import KINDS
from semprop.providers.layers import Layer, Send
from semprop.providers.specification import Specification
from semprop.tools.preparing import Surrounding

SYSTEMS: Mapping[str, str] = {
    "openai": "openai",
    "openai-responses": "openai",
    "azure": "azure.ai.openai",
    "anthropic": "anthropic",
    "gemini": "gcp.gemini",
    "groq": "groq",
    "mistral": "mistral_ai",
    "deepseek": "deepseek",
}
"""Kind → `gen_ai.provider.name`, where the conventions have a name; elsewhere the kind's own."""

REASONS: Mapping[Stop, str] = {
    Stop.END: "stop",
    Stop.LENGTH: "length",
    Stop.FILTER: "content_filter",
    Stop.REFUSAL: "content_filter",
    Stop.OTHER: "error",
}

TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Bounds of the histograms, as the conventions advise."""

_MEND = 'install it: pip install ".[otel]"'


class Traces:
    """Spans and metrics of one run at a time: an observer of the run, and a watcher of its calls."""

    def __init__(self, tracer: Any, meter: Any, now: Callable[[], float] = time.perf_counter) -> None:
        """
        Args:
            tracer, meter: OpenTelemetry's, from any SDK.
            now: seconds on a monotonic clock, for durations.

        Raises:
            UsageError: the package `opentelemetry-api` is not installed.
        """
        self._api = _imported("opentelemetry.trace")
        self._tracer, self._now = tracer, now
        self._open: list[Any] = []  # Run, step, phase: those under way, the innermost last.
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "tokens of a call", explicit_bucket_boundaries_advisory=TOKENS
        )
        self._durations = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "duration of a call", explicit_bucket_boundaries_advisory=SECONDS
        )
        self._firsts = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "from the send to the first piece of a streamed reply",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._gaps = meter.create_histogram(
            "gen_ai.client.operation.time_per_output_chunk",
            "s",
            "from each later piece of a streamed reply to the one before",
            explicit_bucket_boundaries_advisory=SECONDS,
        )

    def __call__(self, event: Event) -> None:
        """Follow a run: an observer."""
        match event:
            case PassStarted(step, "step"):
                if step == 0:
                    self._leave(0)  # Another run begins.
                self._enter(1, "semprop.step", {"semprop.step": step})
            case PassStarted(step, phase):
                self._enter(1, f"semprop.{phase}", {"semprop.step": step, "semprop.phase": phase})
            case PhaseBegan(step, phase):
                self._enter(2, f"semprop.{phase}", {"semprop.step": step, "semprop.phase": phase})
            case StepDone(step, wrong, seen):
                verdict = "no proposal" if event.verdict is None else str(event.verdict.decision)
                self._tell({"semprop.wrong": wrong, "semprop.seen": seen, "semprop.verdict": verdict})
                self._leave(1)
            case HeldOut(before, after, n):
                told = {"semprop.score.before": before, "semprop.score.after": after, "semprop.n": n}
                self._tell({name: value for name, value in told.items() if value is not None})

    def watch(self, specification: Specification) -> Layer:
        """What stands around every call of this provider."""
        return _Watch(self, specification)

    def close(self) -> None:
        """End every span that is open."""
        self._leave(0)

    def call(self, attributes: Mapping[str, Any]) -> Any:
        """A span of a call, inside whatever is under way."""
        name = f"chat {attributes['gen_ai.request.model']}"
        return self._tracer.start_span(
            name, context=self._context(), kind=self._api.SpanKind.CLIENT, attributes=dict(attributes)
        )

    def answered(self, span: Any, shared: Mapping[str, Any], completion: Completion) -> None:
        """Write down what a call gave."""
        usage, timing = completion.usage, completion.timing
        told: dict[str, Any] = {
            "gen_ai.response.model": completion.model or None,
            "gen_ai.response.id": completion.request_id,
            "gen_ai.response.finish_reasons": (REASONS[completion.stop],),
            "gen_ai.usage.input_tokens": usage.input,
            "gen_ai.usage.output_tokens": usage.output,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_read,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write,
            "semprop.attempts": completion.attempts,
            "semprop.member": usage.member or None,
        }
        span.set_attributes({name: value for name, value in told.items() if value is not None})
        for kind, count in (("input", usage.input), ("output", usage.output)):
            if count is not None:
                self._tokens.record(count, {**shared, "gen_ai.token.type": kind})
        if timing is not None:
            self._firsts.record(timing.first_token, dict(shared))
            for gap in timing.gaps:
                self._gaps.record(gap, dict(shared))

    def failed(self, span: Any, error: str) -> None:
        """Write down that a call gave nothing."""
        span.set_attribute("error.type", error)
        span.set_status(self._api.StatusCode.ERROR)

    def ended(self, span: Any, shared: Mapping[str, Any], began: float, error: str) -> None:
        """A call is over."""
        span.end()
        self._durations.record(self._now() - began, {**shared, **({"error.type": error} if error else {})})

    def now(self) -> float:
        """Seconds."""
        return self._now()

    def _context(self) -> Any:
        return self._api.set_span_in_context(self._open[-1]) if self._open else None

    def _enter(self, depth: int, name: str, attributes: Mapping[str, Any]) -> None:
        """Begin a span at a depth; what is open there or deeper has ended."""
        if not self._open:
            self._open.append(self._tracer.start_span("semprop.run"))
        self._leave(depth)
        self._open.append(self._tracer.start_span(name, context=self._context(), attributes=dict(attributes)))

    def _leave(self, depth: int) -> None:
        while len(self._open) > depth:
            self._open.pop().end()

    def _tell(self, attributes: Mapping[str, Any]) -> None:
        if self._open:
            self._open[min(1, len(self._open) - 1)].set_attributes(dict(attributes))


class _Watch:
    """A layer: one provider's calls."""

    def __init__(self, traces: Traces, specification: Specification) -> None:
        self._traces = traces
        kind = specification.kind
        self._shared: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": SYSTEMS.get(kind, kind),
            "gen_ai.request.model": specification.model or kind,
        }
        # A pool has no address of its own; who answered is told by the reply.
        url = URL(specification.base or (KINDS[kind].base if kind in KINDS else ""))
        if url.host:
            self._shared |= {"server.address": url.host, "server.port": url.port}

    def around(self, send: Send) -> Send:
        traces, shared = self._traces, self._shared

        async def complete(request: Request) -> Completion:
            span, began, error = traces.call({**shared, **_asked(request)}), traces.now(), ""
            try:
                completion = await send(request)
                traces.answered(span, shared, completion)
                return completion
            except ProviderError as failed:
                error = str(failed.error_class)
                traces.failed(span, error)
                raise
            except BaseException:
                error = "cancelled"
                traces.failed(span, error)
                raise
            finally:
                traces.ended(span, shared, began, error)

        return complete

    def statistics(self) -> Mapping[str, object]:
        return {}


def _asked(request: Request) -> dict[str, Any]:
    sampling = request.sampling
    fields = {
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.max_tokens": sampling.max_tokens,
        "gen_ai.request.seed": sampling.seed,
        "gen_ai.request.stop_sequences": sampling.stop or None,
        "semprop.node": request.admission.node or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


@contextlib.contextmanager
def exporting(around: Surrounding) -> Iterator[Surrounding]:
    """Surroundings whose runs and calls are sent by OTLP over HTTP while the block runs; where to, say the usual
    variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, …).

    Raises:
        UsageError: the extra `otel` is not installed.
    """
    sdk = _imported("opentelemetry.sdk.trace")
    export = _imported("opentelemetry.sdk.trace.export")
    metrics = _imported("opentelemetry.sdk.metrics")
    readers = _imported("opentelemetry.sdk.metrics.export")
    spans_out = _imported("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    metrics_out = _imported("opentelemetry.exporter.otlp.proto.http.metric_exporter")
    resource = _imported("opentelemetry.sdk.resources").Resource.create({"service.name": "semprop"})
    tracers = sdk.TracerProvider(resource=resource)
    tracers.add_span_processor(export.BatchSpanProcessor(spans_out.OTLPSpanExporter()))
    reader = readers.PeriodicExportingMetricReader(metrics_out.OTLPMetricExporter())
    meters = metrics.MeterProvider(metric_readers=[reader], resource=resource)
    traces = Traces(tracers.get_tracer("semprop"), meters.get_meter("semprop"))
    providers = replace(around.providers, watch=traces.watch)
    try:
        yield replace(around, providers=providers, observers=(*around.observers, traces))
    finally:
        traces.close()
        tracers.shutdown()
        meters.shutdown()


def discarding() -> tuple[Traces, Callable[[], None]]:
    """Traces whose spans and metrics go through the SDK and then nowhere, to see what a call pays; and what ends them.

    Raises:
        UsageError: the extra `otel` is not installed.
    """
    sdk, export = _imported("opentelemetry.sdk.trace"), _imported("opentelemetry.sdk.trace.export")
    metrics = _imported("opentelemetry.sdk.metrics")
    readers = _imported("opentelemetry.sdk.metrics.export")
    tracers = sdk.TracerProvider()
    tracers.add_span_processor(export.BatchSpanProcessor(_nowhere(export)))
    meters = metrics.MeterProvider(metric_readers=[readers.InMemoryMetricReader()])
    traces = Traces(tracers.get_tracer("semprop"), meters.get_meter("semprop"))

    def close() -> None:
        traces.close()
        tracers.shutdown()
        meters.shutdown()

    return traces, close


def _nowhere(export: Any) -> Any:
    """An exporter that throws spans away."""

    class Nowhere(export.SpanExporter):  # type: ignore[misc]
        def export(self, spans: Any) -> Any:
            return export.SpanExportResult.SUCCESS

    return Nowhere()


def _imported(name: str) -> Any:
    """A module of OpenTelemetry, which nobody else needs."""
    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(f"OpenTelemetry is not installed ({error}); {_MEND}") from error
