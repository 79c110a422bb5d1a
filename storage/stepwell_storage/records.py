"""What goes into a store and comes out of it. Opaque: storage knows no domain type.

Times are UTC microseconds, handed in by the caller. A record's `sequence` counts from 1 without
a gap inside its run; its `position` grows over the whole namespace in commit order.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

is_run_id = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
"""Whether a text is a UUID in canonical form."""


class Record(Struct, frozen=True):
    """One event as the store sees it: a kind, which is one word, and a body, which is JSON.

    The store looks into neither, but it may put several of them together and take them apart.
    """

    sequence: int
    kind: str
    principal: str
    body: bytes


class Logged(Struct, frozen=True):
    """A record as read back from the log of a namespace."""

    run: str
    position: int
    record: Record


class Blob(Struct, frozen=True):
    """Content that an event refers to by its digest; kept with the run that wrote it.

    `key_id` names the key it is encrypted with ("" is plain). `label` is what policy and
    retention go by, for instance `datasource:shop`.
    """

    digest: str
    size: int
    data: bytes
    label: str = ""
    key_id: str = ""


class Head(Struct, frozen=True):
    """What the list of runs shows, updated in the transaction of the event that changes it.

    `ended_at` set means that the run has ended: its lease is given up and never claimed again.
    """

    status: str
    at: int
    ended_at: int | None = None
    detail: bytes = b""


class NewRun(Struct, frozen=True):
    """The row and the first lease of a run, made with its first events.

    The lease has epoch 1. `labels` are kept as they are.

    `request_id`, where given, is unique per (namespace, principal); `request_digest` tells
    whether a second request with the same id asks for the same thing.
    """

    workflow: str
    version: str
    principal: str
    created_at: int
    owner: str
    lease_expires_at: int
    labels: Mapping[str, str] = {}
    request_id: str | None = None
    request_digest: str = ""


class Append(Struct, frozen=True):
    """Consecutive events of one run, all or nothing.

    `after` is the sequence of the run's last event so far; `epoch` is the writer's lease.
    With `new` the run must not exist yet, `after` is 0, `epoch` is 1 and there is a `head`.
    A blob that the run has already is left as it is.

    Raises:
        ValueError: it cannot be right, whatever the store holds.
    """

    namespace: str
    run: str
    epoch: int
    after: int
    records: tuple[Record, ...]
    blobs: tuple[Blob, ...] = ()
    head: Head | None = None
    new: NewRun | None = None

    def __post_init__(self) -> None:
        if not is_run_id(self.run):
            raise ValueError(f"{self.run!r} is not a run id: it must be a UUID in canonical form")
        if not self.records:
            raise ValueError("an append has at least one record")
        expected = self.after
        for record in self.records:
            expected += 1
            if record.sequence != expected:
                raise ValueError(f"record {record.sequence} stands where {expected} must be")
            if " " in record.kind:
                raise ValueError(f"{record.kind!r} is not one word, as a kind must be")
        if self.new is not None and (self.after or self.epoch != 1 or self.head is None):
            raise ValueError("a new run begins after 0, in epoch 1, with a head")

    @property
    def last(self) -> int:
        """The sequence of the last record."""
        return self.after + len(self.records)


class RunRow(Struct, frozen=True):
    """One line of the list of runs."""

    namespace: str
    run: str
    workflow: str
    version: str
    principal: str
    status: str
    created_at: int
    updated_at: int
    ended_at: int | None
    labels: Mapping[str, str]
    detail: bytes


class Lease(Struct, frozen=True):
    """The right to append to a run, fenced by its epoch."""

    namespace: str
    run: str
    epoch: int


class DefinitionRow(Struct, frozen=True):
    """An immutable version of a workflow, named by the digest of its source."""

    name: str
    version: str
    source: bytes
    principal: str
    created_at: int


class DatasourceRow(Struct, frozen=True):
    """A database that the SQL tools may reach."""

    name: str
    url: str
    principal: str
    created_at: int
