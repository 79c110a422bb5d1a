"""Appends as the rows of one transaction. Pure: no database is asked."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from stepwell_storage.records import Append, NewRun, Reopened
from stepwell_storage.sql.ids import packed
from stepwell_storage.sql.rows import joined

Values: TypeAlias = list[Any]
"""The values of many rows of one table, one after another: a list that needs no flattening."""


class OutOfTurn(Exception):
    """An append does not go on where the one before it in the batch left its run."""


class _Chain:
    """The appends of one run in a batch, each after the other: the lease takes one step for all."""

    __slots__ = ("epoch", "first", "head", "last", "run")

    def __init__(self, first: Append) -> None:
        self.run = packed(first.run)
        self.first = first
        self.last = first.last
        self.epoch = first.then_epoch
        self.head = first.head

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
        if append.new is not None or append.reopened is not None or self.has_ended:
            raise OutOfTurn
        if append.after != self.last or append.epoch != self.epoch:
            raise OutOfTurn
        self.last = append.last
        self.head = append.head or self.head


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
        self._going: list[_Chain] = []
        self._new: list[tuple[_Chain, NewRun]] = []
        self._reopened: list[tuple[_Chain, Reopened]] = []

    def add(self, append: Append) -> None:
        """Adds an append.

        Raises:
            OutOfTurn: the run's lease cannot take one step for this one and those before.
        """
        key = append.namespace, append.run
        chain = self._chains.get(key)
        if chain is None:
            self._chains[key] = self._begin(append)
        else:
            chain.extend(append)
        self.appends.append(append)

    def _begin(self, append: Append) -> _Chain:
        new = append.new
        if new is not None and new.run_key is not None:
            self._open(append.namespace, new.run_key)
        chain = _Chain(append)
        if new is not None:
            self._new.append((chain, new))
        elif append.reopened is not None:
            self._reopened.append((chain, append.reopened))
        else:
            self._going.append(chain)
        return chain

    def _open(self, namespace: str, run_key: str) -> None:
        """Two runs with one key may be right, if the first one ends in time: one by one tells."""
        if (namespace, run_key) in self._open_keys:
            raise OutOfTurn
        self._open_keys.add((namespace, run_key))

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
        """Appends with letters that go out or were taken, with what a person is asked, or what was spent."""
        return [it for it in self.appends if _has_errands(it)]

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
        for chain in self._going:
            if chain.has_ended is are_last:
                first = chain.first
                values += (first.namespace, chain.run, chain.epoch, first.after, chain.last)
        return values

    @property
    def summaries(self) -> Values:
        """Of every run that goes on and has another head: namespace, run and the head."""
        values: Values = []
        for chain in self._going:
            if (head := chain.head) is not None:
                values += (chain.first.namespace, chain.run)
                values += (head.status, head.at, head.ended_at, head.detail)
        return values

    @property
    def reopenings(self) -> list[dict[str, Any]]:
        """Of every run that had ended: the values of what `errands.reopen` changes."""
        found = []
        for chain, reopened in self._reopened:
            first, head = chain.first, chain.head
            assert head is not None, "a run that is reopened has a head"
            owner, expires_at = chain.held_by(reopened)
            lease = {"after_epoch": chain.epoch - 1, "after": first.after, "last": chain.last}
            holder = {"holder": owner, "until": expires_at}
            shown = {"now": head.status, "since": head.at, "end": head.ended_at}
            of = {"in_namespace": first.namespace, "of": chain.run, "outcome": head.detail}
            found.append({**of, **lease, **holder, **shown})
        return found

    @property
    def runs(self) -> Values:
        """Rows of new runs."""
        values: Values = []
        for chain, new in self._new:
            head = chain.head
            assert head is not None, "a new run has a head"
            values += (
                chain.first.namespace,
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
        for chain, new in self._new:
            for key, value in new.labels.items():
                values += (chain.first.namespace, chain.run, key, value, new.created_at)
        return values

    @property
    def leases(self) -> Values:
        """Rows of the leases of new runs."""
        return [value for chain, new in self._new for value in _lease(chain, new)]

    @property
    def beginnings(self) -> Values:
        """Of every new run: its lease, and what it may not share: principal, request, run key."""
        values: Values = []
        for chain, new in self._new:
            values += (*_lease(chain, new), new.principal, new.request_id, new.run_key)
        return values

    @property
    def requests(self) -> Values:
        """Rows of the request ids that began new runs."""
        values: Values = []
        for chain, new in self._new:
            if new.request_id is not None:
                values += (chain.first.namespace, new.principal, new.request_id)
                values += (chain.run, new.request_digest)
        return values


def _lease(chain: _Chain, new: NewRun) -> tuple[Any, ...]:
    owner, expires_at = chain.held_by(new)
    return chain.first.namespace, chain.run, owner, chain.epoch, expires_at, chain.last


def _has_errands(it: Append) -> bool:
    is_told = it.letters or it.taken or it.approvals or it.withdraws is not None
    return bool(is_told or it.spent or it.frees or it.budgets)
