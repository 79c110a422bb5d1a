from typing import get_args

from stepwell.engine.events import (
    Event,
    LlmCall,
    RunCompleted,
    StepCompleted,
    StepScheduled,
    ToolCall,
)
from stepwell.engine.expressions import Template
from stepwell.engine.graph import Graph, MapNode, Node, ToolNode
from stepwell.engine.messages import Usage
from stepwell.engine.state import RunState, StepPhase, StepState
from stepwell.engine.values import NOTHING, Failure
from stepwell.orchestrator.meter import KINDS, Meter, watched_commits
from stepwell.telemetry.instruments import MOST_NAMES, OTHER, Counter, Histogram
from stepwell.telemetry.metrics import Metrics
from stepwell_storage.errors import Full, Unavailable

LOOK = ToolNode(id="a", tool="look")
EACH = MapNode(id="each", items=Template([1]), body=ToolNode(id="each", tool="look"))
GRAPH = Graph(
    name="w", version="v", nodes={"a": LOOK, "each": EACH}, dependents={"a": (), "each": ()}
)


def run_with(*steps: str) -> RunState:
    """A run whose steps call the tool `look`."""
    state = RunState("r", GRAPH, started_at=1_000_000)
    for step in steps:
        state.steps[step] = StepState(step, step, StepPhase.ACTIVE, LOOK)
    return state


def called(tool: str = "look", failure: Failure | None = None) -> ToolCall:
    return ToolCall(
        at=1, step="a", attempt=1, call="", tool=tool, key="k", latency_us=5000, failure=failure
    )


def of(*events: Event) -> list[tuple[Event, str]]:
    return [(event, "user:ann") for event in events]


def counts(counter: Counter) -> dict[tuple[str, ...], int]:
    return dict(counter.series())


def seconds(histogram: Histogram) -> dict[tuple[str, ...], float]:
    return {labels: found.sum for labels, found in histogram.series()}


def test_a_step_is_measured_from_its_scheduling_over_any_number_of_appends() -> None:
    metrics = Metrics()
    meter, state = Meter(metrics).of_run(), run_with("a")
    meter.committed(state, of(StepScheduled(at=1_000_000, step="a", node="a")))
    meter.committed(state, of(called(), StepCompleted(at=3_500_000, step="a", attempt=1)))
    assert counts(metrics.steps_ended) == {("tool", "completed"): 1}
    assert seconds(metrics.step_seconds) == {("tool",): 2.5}
    assert seconds(metrics.tool_call_seconds) == {("look",): 0.005}


def test_a_step_that_a_map_has_made_is_measured_though_the_run_has_forgotten_it() -> None:
    metrics = Metrics()
    meter, state = Meter(metrics).of_run(), run_with()
    meter.committed(state, of(StepScheduled(at=1_000_000, step="each[0]", node="each")))
    meter.committed(state, of(StepCompleted(at=3_500_000, step="each[0]")))
    assert counts(metrics.steps_ended) == {("tool", "completed"): 1}
    assert seconds(metrics.step_seconds) == {("tool",): 2.5}
    assert meter.scheduled == {}


def test_a_step_that_began_in_other_hands_is_counted_and_not_measured() -> None:
    metrics = Metrics()
    end = StepCompleted(at=3_500_000, step="a", attempt=1)
    Meter(metrics).of_run().committed(run_with("a"), of(end))
    assert counts(metrics.steps_ended) == {("tool", "completed"): 1}
    assert seconds(metrics.step_seconds) == {("tool",): 0.0}


def test_calls_of_tools_are_counted_by_how_they_came_out() -> None:
    metrics = Metrics()
    events = of(called(), called(), called(failure=Failure("TOOL_TIMEOUT", "late")))
    Meter(metrics).of_run().committed(run_with("a"), events)
    assert counts(metrics.tool_calls) == {("look", "ok"): 2, ("look", "TOOL_TIMEOUT"): 1}


def test_tools_without_end_share_one_series() -> None:
    metrics = Metrics()
    meter, state = Meter(metrics).of_run(), run_with("a")
    for _ in range(2):
        meter.committed(state, of(*(called(f"tool-{n}") for n in range(MOST_NAMES + 5))))
    found = counts(metrics.tool_calls)
    assert len(found) == MOST_NAMES + 1
    assert found[OTHER, "ok"] == 10


def test_tokens_are_counted_by_model_as_the_provider_counts_them() -> None:
    metrics = Metrics()
    answered = LlmCall(
        at=1, step="a", attempt=1, call=1, model="m", usage=Usage(7, 3, cache_read=2), latency_us=1
    )
    refused = LlmCall(
        at=1, step="a", attempt=1, call=1, model="", failure=Failure("MODEL_UNAVAILABLE", "gone")
    )
    Meter(metrics).of_run().committed(run_with("a"), of(answered, refused))
    assert counts(metrics.model_calls) == {("m", "ok"): 1, ("unknown", "MODEL_UNAVAILABLE"): 1}
    assert counts(metrics.model_tokens) == {
        ("m", "input"): 7,
        ("m", "output"): 3,
        ("m", "cache_read"): 2,
    }


def test_a_run_is_measured_from_its_start() -> None:
    metrics = Metrics()
    Meter(metrics).of_run().committed(run_with(), of(RunCompleted(at=3_000_000, output=NOTHING)))
    assert counts(metrics.runs_ended) == {("w", "completed"): 1}
    assert seconds(metrics.run_seconds) == {("w",): 2.0}


def test_transactions_are_counted_with_why_they_were_refused() -> None:
    metrics = Metrics()
    committed = watched_commits(metrics)
    committed(5, 0.25, None)
    committed(1, 0.5, Full("no room"))
    committed(1, 0.5, Unavailable("gone"))
    assert seconds(metrics.commit_seconds) == {(): 1.25}
    assert seconds(metrics.commit_group_size) == {(): 7.0}
    assert counts(metrics.storage_refusals) == {("full",): 1, ("unavailable",): 1}


def test_every_kind_of_node_has_a_name() -> None:
    assert set(KINDS) == set(get_args(Node))
