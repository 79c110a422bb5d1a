"""What was done, in a chain, and what may be spent."""

import sqlalchemy as sa
from alembic import op

from stepwell_storage.sql.types import Text

revision = "0007"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds tables; `sql.tables` says what each is for."""
    _create_audit()


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
