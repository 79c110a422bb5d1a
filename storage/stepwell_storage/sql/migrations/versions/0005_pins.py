"""What tools of others said of themselves when they were pinned."""

import sqlalchemy as sa
from alembic import op

from stepwell_storage.sql.types import Text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table; `sql.tables` says what it is for."""
    op.create_table(
        "pins",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("tool", Text, primary_key=True),
        sa.Column("source", Text, nullable=False),
        sa.Column("definition", Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("pinned_at", sa.BigInteger, nullable=False),
    )
