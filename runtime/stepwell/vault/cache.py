"""Data keys that were unwrapped, for a while: few at a time, and none for long."""

from collections import OrderedDict
from typing import Final

from msgspec import Struct

from stepwell.clock import Clock

MOST: Final = 4096
MOST_TIME: Final = 60_000_000
"""Microseconds. A key that another process destroys is forgotten here after this time."""


class DataKey(Struct, frozen=True, gc=False):
    """A data key as it is used; it is never stored like this."""

    id: str
    subject: str
    key: bytes

    def __repr__(self) -> str:
        return f"DataKey({self.id!r}, {self.subject!r})"


class KeyCache:
    """Finds keys by their ids and by their subjects."""

    def __init__(self, clock: Clock, *, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._by_id: OrderedDict[tuple[str, str], tuple[int, DataKey]] = OrderedDict()
        self._newest: dict[tuple[str, str], str] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, namespace: str, key: DataKey) -> None:
        """Keeps a key; the one that was used longest ago makes room."""
        self._drop(namespace, key.id)
        while len(self._by_id) >= self._most:
            self._drop(*next(iter(self._by_id)))
        self._by_id[namespace, key.id] = self._clock.now() + MOST_TIME, key
        self._newest[namespace, key.subject] = key.id

    def by_id(self, namespace: str, id: str) -> DataKey | None:
        """A key that is still known."""
        found = self._by_id.get((namespace, id))
        if found is None:
            return None
        until, key = found
        if until <= self._clock.now():
            self._drop(namespace, id)
            return None
        self._by_id.move_to_end((namespace, id))
        return key

    def by_subject(self, namespace: str, subject: str) -> DataKey | None:
        """The key with which something of this subject was encrypted last, if it is known."""
        id = self._newest.get((namespace, subject))
        return None if id is None else self.by_id(namespace, id)

    def forget(self, namespace: str, subject: str) -> None:
        """Drops every key of a subject."""
        ids = [
            id
            for (where, id), (_, key) in self._by_id.items()
            if where == namespace and key.subject == subject
        ]
        for id in ids:
            self._drop(namespace, id)

    def _drop(self, namespace: str, id: str) -> None:
        found = self._by_id.pop((namespace, id), None)
        if found is None:
            return
        _, key = found
        if self._newest.get((namespace, key.subject)) == id:
            del self._newest[namespace, key.subject]
