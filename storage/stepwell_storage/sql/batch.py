"""Appends as the rows of one transaction. Pure: no database is asked."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from stepwell_storage.records import Append, Head, NewRun
from stepwell_storage.sql.ids import packed
from stepwell_storage.sql.rows import joined

Values: TypeAlias = list[Any]
"""The values of many rows of one table, one after another: a list that needs no flattening."""


class OutOfTurn(Exception):
    """An append does not go on where the one before it in the batch left its run."""


class _Chain:
    """The appends of one run in a batch, each after the other: the lease takes one step for all."""

    __slots__ = ("after", "epoch", "head", "last", "new", "run")

    def __init__(self, append: Append) -> None:
        self.run = packed(append.run)
        self.epoch = append.epoch
        self.after = append.after
        self.last = append.after
        self.new: NewRun | None = append.new
        self.head: Head | None = None

    @property
    def has_ended(self) -> bool:
        return self.head is not None and self.head.ended_at is not None

    def extend(self, append: Append) -> None:
        """Adds an append.

        Raises:
            OutOfTurn: it does not follow.
        """
        if append.after != self.last or append.epoch != self.epoch or self.has_ended:
            raise OutOfTurn
        self.last = append.last
        self.head = append.head or self.head


class Placed(Struct, frozen=True):
    """Events that have their positions: `positions` are those of the last record of each append."""

    events: Values
    positions: Sequence[int]
    heads: Mapping[str, int]


class Batch:
    """The rows of appends that go into one transaction, in the order of the tables' columns."""

    def __init__(self) -> None:
        self.appends: list[Append] = []
        self._chains: dict[tuple[str, str], _Chain] = {}

    def add(self, append: Append) -> None:
        """Adds an append.

        Raises:
            OutOfTurn: the run's lease cannot take one step for this one and those before.
        """
        key = append.namespace, append.run
        chain = self._chains.get(key)
        if chain is None:
            chain = self._chains[key] = _Chain(append)
        elif append.new is not None:
            raise OutOfTurn
        chain.extend(append)
        self.appends.append(append)

    def place(self, heads: Mapping[str, int]) -> Placed:
        """Rows of events; `heads` are the last positions of their namespaces before the batch."""
        heads = dict(heads)
        values: Values = []
        positions: list[int] = []
        for append in self.appends:
            namespace, run = append.namespace, self._chains[append.namespace, append.run].run
            before = heads[namespace] - append.after
            for sequence, kinds, principal, bodies in joined(append.records):
                position = before + sequence
                values += (namespace, run, sequence, position, kinds, principal, bodies)
            heads[namespace] = before + append.last
            positions.append(before + append.last)
        return Placed(values, positions, heads)

    @property
    def blobs(self) -> Values:
        """Rows of blobs."""
        values: Values = []
        for append in self.appends:
            for blob in append.blobs:
                values += (
                    append.namespace,
                    packed(append.run),
                    blob.digest,
                    blob.size,
                    blob.label,
                    blob.key_id,
                    blob.data,
                )
        return values

    @property
    def steps(self) -> Values:
        """Of every run that is not new: namespace, run, epoch, after, last, whether it ends."""
        values: Values = []
        for (namespace, _), chain in self._chains.items():
            if chain.new is None:
                values += (
                    namespace,
                    chain.run,
                    chain.epoch,
                    chain.after,
                    chain.last,
                    chain.has_ended,
                )
        return values

    @property
    def summaries(self) -> Values:
        """Of every run that is not new and has another head: namespace, run and the head."""
        values: Values = []
        for (namespace, _), chain in self._chains.items():
            if chain.new is None and (head := chain.head) is not None:
                values += (namespace, chain.run, head.status, head.at, head.ended_at, head.detail)
        return values

    @property
    def runs(self) -> Values:
        """Rows of new runs."""
        values: Values = []
        for (namespace, _), chain in self._chains.items():
            if (new := chain.new) is not None and (head := chain.head) is not None:
                values += (
                    namespace,
                    chain.run,
                    new.workflow,
                    new.version,
                    new.principal,
                    head.status,
                    new.created_at,
                    head.at,
                    head.ended_at,
                    msgspec.json.encode(new.labels).decode(),
                    head.detail,
                )
        return values

    @property
    def leases(self) -> Values:
        """Rows of the leases of new runs."""
        values: Values = []
        for (namespace, _), chain in self._chains.items():
            if (new := chain.new) is not None:
                owner, expires_at = new.owner, new.lease_expires_at
                held = (None, None) if chain.has_ended else (owner, expires_at)
                values += (namespace, chain.run, held[0], chain.epoch, held[1], chain.last)
        return values

    @property
    def requests(self) -> Values:
        """Rows of the request ids that began new runs."""
        values: Values = []
        for (namespace, _), chain in self._chains.items():
            if (new := chain.new) is not None and new.request_id is not None:
                values += (
                    namespace,
                    new.principal,
                    new.request_id,
                    chain.run,
                    new.request_digest,
                )
        return values
