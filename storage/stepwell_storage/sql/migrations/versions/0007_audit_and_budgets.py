"""What was done, in a chain, and what may be spent."""

import sqlalchemy as sa
from alembic import op

from stepwell_storage.sql.types import Text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds tables; `sql.tables` says what each is for."""
    _create_audit()
    _create_budgets()


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("action", Text, nullable=False),
        sa.Column("resource", Text, nullable=False),
        sa.Column("detail", Text, nullable=False),
        sa.Column("previous", Text, nullable=False),
        sa.Column("hash", Text, nullable=False),
    )
    op.create_table(
        "audit_heads",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("hash", Text, nullable=False),
        sa.Column("noted", sa.BigInteger, nullable=False),
    )


def _create_budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("scope", Text, primary_key=True),
        sa.Column("unit", Text, primary_key=True),
        sa.Column("amount", sa.BigInteger),
        sa.Column("principal", Text, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("run", sa.LargeBinary(16)),
    )
    is_of_run = sa.column("run").is_not(None)
    _create_index("budgets_shared", "budgets", ["namespace", "scope"], sa.column("run").is_(None))
    _create_index("budgets_of_run", "budgets", ["namespace", "run"], is_of_run)
    op.create_table(
        "amounts",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("account", Text, primary_key=True),
        sa.Column("unit", Text, primary_key=True),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("run", sa.LargeBinary(16)),
    )
    _create_index("amounts_of_run", "amounts", ["namespace", "run"], is_of_run)
    op.create_table(
        "reservations",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("run", sa.LargeBinary(16), primary_key=True),
        sa.Column("key", Text, primary_key=True),
        sa.Column("account", Text, primary_key=True),
        sa.Column("unit", Text, primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("reservations_over", "reservations", ["namespace", "expires_at"])
    op.create_table("budget_locks", sa.Column("namespace", Text, primary_key=True))


def _create_index(name: str, table: str, columns: list[str], where: sa.ColumnElement[bool]) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
