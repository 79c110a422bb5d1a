"""How records become rows of `events`, and rows become records again.

An append writes a few events at a time, and what a row costs beside its bodies (key, two index
entries, a statement's values) is more than a small event. So consecutive events of one append by
one principal share a row. A row with one event is the plain case of this: its body stands as it is.
"""

from collections.abc import Iterator, Sequence

import msgspec

from stepwell_storage.records import Record

MOST_EVENTS = 64
"""In one row: a reader that wants the last one gets all of them.

Never to grow: a reader of an older version looks no further for the end of its page.
"""

MOST_BYTES = 64 * 1024
"""Of bodies in one row, unless a single body is larger."""

_bodies = msgspec.json.Decoder(list[msgspec.Raw]).decode


def joined(records: Sequence[Record]) -> list[tuple[int, str, str, bytes]]:
    """(last sequence, kinds, principal, bodies) of the rows for the records of one append."""
    return [_row(records[start:end]) for start, end in _shares(records)]


def _shares(records: Sequence[Record]) -> Iterator[tuple[int, int]]:
    """Where each row begins and ends."""
    start = size = 0
    principal = records[0].principal
    for at, record in enumerate(records):
        size += len(record.body)
        if at > start and (
            record.principal != principal or size > MOST_BYTES or at - start == MOST_EVENTS
        ):
            yield start, at
            start, size, principal = at, len(record.body), record.principal
    yield start, len(records)


def _row(records: Sequence[Record]) -> tuple[int, str, str, bytes]:
    last = records[-1]
    if len(records) == 1:
        return last.sequence, last.kind, last.principal, last.body
    kinds = " ".join([record.kind for record in records])
    # Each body is JSON, so what stands between them is all that a JSON array needs.
    bodies = b"[" + b",".join([record.body for record in records]) + b"]"
    return last.sequence, kinds, last.principal, bodies


def split(sequence: int, kind: str, principal: str, body: bytes) -> list[Record]:
    """The records of one row, in order."""
    if " " not in kind:
        return [Record(sequence, kind, principal, body)]
    kinds = kind.split(" ")
    first = sequence - len(kinds) + 1
    return [
        Record(at, kind, principal, bytes(body))
        for at, (kind, body) in enumerate(zip(kinds, _bodies(body), strict=True), first)
    ]
