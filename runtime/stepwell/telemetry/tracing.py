"""Spans, if somebody collects them: the standard `OTEL_*` variables say so.

Without them nothing of OpenTelemetry's SDK is loaded. A trace that cannot be sent is no reason not
to work, so whatever is wrong with it is a warning in the log.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, Tracer
from opentelemetry.util.types import AttributeValue

from stepwell.telemetry import traceparent
from stepwell.telemetry.traceparent import Place

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

INSTALL: Final = "pip install 'stepwell[otel]'"
FLUSH: Final = 5.0
"""Seconds that spans which are not sent yet may hold up the end of the process."""

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HTTP: Final = "http/protobuf"

_log = logging.getLogger(__name__)
_given: ContextVar[tuple[int, int] | None] = ContextVar("ids of the next span", default=None)

Attributes = Mapping[str, AttributeValue]


class Tracing:
    """Makes spans of runs, and of what is done for them."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._tracer: Tracer = provider.get_tracer("stepwell", version("stepwell"))
        self._sampler = provider.sampler

    @contextmanager
    def within(
        self, run: str, parent: str, name: str, kind: SpanKind, attributes: Attributes
    ) -> Iterator[Span]:
        """A span below that of the run, current inside the block.

        `parent` is the `traceparent` of the request that the run came with.
        """
        context = trace.set_span_in_context(NonRecordingSpan(self._span_context(run, parent)))
        with self._tracer.start_as_current_span(
            name,
            context,
            kind,
            attributes,
            record_exception=False,  # what it says may quote data
            set_status_on_exception=False,
        ) as span:
            yield span

    def whole_run(
        self,
        run: str,
        parent: str,
        name: str,
        attributes: Attributes,
        *,
        started_at: int,
        ended_at: int,
        failed_with: str = "",
    ) -> None:
        """The span of a run that has ended, between two times in UTC microseconds."""
        above = traceparent.parse(parent)
        context = Context()
        if above is not None:
            context = trace.set_span_in_context(NonRecordingSpan(_span_context(above)), context)
        ids = _given.set((traceparent.trace_of(run), traceparent.span_of(run)))
        try:
            span = self._tracer.start_span(
                name, context, SpanKind.INTERNAL, attributes, start_time=started_at * 1000
            )
        finally:
            _given.reset(ids)
        if failed_with:
            mark_failed(span, failed_with)
        span.end(ended_at * 1000)

    def _span_context(self, run: str, parent: str) -> SpanContext:
        above = traceparent.parse(parent)
        if above is not None:
            return _span_context(Place(above.trace_id, traceparent.span_of(run), above.flags))
        trace_id = traceparent.trace_of(run)
        decision = self._sampler.should_sample(Context(), trace_id, "run").decision
        is_sampled: bool = decision.is_sampled()  # type: ignore[no-untyped-call]
        flags = traceparent.SAMPLED if is_sampled else 0
        return _span_context(Place(trace_id, traceparent.span_of(run), flags))


@asynccontextmanager
async def open_tracing(environ: Mapping[str, str]) -> AsyncIterator[Tracing | None]:
    """Sends spans from inside the block to where the environment says; None where to nobody."""
    provider = _provider(environ) if is_wanted(environ) else None
    if provider is None:
        yield None
        return
    trace.set_tracer_provider(provider)  # the MCP SDK makes spans of its own
    try:
        yield Tracing(provider)
    finally:
        await _shut_down(provider)


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a collector of traces that we can speak to."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporter not in ("", "otlp"):
        if exporter != "none":
            _log.warning("no traces are sent: OTEL_TRACES_EXPORTER is %s, not otlp", exporter)
        return False
    if not exporter and not any(environ.get(name, "").strip() for name in _ENDPOINTS):
        return False
    protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), _HTTP)
    if protocol != _HTTP:
        _log.warning(
            "no traces are sent: the protocol is %s; set OTEL_EXPORTER_OTLP_PROTOCOL=%s, and the "
            "endpoint to the collector's port for HTTP, which is usually 4318",
            protocol,
            _HTTP,
        )
        return False
    return True


def current_traceparent() -> str:
    """The `traceparent` of the span that is current here, or ""."""
    return traceparent_of(trace.get_current_span())


def traceparent_of(span: Span) -> str:
    """The `traceparent` that names a span; "" for none."""
    context = span.get_span_context()
    if not context.is_valid:
        return ""
    return Place(context.trace_id, context.span_id, context.trace_flags).text()


def mark_failed(span: Span, code: str) -> None:
    """Says that what the span is about failed; a code, because a message may quote data."""
    span.set_attribute("error.type", code)
    span.set_status(trace.StatusCode.ERROR, code)


def _provider(environ: Mapping[str, str]) -> "TracerProvider | None":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _log.warning("no traces are sent, though OTEL_* asks for it: %s", INSTALL)
        return None
    try:
        provider = new_provider(environ)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except Exception as error:  # noqa: BLE001 - a wrong variable is no reason not to start
        _log.warning("no traces are sent: %s", error)
        return None
    return provider


def new_provider(environ: Mapping[str, str]) -> "TracerProvider":
    """A provider whose spans of runs have the ids of runs, and that sends nothing yet."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class RunIds(RandomIdGenerator):
        """Random ids, but for the span that is just being made of a run."""

        def generate_trace_id(self) -> int:
            given = _given.get()
            return super().generate_trace_id() if given is None else given[0]

        def generate_span_id(self) -> int:
            given = _given.get()
            return super().generate_span_id() if given is None else given[1]

    names = {"service.version": version("stepwell")}
    if "OTEL_SERVICE_NAME" not in environ:
        names[SERVICE_NAME] = "stepwell"
    return TracerProvider(
        resource=Resource.create(names), id_generator=RunIds(), shutdown_on_exit=False
    )


async def _shut_down(provider: "TracerProvider") -> None:
    """Sends what is left; a collector that does not answer is not waited for.

    The thread is a daemon, as the SDK tries for half a minute and cannot be told to stop.
    """
    loop, sent = asyncio.get_running_loop(), asyncio.Event()

    def shut_down() -> None:
        provider.shutdown()
        with suppress(RuntimeError):  # nobody has waited so long
            loop.call_soon_threadsafe(sent.set)

    threading.Thread(target=shut_down, name="stepwell-traces", daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(FLUSH):
            await sent.wait()


def _span_context(place: Place) -> SpanContext:
    return SpanContext(
        place.trace_id, place.span_id, is_remote=True, trace_flags=TraceFlags(place.flags)
    )
