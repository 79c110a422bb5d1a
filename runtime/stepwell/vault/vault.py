"""The data keys of runs and of subjects: made, found, wrapped anew and destroyed.

A run has a data key of its own, unless it has the label that says whose data it holds: then it
uses that subject's, over all of their runs. A key that is destroyed stays as an empty row, so that
everybody can tell data that was erased from data that is damaged.
"""

import asyncio
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from stepwell.clock import Clock, IdSource
from stepwell.errors import KeyDestroyed
from stepwell.vault.boxes import KEY_BYTES
from stepwell.vault.cache import DataKey, KeyCache
from stepwell.vault.ring import KeyRing, WrongRing, missing
from stepwell.vault.sealer import Sealer, derived
from stepwell_storage.ports import Keys
from stepwell_storage.records import Blob, KeyRow, RingUse

OF_RUN: Final = "run:"
OF_SUBJECT: Final = "subject:"
"""What the owner of a key begins with, so that no label of a run names the key of another."""

_LOCKED: Final = b"\x00"
"""What a locked letter begins with, and no JSON does; the id of its key ends with it too."""

BATCH: Final = 500
"""Keys that are wrapped anew at a time."""


class Rotation(Struct, frozen=True):
    """What became of the keys that the active key of the ring did not wrap."""

    wrapped: int
    lost: int
    """Those that a lost key wraps: they stay as they are, and open nothing."""


class Vault:
    """Has the key at hand for whatever is written or read."""

    def __init__(
        self, keys: Keys, ring: KeyRing, *, subject_label: str, clock: Clock, ids: IdSource
    ) -> None:
        self._keys = keys
        self.ring = ring
        self.subject_label = subject_label
        self._clock = clock
        self._ids = ids
        self._known = KeyCache(clock)

    @property
    def is_on(self) -> bool:
        """Whether what is written is encrypted."""
        return bool(self.ring.active)

    def subject_of(self, labels: Mapping[str, str]) -> str:
        """Whose data a run holds, as its labels say; "" when they do not."""
        return labels.get(self.subject_label, "") if self.is_on and self.subject_label else ""

    def inherited(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The labels that go on to whatever a run begins, so that it stays under the same key."""
        subject = self.subject_of(labels)
        return {self.subject_label: subject} if subject else {}

    async def sealer(self, namespace: str, run: str, labels: Mapping[str, str]) -> Sealer | None:
        """What encrypts what a run writes; None where nothing is encrypted.

        Raises:
            WrongRing: the ring lacks the key that wraps this run's.
        """
        if not self.is_on:
            return None
        subject = self.subject_of(labels)
        key = await self._key_of(namespace, OF_SUBJECT + subject if subject else OF_RUN + run)
        return Sealer(key.id, key.key, namespace=namespace, run=run, everything=bool(subject))

    async def opened(self, namespace: str, run: str, blobs: Mapping[str, Blob]) -> dict[str, Blob]:
        """The blobs of a run as if they had never been encrypted.

        Raises:
            KeyDestroyed: the key of one has been destroyed.
            DataDamaged: one is not what was written.
            WrongRing: the ring lacks a key.
        """
        ids = {blob.key_id for blob in blobs.values() if blob.key_id}
        keys = await self._of_ids(namespace, ids)
        sealers = {
            id: Sealer(id, key.key, namespace=namespace, run=run) for id, key in keys.items()
        }
        return {
            digest: sealers[blob.key_id].open(blob) if blob.key_id else blob
            for digest, blob in blobs.items()
        }

    async def lock_letter(
        self, namespace: str, run: str, labels: Mapping[str, str], id: str, body: bytes
    ) -> bytes:
        """The body of a letter to a run, as the store may have it.

        Raises:
            WrongRing: as `sealer`.
        """
        sealer = await self.sealer(namespace, run, labels)
        if sealer is None:
            return body
        return b"".join((_LOCKED, sealer.key_id.encode(), _LOCKED, sealer.lock_letter(id, body)))

    async def open_letter(self, namespace: str, run: str, id: str, body: bytes) -> bytes:
        """What a letter says, whether it was locked or not.

        Raises:
            KeyDestroyed, DataDamaged, WrongRing: as `opened`.
        """
        if not body.startswith(_LOCKED):
            return body
        _, key_id, box = body.split(_LOCKED, 2)
        keys = await self._of_ids(namespace, [key_id.decode()])
        [key] = keys.values()
        return Sealer(key.id, key.key, namespace=namespace, run=run).open_letter(id, box)

    async def blinded(self, namespace: str, labels: Mapping[str, str], digest: str) -> str:
        """A digest of a subject's data, as the store may have it: nobody can guess from it.

        It is the same again for as long as the subject's key is.
        """
        subject = self.subject_of(labels)
        if not subject:
            return digest
        key = await self._key_of(namespace, OF_SUBJECT + subject)
        return hmac.new(
            derived(key.key, "digest", namespace), digest.encode(), "sha256"
        ).hexdigest()

    # --- administration -------------------------------------------------------------------

    async def check(self) -> list[RingUse]:
        """Which keys of the ring are in use, each tried on a data key that it wraps.

        Raises:
            WrongRing: one is not there, or is not the one that it was.
        """
        uses = await self._keys.rings()
        for use in uses:
            if not self.ring.has(use.ring):
                raise WrongRing(missing(use.ring))
            if use.ring not in self.ring.lost:
                self._unwrapped(use.namespace, use.sample)
        return uses

    async def rotate(self) -> Rotation:
        """Wraps every data key with the active key of the ring; the data stays as it is.

        Raises:
            WrongRing: the ring lacks a key that wraps some of them.
        """
        done, lost = 0, 0
        while True:
            # What is lost comes back with every look, as it stays as it is.
            found = await self._keys.not_wrapped_with(self.ring.active, limit=lost + BATCH)
            to_do = [it for it in found if it[1].ring not in self.ring.lost]
            lost = len(found) - len(to_do)
            if not to_do:
                return Rotation(done, lost)
            wrapped = await asyncio.gather(*(self._wrap_anew(*it) for it in to_do))
            done += sum(wrapped)

    async def destroy(self, namespace: str, subject: str) -> int:
        """Destroys the keys of a subject (`OF_RUN` or `OF_SUBJECT` and a name); tells how many."""
        destroyed = await self._keys.destroy(namespace, subject, now=self._clock.now())
        self._known.forget(namespace, subject)
        return destroyed

    # --- inside ---------------------------------------------------------------------------

    async def _key_of(self, namespace: str, subject: str) -> DataKey:
        """The key for what is written from now on."""
        known = self._known.by_subject(namespace, subject)
        if known is not None:
            return known
        row = await self._keys.of_subject(namespace, subject)
        if row is None:
            row = await self._keys.add(namespace, self._new(namespace, subject))
        return self._learned(namespace, row)

    def _new(self, namespace: str, subject: str) -> KeyRow:
        id, key = self._ids.new_id(), secrets.token_bytes(KEY_BYTES)
        wrapped = self.ring.wrap(key, namespace=namespace, id=id, subject=subject)
        return KeyRow(id, subject, self.ring.active, wrapped, self._clock.now())

    async def _of_ids(self, namespace: str, ids: Iterable[str]) -> dict[str, DataKey]:
        keys = {id: self._known.by_id(namespace, id) for id in ids}
        unknown = [id for id, key in keys.items() if key is None]
        if unknown:
            rows = await self._keys.get(namespace, unknown)
            for id in unknown:
                keys[id] = self._learned(namespace, _alive(id, rows.get(id)))
        return {id: key for id, key in keys.items() if key is not None}

    def _learned(self, namespace: str, row: KeyRow) -> DataKey:
        key = DataKey(row.id, row.subject, self._unwrapped(namespace, row))
        self._known.add(namespace, key)
        return key

    async def _wrap_anew(self, namespace: str, row: KeyRow) -> bool:
        key = self._unwrapped(namespace, row)
        wrapped = self.ring.wrap(key, namespace=namespace, id=row.id, subject=row.subject)
        return await self._keys.rewrap(
            namespace, replace(row, ring=self.ring.active, wrapped=wrapped)
        )

    def _unwrapped(self, namespace: str, row: KeyRow) -> bytes:
        return self.ring.unwrap(
            row.wrapped, ring=row.ring, namespace=namespace, id=row.id, subject=row.subject
        )


def _alive(id: str, row: KeyRow | None) -> KeyRow:
    if row is None:
        raise KeyDestroyed(f"the data was erased: its key {id} is not in the database any more")
    if row.destroyed_at is not None:
        kind, _, name = row.subject.partition(":")
        raise KeyDestroyed(
            f"the data was erased: the key of the {kind} {name} has been destroyed",
            detail={"subject": row.subject},
        )
    return row
