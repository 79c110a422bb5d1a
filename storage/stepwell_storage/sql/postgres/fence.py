"""What appends ask of PostgreSQL: a few statements for all of them, each row on its own.

`STEP`, `END` and `BEGIN` are the fence. Of the rows that they are given they carry out those that may be,
and tell which: a writer that has lost its run is refused by the database itself, and its neighbours
do not notice. All of this runs under the locks of the namespaces (`lock_keys`): a position can be
read in the order of positions only if it is given and committed before the next one is given.
"""

from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from stepwell_storage.sql.postgres.dialect import Request
from stepwell_storage.sql.postgres.rows import given
from stepwell_storage.sql.tables import leases, log_heads, requests, runs


def _step(*, ends: bool) -> sa.Update:
    """Leases go on from where their writer believes they are, or not at all.

    Of a run that goes on nothing is changed that an index has: the row can stay on its page.
    """
    rows = given(
        leases.c.namespace,
        leases.c.run,
        leases.c.epoch,
        sa.column("after", sa.BigInteger),
        sa.column("last", sa.BigInteger),
    ).c
    changed = {"owner": sa.null(), "expires_at": sa.null()} if ends else {}
    return (
        sa.update(leases)
        .where(
            leases.c.namespace == rows.namespace,
            leases.c.run == rows.run,
            leases.c.epoch == rows.epoch,
            leases.c.sequence == rows.after,
            leases.c.owner.is_not(None),
        )
        .values(sequence=rows.last, **changed)
        .returning(leases.c.namespace, leases.c.run)
    )


def _begin() -> Any:
    """First leases of runs, but not where the run is there, or its request, or its key in use."""
    rows = given(*leases.c, requests.c.principal, requests.c.request_id, runs.c.run_key).c
    is_repeated = sa.exists().where(
        requests.c.namespace == rows.namespace,
        requests.c.principal == rows.principal,
        requests.c.request_id == rows.request_id,
    )
    is_key_taken = sa.exists().where(
        runs.c.namespace == rows.namespace,
        runs.c.run_key == rows.run_key,
        runs.c.ended_at.is_(None),
    )
    lease = [rows[column.name] for column in leases.c]
    return (
        postgresql.insert(leases)
        .from_select(leases.c.keys(), sa.select(*lease).where(~is_repeated, ~is_key_taken))
        .on_conflict_do_nothing()
        .returning(leases.c.namespace, leases.c.run)
    )


def _advance() -> postgresql.Insert:
    rows = given(*log_heads.c).c
    insertion = postgresql.insert(log_heads).from_select(log_heads.c.keys(), sa.select(*rows))
    return insertion.on_conflict_do_update(
        index_elements=[log_heads.c.namespace],
        set_={"position": insertion.excluded.position},
    )


def _summarise() -> sa.Update:
    rows = given(
        runs.c.namespace,
        runs.c.run,
        runs.c.status,
        runs.c.updated_at,
        runs.c.ended_at,
        runs.c.detail,
    ).c
    return (
        sa.update(runs)
        .where(runs.c.namespace == rows.namespace, runs.c.run == rows.run)
        .values(
            status=rows.status,
            updated_at=rows.updated_at,
            ended_at=rows.ended_at,
            detail=rows.detail,
        )
    )


STEP: Final = _step(ends=False)
END: Final = _step(ends=True)
BEGIN: Final = _begin()
ADVANCE: Final = _advance()
SUMMARISE: Final = _summarise()
HEADS: Final = sa.select(log_heads.c.namespace, log_heads.c.position).where(
    log_heads.c.namespace.in_(sa.bindparam("namespaces", expanding=True))
)
CHANNEL: Final = "stepwell"
"""Where commits are told of."""


def lock_keys(namespaces: set[str]) -> list[int]:
    """The locks of these namespaces, in the order in which everybody takes them."""
    return sorted({_key(namespace) for namespace in namespaces})


@lru_cache(maxsize=1024)
def _key(namespace: str) -> int:
    digest = blake2b(namespace.encode(), digest_size=8, person=b"stepwell").digest()
    return int.from_bytes(digest, "big", signed=True)


RING: Final[Request] = b"SELECT pg_notify(%b, '')", [CHANNEL]
"""Tells those who listen, once it is committed, to look for letters and for runs to claim."""


def telling(namespace: str, position: int) -> Request:
    """Tells those who listen, once it is committed, how far a log goes."""
    return b"SELECT pg_notify(%b, %b)", [CHANNEL, f"{position} {namespace}"]
