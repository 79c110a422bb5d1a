"""The list of what runs ask of people."""

import sqlalchemy as sa
from alembic import op

from stepwell_storage.sql.types import Text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the list. Older versions would make calls that are held, so they may not go on."""
    op.create_table(
        "approvals",
        sa.Column("namespace", Text, primary_key=True),
        sa.Column("id", Text, primary_key=True),
        sa.Column("run", sa.LargeBinary(16), nullable=False),
        sa.Column("step", Text, nullable=False),
        sa.Column("call", Text, nullable=False),
        sa.Column("about", Text, nullable=False),
        sa.Column("status", Text, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("subject", Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("decided_at", sa.BigInteger),
        sa.Column("decided_by", Text, nullable=False),
        sa.Column("detail", sa.LargeBinary, nullable=False),
    )
    op.create_index("approvals_newest", "approvals", ["namespace", "requested_at", "id"])
    columns = ["namespace", "status", "requested_at", "id"]
    op.create_index("approvals_by_status", "approvals", columns)
    op.create_index("approvals_by_run", "approvals", ["namespace", "run"])
    op.execute(sa.update(sa.table("meta", sa.column("readable_by"))).values(readable_by="0003"))
