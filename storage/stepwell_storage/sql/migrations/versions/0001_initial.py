"""Everything that the engine promises, from the start: tenants, fences, positions, key ids."""

import secrets

import sqlalchemy as sa
from alembic import op

from stepwell.clock import SystemClock
from stepwell_storage.sql.types import Text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables; `sql.tables` says what each is for."""
    _create_log()
    _create_runs()
    _create_definitions()
    _create_meta()


def _create_log() -> None:
    op.create_table(
        "events",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("run", sa.LargeBinary(16), primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("events_position", "events", ["namespace", "position"], unique=True)
    op.create_table(
        "log_heads",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "blobs",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("run", sa.LargeBinary(16), primary_key=True),
        sa.Column("digest", Text, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("label", Text, nullable=False),
        sa.Column("key_id", Text, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("run", sa.LargeBinary(16), primary_key=True),
        sa.Column("workflow", Text, nullable=False),
        sa.Column("version", Text, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("status", Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("labels", Text, nullable=False),
        sa.Column("detail", sa.LargeBinary, nullable=False),
    )
    op.create_index("runs_newest", "runs", ["namespace", "created_at", "run"])
    op.create_index("runs_by_status", "runs", ["namespace", "status", "created_at", "run"])
    op.create_index("runs_by_workflow", "runs", ["namespace", "workflow", "created_at", "run"])
    op.create_table(
        "leases",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("run", sa.LargeBinary(16), primary_key=True),
        sa.Column("owner", Text),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
        postgresql_with={"fillfactor": 50},
    )
    for name, column in (("leases_live", "expires_at"), ("leases_held", "owner")):
        is_set = sa.column(column).is_not(None)
        op.create_index(name, "leases", [column], sqlite_where=is_set, postgresql_where=is_set)
    op.create_table(
        "requests",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("principal", Text, primary_key=True),
        sa.Column("request_id", Text, primary_key=True),
        sa.Column("run", sa.LargeBinary(16), nullable=False),
        sa.Column("digest", Text, nullable=False),
        sqlite_with_rowid=False,
    )


def _create_definitions() -> None:
    op.create_table(
        "definitions",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("name", Text, primary_key=True),
        sa.Column("version", Text, primary_key=True),
        sa.Column("source", sa.LargeBinary, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "definition_heads",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("name", Text, primary_key=True),
        sa.Column("version", Text, nullable=False),
    )
    op.create_table(
        "datasources",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("name", Text, primary_key=True),
        sa.Column("url", Text, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )


def _create_meta() -> None:
    meta = op.create_table(
        "meta",
        sa.Column("store", Text, primary_key=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(meta, [{"store": secrets.token_hex(16), "created_at": SystemClock().now()}])
