"""Types of columns, the same in the tables and in every migration."""

from typing import Final

import sqlalchemy as sa

Text: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that sorts by code point everywhere.

PostgreSQL would sort as people of some country do, and differently after an update of its system,
which then no index on such text outlives.
"""
