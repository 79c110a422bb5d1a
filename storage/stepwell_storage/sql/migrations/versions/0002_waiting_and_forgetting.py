"""What runs need to wait for each other and for a place, to be found, and to be forgotten."""

import msgspec
import sqlalchemy as sa
from alembic import op

from stepwell_storage.sql.types import Text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SOME = 1000
"""Runs whose labels are copied at a time."""


def upgrade() -> None:
    """Adds to the tables; `sql.tables` says what each is for."""
    _extend_runs()
    _create_labels()
    _create_letters()
    _create_queues()
    _create_schedules()
    _create_retention()
    _create_keys()
    # What adds may be used by older versions; a row that says so must be there for them to read.
    op.add_column("meta", sa.Column("readable_by", Text, nullable=False, server_default="0002"))


def _create_index(
    name: str,
    table: str,
    columns: list[str],
    where: sa.ColumnElement[bool],
    *,
    unique: bool = False,
) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)


def _extend_runs() -> None:
    op.add_column("runs", sa.Column("run_key", Text))
    op.add_column("runs", sa.Column("parent", sa.LargeBinary(16)))
    op.add_column("runs", sa.Column("forked_from", sa.LargeBinary(16)))
    is_open = sa.and_(sa.column("run_key").is_not(None), sa.column("ended_at").is_(None))
    _create_index("runs_open_keys", "runs", ["namespace", "run_key"], is_open, unique=True)
    for name in ("run_key", "parent", "forked_from"):
        columns = ["namespace", name, "created_at", "run"]
        _create_index(f"runs_by_{name}", "runs", columns, sa.column(name).is_not(None))


def _create_labels() -> None:
    labels = op.create_table(
        "labels",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("run", sa.LargeBinary(16), primary_key=True),
        sa.Column("key", Text, primary_key=True),
        sa.Column("value", Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    columns = ["namespace", "key", "value", "created_at", "run"]
    op.create_index("labels_newest", "labels", columns)
    _copy_labels(labels)


def _copy_labels(labels: sa.Table) -> None:
    names = ("namespace", "run", "created_at", "labels")
    runs = sa.table("runs", *(sa.column(name) for name in names))
    labelled = sa.select(runs).where(runs.c.labels != "{}")
    found = op.get_bind().execute(labelled)
    while some := found.fetchmany(SOME):
        rows = [
            {"namespace": namespace, "run": run, "key": key, "value": value, "created_at": at}
            for namespace, run, at, text in some
            for key, value in msgspec.json.decode(text, type=dict[str, str]).items()
        ]
        op.bulk_insert(labels, rows)


def _create_letters() -> None:
    op.create_table(
        "letters",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("run", sa.LargeBinary(16), primary_key=True),
        sa.Column("id", Text, primary_key=True),
        sa.Column("kind", Text, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("letters_id", "letters", ["namespace", "id"], unique=True)
    op.create_index("letters_oldest", "letters", ["at", "namespace", "id"])
    is_parked = sa.and_(sa.column("owner").is_(None), sa.column("expires_at").is_not(None))
    _create_index("leases_parked", "leases", ["owner", "expires_at"], is_parked)


def _create_queues() -> None:
    op.create_table(
        "queues",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("name", Text, primary_key=True),
        sa.Column("concurrency", sa.BigInteger),
        sa.Column("rate", sa.BigInteger),
        sa.Column("per_us", sa.BigInteger),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "tickets",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("run", sa.LargeBinary(16), primary_key=True),
        sa.Column("step", Text, primary_key=True),
        sa.Column("queue", Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("admitted_at", sa.BigInteger),
    )
    line = ["namespace", "queue", "at", "run", "step"]
    _create_index("tickets_waiting", "tickets", line, sa.column("admitted_at").is_(None))
    inside = sa.column("admitted_at").is_not(None)
    _create_index("tickets_admitted", "tickets", ["namespace", "queue"], inside)
    op.create_table(
        "admissions",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("queue", Text, primary_key=True),
        sa.Column("at", sa.BigInteger, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )


def _create_schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("name", Text, primary_key=True),
        sa.Column("spec", sa.LargeBinary, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("next_at", sa.BigInteger),
        sa.Column("last_at", sa.BigInteger),
        sa.Column("last_run", sa.LargeBinary(16)),
        sa.Column("paused", sa.Boolean, nullable=False),
    )
    will_fire = sa.and_(sa.column("next_at").is_not(None), sa.column("paused").is_(False))
    _create_index("schedules_due", "schedules", ["next_at", "namespace", "name"], will_fire)


def _create_retention() -> None:
    op.create_table(
        "retention",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("keep_us", sa.BigInteger, nullable=False),
    )
    columns = ["namespace", "ended_at", "run"]
    _create_index("runs_ended", "runs", columns, sa.column("ended_at").is_not(None))
    op.create_index("requests_by_run", "requests", ["namespace", "run"])


def _create_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("id", Text, primary_key=True),
        sa.Column("subject", Text, nullable=False),
        sa.Column("ring", Text, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("destroyed_at", sa.BigInteger),
    )
    op.create_index("keys_by_subject", "keys", ["namespace", "subject"])
    in_use = sa.column("destroyed_at").is_(None)
    _create_index("keys_in_use", "keys", ["namespace", "subject"], in_use, unique=True)
    _create_index("keys_by_ring", "keys", ["ring", "namespace", "id"], in_use)
