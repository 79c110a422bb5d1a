import logging

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from stepwell.telemetry import traceparent
from stepwell.telemetry.tracing import (
    Tracing,
    current_traceparent,
    is_wanted,
    mark_failed,
    new_provider,
    open_tracing,
)

RUN = "01890a5d-ac96-774b-bcce-b302099a8057"
REQUEST = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = f"{REQUEST[:-2]}00"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


class Collected:
    """A tracing whose spans stay here."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = new_provider({})
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()


@pytest.fixture
def collected() -> Collected:
    return Collected()


def whole_run(tracing: Tracing, parent: str = "") -> None:
    tracing.whole_run(RUN, parent, "run", {}, started_at=1_000_000, ended_at=3_000_000)


def test_a_call_is_below_its_run_though_the_run_ends_later(collected: Collected) -> None:
    with collected.tracing.within(RUN, "", "call", SpanKind.INTERNAL, {"a": 1}):
        pass
    whole_run(collected.tracing)
    call, run = collected.spans
    assert call.parent is not None
    assert call.parent.span_id == run.context.span_id == traceparent.span_of(RUN)
    assert call.context.trace_id == run.context.trace_id == traceparent.trace_of(RUN)
    assert run.parent is None
    assert (run.start_time, run.end_time) == (1_000_000_000, 3_000_000_000)


def test_a_run_is_below_the_request_that_it_came_with(collected: Collected) -> None:
    with collected.tracing.within(RUN, REQUEST, "call", SpanKind.INTERNAL, {}):
        pass
    whole_run(collected.tracing, REQUEST)
    call, run = collected.spans
    assert f"{run.context.trace_id:032x}" == f"{call.context.trace_id:032x}" == REQUEST[3:35]
    assert run.parent is not None
    assert f"{run.parent.span_id:016x}" == REQUEST[36:52]
    assert call.parent is not None
    assert call.parent.span_id == run.context.span_id


def test_what_the_caller_does_not_want_to_see_is_not_collected(collected: Collected) -> None:
    with collected.tracing.within(RUN, UNSAMPLED, "call", SpanKind.INTERNAL, {}):
        assert current_traceparent().endswith("-00")
    whole_run(collected.tracing, UNSAMPLED)
    assert collected.spans == ()


@pytest.mark.parametrize(("sampler", "seen"), [("always_on", 2), ("always_off", 0)])
def test_a_run_and_its_calls_are_sampled_together(
    sampler: str, seen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", f"parentbased_{sampler}")
    collected = Collected()
    with collected.tracing.within(RUN, "", "call", SpanKind.INTERNAL, {}):
        pass
    whole_run(collected.tracing)
    assert len(collected.spans) == seen


def test_what_goes_out_names_the_span_that_is_current(collected: Collected) -> None:
    assert current_traceparent() == ""
    with collected.tracing.within(RUN, REQUEST, "call", SpanKind.INTERNAL, {}):
        given = traceparent.parse(current_traceparent())
    [call] = collected.spans
    assert given is not None
    assert (given.trace_id, given.span_id) == (call.context.trace_id, call.context.span_id)


def test_a_failure_is_told_by_its_code(collected: Collected) -> None:
    with collected.tracing.within(RUN, "", "call", SpanKind.INTERNAL, {}) as span:
        mark_failed(span, "TOOL_ERROR")
    [call] = collected.spans
    assert call.attributes is not None
    assert call.attributes["error.type"] == "TOOL_ERROR"
    assert call.status.description == "TOOL_ERROR"


def test_what_breaks_inside_leaves_no_text_in_its_span(collected: Collected) -> None:
    with (
        pytest.raises(ValueError, match="hush"),
        collected.tracing.within(RUN, "", "call", SpanKind.INTERNAL, {}),
    ):
        raise ValueError("hush")
    [call] = collected.spans
    assert "hush" not in call.to_json()


@pytest.mark.parametrize(
    ("environ", "wanted", "words"),
    [
        ({}, False, ""),
        (ENDPOINT, True, ""),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True, ""),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True, ""),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False, ""),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "zipkin"}, False, "zipkin, not otlp"),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, False, ""),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True, ""),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, False, "the protocol is grpc"),
    ],
)
def test_the_standard_variables_say_whether_traces_are_sent(
    environ: dict[str, str], wanted: bool, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert is_wanted(environ) is wanted
    assert words in caplog.text
    assert bool(words) == bool(caplog.text)


@pytest.mark.anyio
async def test_without_a_collector_there_is_no_tracing() -> None:
    async with open_tracing({}) as tracing:
        assert tracing is None
