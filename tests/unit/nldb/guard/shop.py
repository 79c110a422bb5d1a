"""A small shop in both dialects: all of it, and what one policy leaves of it.

What is hidden, masked or filtered holds the word CANARY, or a number that stands nowhere else, so
that a leak is seen wherever it comes out.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from stepwell.nldb.model import (
    Access,
    Catalog,
    Column,
    Dialect,
    ForeignKey,
    Kind,
    Mask,
    Table,
    TableAccess,
    catalog,
)

CANARY = "CANARY"
CANARY_NUMBERS = (777001, 777002, 777003, 777004, 777005)

KINDS: dict[str, Kind] = {
    "integer": "integer",
    "numeric(10,2)": "decimal",
    "double precision": "float",
    "text": "text",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "jsonb": "json",
}

COLUMNS: dict[str, dict[str, str]] = {
    "customers": {
        "id": "integer",
        "name": "text",
        "email": "text",
        "ssn": "text",
        "city": "text",
        "vip": "boolean",
        "joined": "date",
        "score": "double precision",
        "notes": "text",
        "tenant_id": "integer",
    },
    "orders": {
        "id": "integer",
        "customer_id": "integer",
        "status": "text",
        "total": "numeric(10,2)",
        "placed_at": "timestamp",
        "data": "jsonb",
        "tenant_id": "integer",
    },
    "order_items": {
        "order_id": "integer",
        "product_id": "integer",
        "quantity": "integer",
        "price": "numeric(10,2)",
    },
    "products": {
        "id": "integer",
        "name": "text",
        "category": "text",
        "price": "numeric(10,2)",
        "tags": "jsonb",
        "weight": "double precision",
    },
    "employees": {
        "id": "integer",
        "name": "text",
        "manager_id": "integer",
        "salary": "integer",
        "phone": "text",
    },
    "secrets": {"id": "integer", "value": "text"},
    "customers_archive": {"id": "integer", "name": "text", "ssn": "text"},
}
KEYS: dict[str, tuple[str, ...]] = {
    "customers": ("id",),
    "orders": ("id",),
    "order_items": ("order_id", "product_id"),
    "products": ("id",),
    "employees": ("id",),
    "secrets": ("id",),
}
FOREIGN: dict[str, tuple[ForeignKey, ...]] = {
    "orders": (ForeignKey(columns=("customer_id",), table="customers", referred=("id",)),),
    "order_items": (
        ForeignKey(columns=("order_id",), table="orders", referred=("id",)),
        ForeignKey(columns=("product_id",), table="products", referred=("id",)),
    ),
}
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "customers": [
        (1, "Ada", "ada@example.org", "CANARY-ssn-1", "London", True, "2023-01-05", 9.5, "CANARY-n1", 1),
        (2, "Bo", "bo@example.org", "CANARY-ssn-2", "Oslo", False, "2023-02-10", 4.25, "CANARY-n2", 1),
        (3, "Cleo", None, "CANARY-ssn-3", "London", True, "2023-02-28", None, "CANARY-n3", 1),
        (4, "Dan", "dan@example.org", None, None, None, "2024-03-01", 7.0, None, 1),
        (5, "Eve's", "eve@example.org", "CANARY-ssn-5", "Paris", False, None, 1.5, "CANARY-n5", 1),
        (6, "CANARY-Zed", "CANARY-z@example.org", "CANARY-ssn-6", "CANARY-Rome", True, "2022-01-01", 777001.0, "CANARY-n6", 2),
        (7, "CANARY-Yan", "CANARY-y@example.org", "CANARY-ssn-7", "CANARY-Bern", False, "2022-05-05", 777002.0, "CANARY-n7", 2),
    ],
    "orders": [
        (10, 1, "paid", "120.50", "2024-01-05 10:00:00", '{"channel": "web", "lines": [1, 2], "gift": {"wrap": true}}', 1),
        (11, 1, "refunded", "20.00", "2024-01-20 12:30:00", '{"channel": "shop", "lines": []}', 1),
        (12, 2, "paid", "75.25", "2024-02-11 08:15:00", None, 1),
        (13, 3, "open", "310.00", "2024-02-29 23:59:59", '{"channel": "web", "lines": [3]}', 1),
        (14, 4, "paid", "5.00", "2024-03-15 00:00:00", '{"channel": "phone"}', 1),
        (15, 1, "open", "42.42", "2024-03-31 18:00:00", '{"channel": "web", "a.b": "dotted"}', 1),
        (16, 6, "CANARY-paid", "777003.00", "2020-01-01 00:00:00", '{"channel": "CANARY-web"}', 2),
    ],
    "order_items": [
        (10, 100, 2, "30.00"),
        (10, 101, 1, "60.50"),
        (11, 102, 4, "5.00"),
        (12, 100, 1, "30.00"),
        (12, 103, 3, "15.00"),
        (13, 101, 5, "62.00"),
        (14, 102, 1, "5.00"),
        (15, 104, 1, "42.42"),
    ],
    "products": [
        (100, "Lamp", "home", "30.00", '["light", "desk"]', 1.25),
        (101, "Chair", "home", "60.50", '["wood"]', 7.5),
        (102, "Mug", "kitchen", "5.00", '[]', 0.4),
        (103, "Pan", "kitchen", "15.00", '["steel", "sale"]', 2.0),
        (104, "Book_100%", "media", "42.42", None, None),
    ],
    "employees": [
        (1, "Root", None, 777004, "+47 1"),
        (2, "Mid", 1, 777005, "+47 2"),
        (3, "Leaf", 2, 777005, "+47 3"),
        (4, "Twig", 2, 777004, None),
    ],
    "secrets": [(1, "CANARY-secret")],
    "customers_archive": [(1, "CANARY-old", "CANARY-ssn-old")],
}  # fmt: skip

OTHERWISE: dict[str, list[tuple[Any, ...]]] = {
    **ROWS,
    "customers": [
        *((*row[:3], row[3] and "CANARY-else", *row[4:8], "CANARY-n", 1) for row in ROWS["customers"][:5]),
        (60, "CANARY-Bob", None, None, None, False, None, 0.0, None, 2),
        (61, "777001", "x", "CANARY-ssn-8", "London", True, "1999-01-01", -5.0, None, 2),
    ],
    "orders": [*ROWS["orders"][:6], (70, 1, "777002", "0.00", None, "[1]", 2)],
    "employees": [(*row[:3], 777001, row[4] and "+47 9") for row in ROWS["employees"]],
    "secrets": [(1, "CANARY-other"), (2, "CANARY-more")],
    "customers_archive": [],
}  # fmt: skip
"""The shop with other things in all that is hidden: nobody may tell it from the shop."""

VISIBLE: dict[str, tuple[str, ...]] = {
    "customers": ("id", "name", "email", "ssn", "city", "vip", "joined", "score"),
    "orders": ("id", "customer_id", "status", "total", "placed_at", "data"),
    "order_items": ("order_id", "product_id", "quantity", "price"),
    "products": ("id", "name", "category", "price", "tags", "weight"),
    "employees": ("id", "name", "manager_id", "phone"),
}
FILTERED = {"customers": "tenant_id = 1", "orders": "tenant_id = 1"}
SLOW_FILTER = "(SELECT tenant_id = min(manager_id) FROM employees)"
INDEXES = (
    "CREATE INDEX customers_name ON customers (name)",
    "CREATE INDEX orders_status ON orders (status)",
)
"""An engine that finds a row by one looks at the row filter later."""
SCHEMAS: dict[Dialect, str] = {"sqlite": "main", "postgres": "public"}


def shop_catalog(dialect: Dialect) -> Catalog:
    """All of the shop."""
    schema = SCHEMAS[dialect]
    tables = {
        name: Table(
            name=name,
            schema=schema,
            columns=tuple(
                Column(name=column, type=type_, kind=KINDS[type_])
                for column, type_ in columns.items()
            ),
            primary_key=KEYS.get(name, ()),
            foreign_keys=FOREIGN.get(name, ()),
        )
        for name, columns in COLUMNS.items()
    }
    return catalog(dialect=dialect, version="1", default_schema=schema, tables=tables)


def shop_access() -> Access:
    """Tenant 1 only; ssn, and the phones of employees, are masked; salaries and secrets are not there."""
    masks: dict[str, dict[str, Mask]] = {
        "customers": {"ssn": "redact"},
        "employees": {"phone": "null"},
    }
    return Access(
        tables={
            name: TableAccess(
                columns=columns, masks=masks.get(name, {}), rows=FILTERED.get(name, "")
            )
            for name, columns in VISIBLE.items()
        },
        policy="tenant 1",
    )


def changing_access() -> Access:
    """As `shop_access`, where customers and employees may be changed as well."""
    given = shop_access()
    tables = dict(given.tables)
    for name in ("customers", "employees"):
        tables[name] = msgspec.structs.replace(
            tables[name], update=True, delete=True, writable=("name", "city")
        )
    return msgspec.structs.replace(given, tables=tables, policy="changing")


def slowly_filtered(access: Access) -> Access:
    """The same rows by a filter that costs an engine so much that it looks at others before."""
    tables = {
        name: msgspec.structs.replace(table, rows=SLOW_FILTER) if table.rows else table
        for name, table in access.tables.items()
    }
    return msgspec.structs.replace(access, tables=tables, policy="slow")


def shown_rows(table: str) -> list[tuple[Any, ...]]:
    """What the policy leaves of a table, worked out without the guard."""
    names = list(COLUMNS[table])
    kept = []
    for row in ROWS[table]:
        values = dict(zip(names, row, strict=True))
        if table in FILTERED and values["tenant_id"] != 1:
            continue
        if table == "customers" and values["ssn"] is not None:
            values["ssn"] = "***"
        if table == "employees":
            values["phone"] = None
        kept.append(tuple(values[name] for name in VISIBLE[table]))
    return kept


def statements(table: str, columns: Sequence[str], schema: str = "") -> tuple[str, str]:
    """How a table is made, and how a row is put in with `?` for each value."""
    name = f'"{schema}"."{table}"' if schema else f'"{table}"'
    types = COLUMNS[table]
    parts = [f'"{column}" {types[column]}' for column in columns]
    if set(KEYS.get(table, ())) <= set(columns) and KEYS.get(table):
        parts.append(f"PRIMARY KEY ({', '.join(KEYS[table])})")
    places = ", ".join("?" for _ in columns)
    return f"CREATE TABLE {name} ({', '.join(parts)})", f"INSERT INTO {name} VALUES ({places})"


def whole_sqlite(rows: dict[str, list[tuple[Any, ...]]] = ROWS) -> sqlite3.Connection:
    """All of the shop in memory."""
    connection = _sqlite({table: (list(COLUMNS[table]), rows[table]) for table in COLUMNS})
    for index in INDEXES:
        connection.execute(index)
    return connection


def shown_sqlite() -> sqlite3.Connection:
    """What the policy leaves of it, in memory."""
    return _sqlite({table: (list(VISIBLE[table]), shown_rows(table)) for table in VISIBLE})


def _sqlite(tables: dict[str, tuple[list[str], list[tuple[Any, ...]]]]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for table, (columns, rows) in tables.items():
        make, put = statements(table, columns)
        connection.execute(make)
        connection.executemany(put, rows)
    connection.commit()
    return connection


def holds_canary(rows: Sequence[Sequence[Any]]) -> bool:
    """Whether anything hidden is in these rows."""
    text = repr(rows)
    return CANARY in text or any(str(number) in text for number in CANARY_NUMBERS)
