"""What is known of whoever bears an API key."""

import sqlalchemy as sa
from alembic import op

from stepwell_storage.sql.types import Text

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column; of the keys that there are, nothing is known."""
    op.add_column("api_keys", sa.Column("attributes", Text, nullable=False, server_default="{}"))
