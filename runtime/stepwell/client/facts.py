"""Events of the contract as the facts of the engine.

A fact and its message have the same name and the same fields, so one plan per kind, made when
this module is imported, translates them all. A field that the message lacks keeps its default; a
run is named by its id, without `runs/`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from msgspec import Struct

from stepwell.client import decode
from stepwell.client.types import Event, EventBatch
from stepwell.engine.events import KINDS, Parent
from stepwell.engine.messages import Usage
from stepwell.engine.values import Data, Failure
from stepwell.v1 import event_service_pb2, events_pb2

MICROSECONDS: Final = "_us"
INSTANT: Final = "_at"
RUNS: Final = ("run", "child")
"""What the fields of a fact are called that name a run."""

Convert: TypeAlias = Callable[[Any], Any]


class _Field(Struct, frozen=True):
    """How one field of a message becomes one of its fact."""

    name: str
    source: str
    convert: Convert
    is_message: bool


def batch(
    message: event_service_pb2.ListEventsResponse | event_service_pb2.WatchEventsResponse,
) -> EventBatch:
    """Events with the cursor after them."""
    return EventBatch(
        events=tuple(event(one) for one in message.events),
        cursor=message.cursor,
        caught_up=message.caught_up,
    )


def event(message: events_pb2.Event) -> Event:
    """One entry of the log."""
    kind = message.WhichOneof("fact")
    at = decode.microseconds(message.at)
    return Event(
        run=decode.run_id(message.run),
        sequence=message.sequence,
        kind=message.kind,
        principal=message.principal,
        at=decode.instant(message.at),
        fact=KINDS[kind](at=at, **_values(kind, getattr(message, kind))) if kind else None,
    )


def _values(kind: str, message: Message) -> dict[str, Any]:
    return {
        field.name: field.convert(getattr(message, field.source))
        for field in _PLANS[kind]
        if not field.is_message or message.HasField(field.source)
    }


def _usage(message: events_pb2.Usage) -> Usage:
    return Usage(**{name: getattr(message, name) for name in Usage.__struct_fields__})


def _parent(message: events_pb2.Parent) -> Parent:
    return Parent(decode.run_id(message.run), message.step, message.attempt, message.depth)


def _microseconds(duration: Duration) -> int:
    return duration.ToMicroseconds()


def _same(value: Any) -> Any:
    return value


_CONVERSIONS: Mapping[Any, Convert] = {
    Data: decode.data,
    Usage: _usage,
    Failure: decode.failure,
    Failure | None: decode.failure,
    Parent | None: _parent,
    tuple[str, ...]: tuple,
    dict[str, str]: dict,
    dict[str, int]: dict,
    dict[str, tuple[str, ...]]: decode.attributes,
}


_PRESENT: Final = (Data, Usage, Failure, Failure | None, Parent | None, int | None)
"""Types of fields of which a message tells whether they are there."""


def _field(field: msgspec.structs.FieldInfo) -> _Field:
    name = field.name
    if name.endswith(MICROSECONDS):
        return _Field(name, name.removesuffix(MICROSECONDS), _microseconds, is_message=True)
    if name.endswith(INSTANT):
        return _Field(name, name, decode.microseconds, is_message=True)
    if name in RUNS:
        return _Field(name, name, decode.run_id, is_message=False)
    is_message = field.type in _PRESENT
    return _Field(name, name, _CONVERSIONS.get(field.type, _same), is_message)


_PLANS: Final = {
    kind: tuple(_field(f) for f in msgspec.structs.fields(fact) if f.name != "at")
    for kind, fact in KINDS.items()
}
