"""How records become rows of `events`, and rows become records again.

An append writes a few events at a time, and what a row costs beside its bodies (key, two index
entries, a statement's values) is more than a small event. So consecutive events of one append by
one principal share a row. A row with one event is the plain case of this: its body stands as it is.
"""

from collections.abc import Sequence

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
    rows = []
    kinds: list[str] = []
    bodies: list[bytes] = []
    size, principal = 0, records[0].principal
    for record in records:
        size += len(record.body)
        if kinds and (
            record.principal != principal or size > MOST_BYTES or len(kinds) == MOST_EVENTS
        ):
            rows.append((record.sequence - 1, " ".join(kinds), principal, _array(bodies)))
            kinds, bodies, size, principal = [], [], len(record.body), record.principal
        kinds.append(record.kind)
        bodies.append(record.body)
    rows.append((records[-1].sequence, " ".join(kinds), principal, _array(bodies)))
    return rows


def _array(bodies: list[bytes]) -> bytes:
    # Each body is JSON, so what stands between them is all that a JSON array needs.
    return bodies[0] if len(bodies) == 1 else b"[" + b",".join(bodies) + b"]"


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
