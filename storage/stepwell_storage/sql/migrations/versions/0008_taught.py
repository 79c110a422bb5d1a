"""What people teach a datasource."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column; `sql.tables` says what it is for."""
    op.add_column("datasources", sa.Column("taught", sa.LargeBinary))
