"""Content that events name by its digest."""

from collections.abc import Sequence

import sqlalchemy as sa

from stepwell_storage.records import Blob
from stepwell_storage.sql.ids import packed_or_none
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.shares import shares
from stepwell_storage.sql.tables import blobs

_OF_DIGESTS = sa.select(
    blobs.c.digest, blobs.c.size, blobs.c.data, blobs.c.label, blobs.c.key_id
).where(
    blobs.c.namespace == sa.bindparam("namespace"),
    blobs.c.run == sa.bindparam("run"),
    blobs.c.digest.in_(sa.bindparam("digests", expanding=True)),
)


class SqlBlobs:
    """The blobs of runs."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def get(self, namespace: str, run: str, digests: Sequence[str]) -> dict[str, Blob]:
        found: dict[str, Blob] = {}
        for share in shares(digests):
            rows = await self._reader.rows(
                _OF_DIGESTS,
                namespace=namespace,
                run=packed_or_none(run),
                digests=share,
            )
            found.update((row[0], Blob(*row)) for row in rows)
        return found
