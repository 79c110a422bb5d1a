"""The SQL that the owner of a database runs: no name in it becomes a statement."""

from stepwell.nldb.model import Table, catalog
from stepwell.nldb.postgres.hardening import hardening

HOSTILE = "a\nDROP TABLE orders; --"


def lines_that_run(sql: str) -> list[str]:
    """Without comments, and without what stands in names."""
    parts = "".join(sql.split('"')[::2])
    return [line for line in parts.splitlines() if not line.startswith("--")]


def test_a_name_with_a_line_break_ends_no_comment() -> None:
    tables = {name: Table(name=name, schema="public", columns=()) for name in (HOSTILE, "orders")}
    made = catalog(dialect="postgres", version="18", default_schema="public", tables=tables)

    sql = hardening(made, "shop")

    assert not any("DROP" in line for line in lines_that_run(sql))
    comments = [line for line in sql.splitlines() if line.startswith("--")]
    assert '-- ALTER TABLE "public"."orders" ENABLE ROW LEVEL SECURITY;' in comments
    assert not any(
        line.startswith("DROP") for line in sql.replace(f'"public"."{HOSTILE}"', "").splitlines()
    )
