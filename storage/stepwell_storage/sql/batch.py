"""Appends as the rows of one transaction. Pure: no database is asked."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from stepwell_storage.records import Append, Head, NewRun, Reopened
from stepwell_storage.sql.ids import packed
from stepwell_storage.sql.rows import joined

Values: TypeAlias = list[Any]
"""The values of many rows of one table, one after another: a list that needs no flattening."""


class OutOfTurn(Exception):
    """An append does not go on where the one before it in the batch left its run."""


class _Chain:
    """The appends of one run in a batch, each after the other: the lease takes one step for all."""

    __slots__ = ("after", "epoch", "goes_on", "head", "last", "new", "reopened", "run")

    def __init__(self, append: Append) -> None:
        self.run = packed(append.run)
        self.epoch = append.epoch
        self.after = append.after
        self.last = append.after
        self.new: NewRun | None = append.new
        self.reopened = append.reopened
        self.goes_on = append.new is None and append.reopened is None
        self.head: Head | None = None

    @property
    def has_ended(self) -> bool:
        return self.head is not None and self.head.ended_at is not None

    def held_by(self, whom: NewRun | Reopened) -> tuple[str | None, int | None]:
        """Owner and expiry of the lease that the run has after all of this."""
        return (None, None) if self.has_ended else (whom.owner, whom.lease_expires_at)

    def extend(self, append: Append) -> None:
        """Adds an append.

        Raises:
            OutOfTurn: it does not follow.
        """
        if append.after != self.last or append.epoch != self.epoch or self.has_ended:
            raise OutOfTurn
        self.last = append.last
        self.head = append.head or self.head
        self.epoch = append.then_epoch


class Placed(Struct, frozen=True):
    """Events that have their positions: `positions` are those of the last record of each append."""

    events: Values
    positions: Sequence[int]
    heads: Mapping[str, int]


def place(appends: Iterable[Append], heads: Mapping[str, int]) -> Placed:
    """Rows of events; `heads` are the last positions of their namespaces before these."""
    heads = dict(heads)
    values: Values = []
    positions: list[int] = []
    for append in appends:
        namespace, run = append.namespace, packed(append.run)
        before = heads[namespace] - append.after
        for sequence, kinds, principal, bodies in joined(append.records):
            position = before + sequence
            values += (namespace, run, sequence, position, kinds, principal, bodies)
        heads[namespace] = before + append.last
        positions.append(before + append.last)
    return Placed(values, positions, heads)


class Batch:
    """The rows of appends that go into one transaction, in the order of the tables' columns."""

    def __init__(self) -> None:
        self.appends: list[Append] = []
        self._open_keys: set[tuple[str, str]] = set()
        self._chains: dict[tuple[str, str], _Chain] = {}

    def add(self, append: Append) -> None:
        """Adds an append.

        Raises:
            OutOfTurn: the run's lease cannot take one step for this one and those before.
        """
        key = append.namespace, append.run
        chain = self._chains.get(key)
        if chain is not None and (append.new is not None or append.reopened is not None):
            raise OutOfTurn
        if append.new is not None and append.new.run_key is not None:
            self._open(append.namespace, append.new.run_key)
        if chain is None:
            chain = self._chains[key] = _Chain(append)
        chain.extend(append)
        self.appends.append(append)

    @property
    def run_count(self) -> int:
        """How many runs these are appends of."""
        return len(self._chains)

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
    def errands(self) -> list[Append]:
        """Appends with letters that go out or were taken."""
        return [it for it in self.appends if it.letters or it.taken]

    def _open(self, namespace: str, run_key: str) -> None:
        """Two runs with one key may be right, if the first one ends in time: one by one tells."""
        if (namespace, run_key) in self._open_keys:
            raise OutOfTurn
        self._open_keys.add((namespace, run_key))

    @property
    def steps(self) -> Values:
        """Of every run that goes on and does not end: namespace, run, epoch, after, last."""
        return self._steps(are_last=False)

    @property
    def ends(self) -> Values:
        """The same of every run that goes on and ends."""
        return self._steps(are_last=True)

    def _steps(self, *, are_last: bool) -> Values:
        values: Values = []
        for (namespace, _), chain in self._chains.items():
            if chain.goes_on and chain.has_ended is are_last:
                values += (namespace, chain.run, chain.epoch, chain.after, chain.last)
        return values

    @property
    def summaries(self) -> Values:
        """Of every run that goes on and has another head: namespace, run and the head."""
        values: Values = []
        for (namespace, _), chain in self._chains.items():
            if chain.goes_on and (head := chain.head) is not None:
                values += (namespace, chain.run, head.status, head.at, head.ended_at, head.detail)
        return values

    @property
    def reopenings(self) -> list[dict[str, Any]]:
        """Of every run that had ended: the values of what `errands.reopen` changes."""
        found = []
        for (namespace, _), chain in self._chains.items():
            if (reopened := chain.reopened) is not None and (head := chain.head) is not None:
                owner, expires_at = chain.held_by(reopened)
                lease = {"after_epoch": chain.epoch - 1, "after": chain.after, "last": chain.last}
                holder = {"holder": owner, "until": expires_at}
                shown = {"now": head.status, "since": head.at, "end": head.ended_at}
                of = {"in_namespace": namespace, "of": chain.run, "outcome": head.detail}
                found.append({**of, **lease, **holder, **shown})
        return found

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
                    new.run_key,
                    new.parent and packed(new.parent),
                    new.forked_from and packed(new.forked_from),
                )
        return values

    @property
    def labels(self) -> Values:
        """Rows of the labels of new runs."""
        values: Values = []
        for (namespace, _), chain in self._chains.items():
            if (new := chain.new) is not None and new.labels:
                for key, value in new.labels.items():
                    values += (namespace, chain.run, key, value, new.created_at)
        return values

    @property
    def leases(self) -> Values:
        """Rows of the leases of new runs."""
        values: Values = []
        for (namespace, _), chain in self._chains.items():
            if (new := chain.new) is not None:
                owner, expires_at = chain.held_by(new)
                values += (namespace, chain.run, owner, chain.epoch, expires_at, chain.last)
        return values

    @property
    def beginnings(self) -> Values:
        """Of every new run: its lease, and what it may not share: principal, request, run key."""
        values: Values = []
        for (namespace, _), chain in self._chains.items():
            if (new := chain.new) is not None:
                owner, expires_at = chain.held_by(new)
                values += (namespace, chain.run, owner, chain.epoch, expires_at, chain.last)
                values += (new.principal, new.request_id, new.run_key)
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
