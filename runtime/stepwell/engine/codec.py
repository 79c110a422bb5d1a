"""Events to bytes and back. What is large or sealed leaves the event and becomes a blob.

Bodies are JSON, so that a person can read the log with nothing but the database's own shell.
Histories are replayed for ever: a field that a later version adds has a default, and a body
of an older shape is upcast here, never branched on anywhere else.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from stepwell.engine.depth import MAX_LEVELS, TooDeep, is_finite, is_too_deep
from stepwell.engine.events import (
    KINDS,
    Event,
    StepScheduled,
    StepSkipped,
    ToolCall,
    ToolCallStarted,
)
from stepwell.engine.values import BlobRef, Data, Json
from stepwell_storage.records import Blob

_encode = msgspec.json.Encoder().encode
_decoders = {kind: msgspec.json.Decoder(event) for kind, event in KINDS.items()}
_DATA_FIELDS = {
    event: tuple(field.name for field in msgspec.structs.fields(event) if field.type is Data)
    for event in KINDS.values()
}


def encode(event: Event, inline_limit: int) -> tuple[bytes, tuple[Blob, ...]]:
    """The body of an event, and the blobs that it refers to.

    Data stays in the body when it is not sealed and has at most `inline_limit` bytes.
    """
    body = written(event)
    fields = _DATA_FIELDS[type(event)]
    if len(body) <= inline_limit:
        for name in fields:
            if getattr(event, name).sealed:
                break
        else:
            return body, ()
    references: dict[str, Data] = {}
    blobs = []
    for name in fields:
        data: Data = getattr(event, name)
        content = _encode(data.value)
        if data.sealed or len(content) > inline_limit:
            blob = Blob(digest(content), len(content), content, data.sealed)
            blobs.append(blob)
            references[name] = Data(blob=BlobRef(blob.digest, blob.size, blob.label))
    return written(replace(event, **references)), tuple(blobs)


def written(event: Event) -> bytes:
    """The body of an event, with all of its data; the id of its step stands in it once."""
    return _writers[type(event)](event)


def decode(kind: str, body: bytes) -> Event:
    """The event of a record; its data may be references that `fill` replaces.

    Raises:
        LookupError: this version does not know the kind.
        msgspec.DecodeError: the body is not one of its kind.
    """
    event = _decoders[kind].decode(body)
    match event:
        case StepScheduled(node="") | StepSkipped(node=""):
            return replace(event, node=event.step)
        case ToolCall(key="") | ToolCallStarted(key=""):
            return replace(event, key=event.step)
        case _:
            return event


def references(event: Event) -> list[str]:
    """The digests of the blobs that an event needs."""
    found = (getattr(event, name).blob for name in _DATA_FIELDS[type(event)])
    return [blob.digest for blob in found if blob is not None]


def fill(event: Event, blobs: Mapping[str, Blob]) -> Event:
    """The event with the content of its references in place.

    Raises:
        KeyError: a blob is not there.
    """
    filled = {
        name: resolve(data, blobs[data.blob.digest])
        for name in _DATA_FIELDS[type(event)]
        if (data := getattr(event, name)).blob is not None
    }
    return replace(event, **filled) if filled else event


def resolve(data: Data, blob: Blob) -> Data:
    """Data with its value, read from the blob that it refers to.

    The seal is that of the reference: a blob that sealed and unsealed data of a run share has
    the label of whichever was written first.
    """
    assert data.blob is not None, "only a reference can be resolved"
    return Data(value=msgspec.json.decode(blob.data), blob=data.blob, sealed=data.blob.label)


def size(value: Json) -> int:
    """Bytes that a value takes in the log, or in a blob.

    Raises:
        TooDeep: no log could hold it.
        ValueError: it has a number or a character that JSON has not; the log would hold another.
    """
    try:
        content = _encode(value)
    except RecursionError as error:
        raise TooDeep from error
    # Few brackets are no levels; to count these takes no time.
    if content.count(b"[") + content.count(b"{") > MAX_LEVELS and is_too_deep(value):
        raise TooDeep
    # What JSON has no number for is written as null: what a person is shown would not be what is done.
    if b"null" in content and not is_finite(value):
        raise ValueError("it has a number that is not finite, which JSON cannot hold")
    return len(content)


def digest(content: bytes) -> str:
    """How content is named: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _without_node(event: StepScheduled | StepSkipped) -> bytes:
    return _encode(event if event.node != event.step else replace(event, node=""))


def _without_key(event: ToolCall | ToolCallStarted) -> bytes:
    return _encode(event if event.key != event.step else replace(event, key=""))


_writers: dict[type[Event], Callable[[Any], bytes]] = {
    **dict.fromkeys(KINDS.values(), _encode),
    StepScheduled: _without_node,
    StepSkipped: _without_node,
    ToolCall: _without_key,
    ToolCallStarted: _without_key,
}
"""By a table: asking four times what an event is would cost more than writing it."""
