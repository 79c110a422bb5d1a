"""The rows of our table in a datasource that say which previews were applied.

They are written in the transaction of the change itself: whoever finds a row there knows that the
change is made, and whoever finds none knows that it is not.
"""

import msgspec

from stepwell.engine.values import Json
from stepwell.nldb.applied_table import full_name
from stepwell.nldb.model import APPLIED
from stepwell.nldb.writes.ask import Ask
from stepwell.nldb.writes.job import Applied, Row


def find(dialect: str, schema: str, key: str, preview: str) -> Ask:
    """Asks for the row of a call, or of a preview that another call has applied."""
    first, second = ("$1", "$2") if dialect == "postgres" else ("?1", "?2")
    return Ask(
        f"SELECT key, preview, applied_at, done FROM {full_name(schema)} "  # noqa: S608
        f"WHERE key = {first} OR preview = {second}",
        (key, preview),
    )


def exists(dialect: str, schema: str) -> Ask:
    """Asks whether the table is there: a row if it is."""
    if dialect == "postgres":
        return Ask(
            "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
            "ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
            (schema, APPLIED),
        )
    return Ask("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", (APPLIED,))


def put(dialect: str, schema: str, applied: Applied) -> Ask:
    """Says that a preview is applied."""
    places = ["$1", "$2", "$3", "$4"] if dialect == "postgres" else ["?1", "?2", "?3", "?4"]
    done = msgspec.json.encode([applied.keys, applied.state]).decode()
    return Ask(
        f"INSERT INTO {full_name(schema)} (key, preview, applied_at, done) "  # noqa: S608
        f"VALUES ({', '.join(places)})",
        (applied.key, applied.preview, applied.at, done),
    )


def read(row: list[Json]) -> Applied:
    """A row that `find` has found."""
    key, preview, at, done = (str(cell) for cell in row)
    keys, state = msgspec.json.decode(done, type=tuple[list[Row], str])
    return Applied(key=key, preview=preview, at=at, keys=keys, state=state)
