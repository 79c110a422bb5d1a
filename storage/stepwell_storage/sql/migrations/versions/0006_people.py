"""Keys that callers show, and what people prove with that it is they."""

import sqlalchemy as sa
from alembic import op

from stepwell_storage.sql.types import Text

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the tables; `sql.tables` says what each is for."""
    op.create_table(
        "api_keys",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("id", Text, primary_key=True),
        sa.Column("subject", Text, nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("created_by", Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("is_vouched", sa.Boolean, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("used_at", sa.BigInteger),
    )
    op.create_index("api_keys_id", "api_keys", ["id"], unique=True)
    is_waiting = sa.column("status") == sa.literal_column("'waiting'")
    op.create_index(
        "approvals_waiting",
        "approvals",
        ["requested_at", "id"],
        sqlite_where=is_waiting,
        postgresql_where=is_waiting,
    )
    op.create_table(
        "factors",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("id", Text, primary_key=True),
        sa.Column("principal", Text, nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("label", Text, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
    )
    op.create_table(
        "factor_tokens",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("token", Text, primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("spent_by", Text, nullable=False),
    )
    op.create_table(
        "factor_attempts",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("principal", Text, primary_key=True),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
