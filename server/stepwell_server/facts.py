"""The facts of a run as messages of the contract.

A fact and its message have the same name and the same fields, so one plan per kind, made from
both when this module is imported, translates them all. A fact that the contract does not know,
or a field that it lacks, stops the import. On the wire `latency_us` is the duration `latency`, and
a run is named `runs/{id}`.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from stepwell.engine.events import KINDS, Parent
from stepwell.engine.messages import Usage
from stepwell.engine.values import NOTHING, Data, Failure
from stepwell.orchestrator.views import RunEvent
from stepwell.v1 import events_pb2
from stepwell_server.translate import (
    attribute_messages,
    data_in_event,
    duration,
    failure,
    maybe_run_name,
    run_name,
    timestamp,
)

MICROSECONDS: Final = "_us"
INSTANT: Final = "_at"
RUNS: Final = ("run", "child")
"""What the fields of a fact are called that name a run."""

Convert: TypeAlias = Callable[[Any], Any]


class _Field(Struct, frozen=True):
    """How one field of a fact becomes one of its message; `absent` is what is left out."""

    name: str
    target: str
    convert: Convert | None
    absent: Any


class _Plan(Struct, frozen=True):
    message: Any
    fields: tuple[_Field, ...]


def event(view: RunEvent) -> events_pb2.Event:
    """An event with its place in the log; sealed and large data stay references."""
    plan = _PLANS[view.kind]
    values = {}
    for field in plan.fields:
        value = getattr(view.event, field.name)
        if value is not field.absent:
            values[field.target] = field.convert(value) if field.convert else value
    return events_pb2.Event(
        run=run_name(view.run),
        sequence=view.sequence,
        at=timestamp(view.event.at),
        principal=view.principal,
        kind=view.kind,
        **{view.kind: plan.message(**values)},
    )


def _usage(usage: Usage) -> events_pb2.Usage:
    return events_pb2.Usage(**msgspec.structs.asdict(usage))


def _parent(parent: Parent) -> events_pb2.Parent:
    return events_pb2.Parent(
        run=run_name(parent.run), step=parent.step, attempt=parent.attempt, depth=parent.depth
    )


_CONVERSIONS: dict[Any, tuple[Convert, Any]] = {
    Data: (data_in_event, NOTHING),
    Usage: (_usage, None),
    Failure: (failure, None),
    Failure | None: (failure, None),
    Parent | None: (_parent, None),
    dict[str, tuple[str, ...]]: (attribute_messages, None),
}
"""By the type of a field: how it is converted, and the value that is left out."""


def _field(field: msgspec.structs.FieldInfo) -> _Field:
    name = field.name
    if name.endswith(MICROSECONDS):
        return _Field(name, name.removesuffix(MICROSECONDS), duration, None)
    if name.endswith(INSTANT):
        return _Field(name, name, timestamp, None)
    if name in RUNS:
        return _Field(name, name, maybe_run_name, None)
    convert, absent = _CONVERSIONS.get(field.type, (None, None))
    return _Field(name, name, convert, absent)


def _plan(kind: str, fact: type[Struct]) -> _Plan:
    message = events_pb2.Event.DESCRIPTOR.fields_by_name[kind].message_type
    assert message is not None, f"{kind} is not a message"
    fields = tuple(_field(f) for f in msgspec.structs.fields(fact) if f.name != "at")
    missing = {field.target for field in fields} - set(message.fields_by_name)
    assert not missing, f"events.proto lacks {sorted(missing)} of {kind}"
    return _Plan(getattr(events_pb2, message.name), fields)


_PLANS: Final = {kind: _plan(kind, fact) for kind, fact in KINDS.items()}
