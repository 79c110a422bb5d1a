"""What may be done, by version, and which version is in force."""

import sqlalchemy as sa
from alembic import op

from stepwell_storage.sql.types import Text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the policies. Older versions would not obey them, so they may not go on."""
    op.create_table(
        "policies",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("version", Text, primary_key=True),
        sa.Column("source", sa.LargeBinary, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "policy_heads",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("version", Text, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("applied_at", sa.BigInteger, nullable=False),
    )
    op.execute(sa.update(sa.table("meta", sa.column("readable_by"))).values(readable_by="0004"))
