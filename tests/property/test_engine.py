"""What holds of the engine for every event and every history."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.strategies import MARK, every_event
from tests.simulation import documents
from tests.simulation.calm import undisturbed
from tests.simulation.pictures import picture
from tests.simulation.script import Script

from stepwell.engine import codec
from stepwell.engine.events import NAMES, Event
from stepwell.engine.evolve import evolve
from stepwell.engine.inputs import Start
from stepwell.engine.state import RunState
from stepwell.engine.values import Data

RUN = "01930000-0000-7000-8000-000000000000"

# --- events and the log -------------------------------------------------------------------

limits = st.sampled_from([0, 40, 200, 16 * 1024])


@given(every_event, limits)
def test_an_event_comes_back_from_the_log_as_it_went_in(event: Event, limit: int) -> None:
    body, blobs = codec.encode(event, limit)
    stored = codec.decode(NAMES[type(event)], body)
    kept = {blob.digest: blob for blob in blobs}
    assert set(codec.references(stored)) == kept.keys()
    assert _without_references(codec.fill(stored, kept)) == event


@given(every_event, limits)
def test_no_body_holds_sealed_data(event: Event, limit: int) -> None:
    body, blobs = codec.encode(event, limit)
    assert MARK.encode() not in body
    for blob in blobs:
        assert (MARK.encode() in blob.data) == bool(blob.label)


@given(every_event, limits)
def test_what_is_larger_than_the_limit_is_beside_the_log(event: Event, limit: int) -> None:
    stored = codec.decode(NAMES[type(event)], codec.encode(event, limit)[0])
    for name in stored.__struct_fields__:
        data = getattr(stored, name)
        if isinstance(data, Data) and data.blob is None:
            assert codec.size(data.value) <= max(limit, codec.size(None))


@given(every_event, limits)
def test_an_event_that_was_read_is_written_as_before(event: Event, limit: int) -> None:
    body, blobs = codec.encode(event, limit)
    kept = {blob.digest: blob for blob in blobs}
    read = codec.fill(codec.decode(NAMES[type(event)], body), kept)
    again, _ = codec.encode(_without_references(read), limit)
    assert again == body


def _without_references(event: Event) -> Event:
    data = {name: getattr(event, name) for name in event.__struct_fields__}
    found: dict[str, Any] = {
        name: msgspec.structs.replace(value, blob=None)
        for name, value in data.items()
        if isinstance(value, Data)
    }
    return msgspec.structs.replace(event, **found)


# --- histories ----------------------------------------------------------------------------

seeds = st.integers(0, 10_000)


def fold(state: RunState, events: list[Event]) -> RunState:
    for event in events:
        evolve(state, event)
    return state


def through_the_log(events: list[Event]) -> list[Event]:
    return [_read(event) for event in events]


def _read(event: Event) -> Event:
    body, blobs = codec.encode(event, 100)
    return codec.fill(codec.decode(NAMES[type(event)], body), {b.digest: b for b in blobs})


@given(seeds, st.floats(0, 1))
@settings(deadline=None)
def test_a_fold_may_stop_anywhere_and_go_on_from_the_log(seed: int, where: float) -> None:
    graph = documents.graph(seed % documents.COUNT)
    start = Start(at=0, principal="user:ann", input=Data(value={"n": seed}))
    calm = undisturbed(RUN, graph, start, Script(seed))
    cut = int(where * len(calm.events))
    state = fold(RunState(RUN, graph), through_the_log(calm.events[:cut]))
    assert picture(fold(state, calm.events[cut:])) == picture(calm.state)
