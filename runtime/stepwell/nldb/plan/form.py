"""A plan as a model fills it in: flat, so that every provider can enforce its schema.

A plan nests without end, and providers enforce no schema that does, or only a few levels of it. So
an expression is a text, `sum(orders.total)`, and conditions stand in one list: those that are
alternatives carry the same label, and those on a table that only has to exist are told by the names in them.
`stepwell.nldb.plan.filled` makes a plan of it.
"""

from typing import Any, Final, Literal, TypeAlias, get_args

from msgspec import Struct

from stepwell.nldb.plan.model import Comparison, Scalar

Verb: TypeAlias = Literal["select", "insert", "update", "delete"]
How: TypeAlias = Literal["from", "join", "outer join", "exists", "not exists"]


class Pair(Struct, frozen=True):
    """Two columns that are equal where two tables meet, `orders.customer_id` and `customers.id`."""

    column: str
    equals: str


class Entry(Struct, frozen=True, kw_only=True):
    """A table that is read: the first one `from`, every other one along a foreign key."""

    table: str
    name: str = ""
    """What expressions call it; its own name when empty."""
    how: How = "from"
    on: tuple[Pair, ...] = ()
    any: str = ""


class Shown(Struct, frozen=True):
    """A column of the answer."""

    value: str
    name: str = ""


class Where(Struct, frozen=True, kw_only=True):
    """A condition. All with the same `any` are alternatives; the others hold all together."""

    value: str
    comparison: Comparison
    values: tuple[Scalar, ...] = ()
    ignore_case: bool = False
    any: str = ""


class Sorted(Struct, frozen=True):
    """What the answer is sorted by."""

    value: str
    descending: bool = False


class Set(Struct, frozen=True):
    """What a column becomes: the value, or what an expression gives where there is one."""

    column: str
    value: Scalar = None
    expression: str = ""


class Form(Struct, frozen=True, kw_only=True):
    """A plan. What a verb does not need is empty."""

    verb: Verb
    changes: str = ""
    """The table that is written."""
    tables: tuple[Entry, ...] = ()
    outputs: tuple[Shown, ...] = ()
    where: tuple[Where, ...] = ()
    group: tuple[str, ...] = ()
    order: tuple[Sorted, ...] = ()
    limit: int = 0
    ties: bool = False
    distinct: bool = False
    set: tuple[Set, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Scalar, ...], ...] = ()


def closed_object(**properties: Any) -> dict[str, Any]:
    """The schema of an object that has all of these members and no others."""
    return {
        "type": "object",
        "required": [*properties],
        "properties": properties,
        "additionalProperties": False,
    }


def list_of(items: Any) -> dict[str, Any]:
    """The schema of a list."""
    return {"type": "array", "items": items}


TEXT: Final = {"type": "string"}
FLAG: Final = {"type": "boolean"}
SCALAR: Final = {"anyOf": [{"type": kind} for kind in ("string", "number", "boolean", "null")]}
SCHEMA: Final[dict[str, Any]] = closed_object(
    verb={"type": "string", "enum": [*get_args(Verb)]},
    changes=TEXT,
    tables=list_of(
        closed_object(
            table=TEXT,
            name=TEXT,
            how={"type": "string", "enum": [*get_args(How)]},
            on=list_of(closed_object(column=TEXT, equals=TEXT)),
            any=TEXT,
        )
    ),
    outputs=list_of(closed_object(value=TEXT, name=TEXT)),
    where=list_of(
        closed_object(
            value=TEXT,
            comparison={"type": "string", "enum": [*get_args(Comparison)]},
            values=list_of(SCALAR),
            ignore_case=FLAG,
            any=TEXT,
        )
    ),
    group=list_of(TEXT),
    order=list_of(closed_object(value=TEXT, descending=FLAG)),
    limit={"type": "integer"},
    ties=FLAG,
    distinct=FLAG,
    set=list_of(closed_object(column=TEXT, value=SCALAR, expression=TEXT)),
    columns=list_of(TEXT),
    rows=list_of(list_of(SCALAR)),
)
"""The schema of a form, every member required."""
