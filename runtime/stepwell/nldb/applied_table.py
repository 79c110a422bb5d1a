"""The table of ours in a datasource in which changes are noted: its name, and who makes it."""

from stepwell.nldb.model import APPLIED
from stepwell.quoting import quoted


def create_sql(schema: str) -> str:
    """What makes it, for whoever may."""
    return (
        f"CREATE TABLE IF NOT EXISTS {full_name(schema)} (key TEXT PRIMARY KEY, "
        "preview TEXT NOT NULL UNIQUE, applied_at TEXT NOT NULL, done TEXT NOT NULL)"
    )


def grant_sql(schema: str, role: str) -> str:
    """What lets a login of PostgreSQL use it that may not make it."""
    return f"GRANT SELECT, INSERT ON {full_name(schema)} TO {quoted(role)}"


def full_name(schema: str) -> str:
    """The table with its schema, quoted."""
    return f"{quoted(schema)}.{quoted(APPLIED)}"
