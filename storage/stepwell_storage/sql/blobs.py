"""Content that events name by its digest."""

from collections.abc import Sequence

import sqlalchemy as sa

from stepwell_storage.records import Blob
from stepwell_storage.sql.ids import packed_or_none
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.tables import blobs

MOST_DIGESTS = 500
"""In one question; databases limit how many values a statement may have."""

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
        for start in range(0, len(digests), MOST_DIGESTS):
            rows = await self._reader.rows(
                _OF_DIGESTS,
                namespace=namespace,
                run=packed_or_none(run),
                digests=list(digests[start : start + MOST_DIGESTS]),
            )
            found.update((row[0], Blob(*row)) for row in rows)
        return found
