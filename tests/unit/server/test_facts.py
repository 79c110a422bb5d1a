"""Every kind of event passes the wire and comes out as it went in."""

from typing import Any

import msgspec
import pytest

from stepwell.client import facts as client_facts
from stepwell.engine.events import KINDS, Custom, Fact, Parent, RunCompleted, RunForked, StepStarted
from stepwell.engine.messages import Usage
from stepwell.engine.values import NOTHING, BlobRef, Data, Failure
from stepwell.orchestrator.views import RunEvent
from stepwell.v1 import events_pb2
from stepwell_server import facts

AT = 1_800_000_000_123_456
FULL: dict[Any, Any] = {
    int: 7,
    int | None: 7,
    str: "word",
    bool: True,
    Parent | None: Parent("r-0", "call", 2, 3),
    Data: Data(value={"a": [1, 2**60, None]}),
    Usage: Usage(input=1, output=2, cache_read=3, cache_write=4, reasoning=5),
    Failure: Failure("TOOL_ERROR", "it broke", True, {"why": "age"}),
    Failure | None: Failure("TOOL_ERROR", "it broke", True, {"why": "age"}),
    tuple[str, ...]: ("one", "two"),
    dict[str, str]: {"team": "a"},
    dict[str, int]: {"calls": 7},
    dict[str, tuple[str, ...]]: {"tenant": ("42", "43")},
}


def full(fact: type[Fact]) -> Fact:
    """A fact with a value of its own in every field."""
    return fact(**{f.name: FULL[f.type] for f in msgspec.structs.fields(fact)} | {"at": AT})


def least(fact: type[Fact]) -> Fact:
    """A fact with nothing but what it must have."""
    required = {f.name: FULL[f.type] for f in msgspec.structs.fields(fact) if f.required}
    return fact(**required | {"at": AT})


def view(kind: str, fact: Any) -> RunEvent:
    return RunEvent(run="r-1", sequence=3, kind=kind, principal="user:local", event=fact)


def over_the_wire(event: RunEvent) -> Any:
    return client_facts.event(events_pb2.Event.FromString(facts.event(event).SerializeToString()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [full, least])
def test_a_fact_passes_the_wire_unchanged(kind: str, make: Any) -> None:
    fact = make(KINDS[kind])
    received = over_the_wire(view(kind, fact))

    assert received.fact == fact
    assert (received.run, received.sequence, received.kind) == ("r-1", 3, kind)
    assert received.principal == "user:local"
    assert received.at.timestamp() == pytest.approx(AT / 1_000_000)


def test_the_contract_has_every_kind_and_no_other() -> None:
    assert [field.name for field in events_pb2.Event.DESCRIPTOR.oneofs_by_name["fact"].fields] == [
        *KINDS
    ]


def test_runs_that_a_fact_names_have_the_names_of_the_contract() -> None:
    forked = RunForked(
        at=AT, run="r-0", sequence=4, step="a", workflow="w", version="v", principal="p"
    )
    child = StepStarted(at=AT, step="call", attempt=1, child="r-2")
    begun = StepStarted(at=AT, step="call", attempt=1)

    assert facts.event(view("run_forked", forked)).run_forked.run == "runs/r-0"
    assert facts.event(view("step_started", child)).step_started.child == "runs/r-2"
    assert facts.event(view("step_started", begun)).step_started.child == ""


def test_what_is_kept_in_a_blob_stays_a_reference() -> None:
    blob = BlobRef("sha256:00", 20_000, "datasource:shop")
    sent = Data(value=[["a row"]], blob=blob, sealed="datasource:shop")
    message = facts.event(view("run_completed", RunCompleted(at=AT, output=sent)))

    assert b"a row" not in message.SerializeToString()
    received = client_facts.event(message).fact
    assert received == RunCompleted(at=AT, output=Data(blob=blob, sealed="datasource:shop"))


def test_a_sealed_value_without_a_blob_is_not_shown_either() -> None:
    sent = Data(value="a row", sealed="datasource:shop")
    message = facts.event(view("custom", Custom(at=AT, type="t", payload=sent)))

    assert b"a row" not in message.SerializeToString()


def test_nothing_is_left_out_and_comes_back_as_nothing() -> None:
    message = facts.event(view("custom", Custom(at=AT, type="t", payload=NOTHING)))

    assert not message.custom.HasField("payload")
    assert client_facts.event(message).fact == Custom(at=AT, type="t", payload=NOTHING)


def test_a_client_passes_over_a_kind_that_is_newer_than_itself() -> None:
    event = client_facts.event(events_pb2.Event(run="runs/r-1", sequence=1, kind="run_dreamt"))

    assert (event.kind, event.fact) == ("run_dreamt", None)
