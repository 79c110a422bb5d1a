"""What people call things in a database: a document beside it, checked against its catalog.

    terms:
      employees: [rep, sales agent]        # a table and further names for it
      orders.ship_city: [destination]      # a column and further names for it
    metrics:
      revenue:
        table: order_items
        value: sum(unit_price * quantity)
        also: [turnover, sales]
    joins:
      - [orders.employee_id, employees.id] # a foreign key that the database does not declare

Every mistake is told at once, with its place and the nearest name that there is.
"""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import UNSET, Struct

from stepwell.definitions.containers import Key, ListOf, MapOf, Record
from stepwell.definitions.loader import load
from stepwell.definitions.problems import InvalidDefinition, Path, Problem
from stepwell.definitions.shapes import Text
from stepwell.definitions.sheet import Sheet
from stepwell.engine.values import Json
from stepwell.nldb.link.words import singular, words_of
from stepwell.nldb.metrics import read_metric
from stepwell.nldb.model import Catalog, ForeignKey, Table
from stepwell.nldb.plan.expressions import BadExpression
from stepwell.nldb.plan.model import Expression

_PHRASE = Text("a word or a few", pattern=r"[^\W_][\w '&-]{0,60}")
_MOST = 1000

GLOSSARY = Record(
    "a glossary",
    {
        "terms": Key(
            MapOf(ListOf(_PHRASE, least=1, most=50, unique=True)),
            "Further names, by the table or the table.column that they mean.",
        ),
        "metrics": Key(
            MapOf(
                Record(
                    "a metric",
                    {
                        "table": Key(Text("a table"), "The table that it reads.", required=True),
                        "value": Key(
                            Text("an expression"),
                            "Aggregates over its columns: `sum(price * quantity)`.",
                            required=True,
                        ),
                        "also": Key(ListOf(_PHRASE, most=50, unique=True), "Further names for it."),
                    },
                    example="{ table: orders, value: sum(total) }",
                ),
                key=_PHRASE,
            ),
            "Figures by name.",
        ),
        "joins": Key(
            ListOf(ListOf(Text("table.column"), least=2, most=2), most=_MOST),
            "Foreign keys that the database does not declare: the column, and what it refers to.",
        ),
    },
)


class Figure(Struct, frozen=True):
    """A metric: its name first among `phrases`, its table, its value over the table's bare name."""

    name: str
    phrases: tuple[tuple[str, ...], ...]
    table: str
    value: Expression


class Glossary(Struct, frozen=True):
    """What was read: further phrases by table or table.column, metrics, further foreign keys."""

    terms: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict[str, tuple[str, ...]])
    metrics: tuple[Figure, ...] = ()
    joins: tuple[tuple[str, ForeignKey], ...] = ()
    """By the table that has the key."""

    def joined(self, catalog: Catalog) -> Catalog:
        """The catalog with the foreign keys that the glossary adds."""
        tables = dict(catalog.tables)
        for name, key in self.joins:
            if name in tables and key.table in tables and key not in tables[name].foreign_keys:
                table = tables[name]
                keys = (*table.foreign_keys, key)
                tables[name] = msgspec.structs.replace(table, foreign_keys=keys)
        return msgspec.structs.replace(catalog, tables=tables)


def read_glossary(source: bytes, catalog: Catalog) -> Glossary:
    """The glossary of a database.

    Raises:
        InvalidDefinition: with every problem, in the order of the source.
    """
    glossary, problems = _examine(source, catalog)
    if problems:
        raise InvalidDefinition(problems)
    return glossary


def check_glossary(source: bytes, catalog: Catalog) -> tuple[Problem, ...]:
    """Everything that is wrong with a glossary; () when `read_glossary` takes it."""
    return _examine(source, catalog)[1]


def _examine(source: bytes, catalog: Catalog) -> tuple[Glossary, tuple[Problem, ...]]:
    sheet = Sheet(load(source))
    parsed = GLOSSARY.read(sheet.document.value, (), sheet)
    if not isinstance(parsed, dict):
        return Glossary(), sheet.report.problems()
    return glossary_of(parsed, sheet, catalog), sheet.report.problems()


def glossary_of(parsed: Mapping[str, Json], sheet: Sheet, catalog: Catalog) -> Glossary:
    """What fits the catalog of a document with the keys of `GLOSSARY`; the sheet has the rest."""
    reader = _Reader(sheet, catalog)
    return Glossary(
        terms=reader.terms(parsed.get("terms", UNSET)),
        metrics=reader.metrics(parsed.get("metrics", UNSET)),
        joins=reader.joins(parsed.get("joins", UNSET)),
    )


class _Reader:
    """Checks names against the catalog, whatever their case."""

    def __init__(self, sheet: Sheet, catalog: Catalog) -> None:
        self._sheet = sheet
        self._catalog = catalog
        self._tables = {name.lower(): table for name, table in catalog.tables.items()}
        self._taken: dict[tuple[str, ...], Path] = {}

    def terms(self, parsed: Json) -> dict[str, tuple[str, ...]]:
        """Further phrases by what they mean."""
        found: dict[str, tuple[str, ...]] = {}
        for target, phrases in _entries(parsed):
            path = ("terms", target)
            meant = self._target(target, path)
            texts = (
                tuple(text for text in phrases if text is not UNSET) if phrases is not UNSET else ()
            )
            if meant:
                found[meant] = found.get(meant, ()) + texts
        return found

    def metrics(self, parsed: Json) -> tuple[Figure, ...]:
        """The metrics that can be used."""
        found: list[Figure] = []
        for name, entry in _entries(parsed):
            path = ("metrics", name)
            if entry is UNSET or UNSET in (entry.get("table", UNSET), entry.get("value", UNSET)):
                continue
            table = self._table(entry["table"], (*path, "table"))
            if table is None:
                continue
            value = self._value(entry["value"], table, (*path, "value"))
            also = [text for text in entry.get("also") or () if text is not UNSET]
            phrases = tuple(_phrase(text) for text in (name, *also))
            self._refuse_taken(phrases, path)
            if value is not None:
                found.append(Figure(name, phrases, table.name, value))
        return tuple(found)

    def joins(self, parsed: Json) -> tuple[tuple[str, ForeignKey], ...]:
        """The foreign keys that can be used."""
        found: list[tuple[str, ForeignKey]] = []
        for number, pair in enumerate(parsed if isinstance(parsed, list) else ()):
            if pair is UNSET or UNSET in pair:
                continue
            first = self._column(pair[0], ("joins", number, 0))
            second = self._column(pair[1], ("joins", number, 1))
            if first and second:
                key = ForeignKey(columns=(first[1],), table=second[0], referred=(second[1],))
                found.append((first[0], key))
        return tuple(found)

    def _refuse_taken(self, phrases: Iterable[tuple[str, ...]], path: Path) -> None:
        for phrase in phrases:
            if phrase in self._taken:
                said = " ".join(phrase)
                first = self._sheet.place(self._taken[phrase]).line
                hint = f"the first one is in line {first}"
                self._sheet.wrong_key(path, f"another metric is called {said!r} as well", hint)
            self._taken.setdefault(phrase, path)

    def _value(self, text: str, table: Table, path: Path) -> Expression | None:
        try:
            return read_metric(text, table)
        except BadExpression as error:
            names = [column.name for column in table.columns]
            hint = self._nearest(error.word, names) if error.word else "write sum(price * quantity)"
            self._sheet.wrong(path, str(error), hint)
            return None

    def _target(self, text: str, path: Path) -> str:
        """A table or table.column by its name in the catalog; "" with a problem in the report."""
        if text.lower() in self._tables:
            return self._tables[text.lower()].name
        if "." not in text:
            self._sheet.wrong_key(path, f"there is no table {text:.60}", self._nearest_table(text))
            return ""
        found = self._column(text, path, key=True)
        return ".".join(found) if found else ""

    def _table(self, text: str, path: Path) -> Table | None:
        if text.lower() not in self._tables:
            self._sheet.wrong(path, f"there is no table {text:.60}", self._nearest_table(text))
            return None
        return self._tables[text.lower()]

    def _column(self, text: str, path: Path, *, key: bool = False) -> tuple[str, str] | None:
        """The table and the column of `table.column`."""
        wrong = self._sheet.wrong_key if key else self._sheet.wrong
        name, dot, column = text.rpartition(".")
        table = self._tables.get(name.lower())
        if table is None:
            message = f"there is no table {name:.60}" if dot else "this must be table.column"
            wrong(path, message, self._nearest_table(name))
            return None
        known = {c.name.lower(): c.name for c in table.columns}
        if column.lower() not in known:
            hint = self._nearest(column, known.values())
            wrong(path, f"the table {table.name} has no column {column:.60}", hint)
            return None
        return table.name, known[column.lower()]

    def _nearest_table(self, text: str) -> str:
        return self._nearest(text, self._catalog.tables)

    def _nearest(self, word: str, names: Iterable[str]) -> str:
        there = {name.lower(): name for name in names}
        near = self._sheet.report.nearest(word.lower(), there)
        for name in there.values():
            if near == f"did you mean `{name.lower()}`?":
                return f"did you mean `{name}`?"
        listed = ", ".join(list(there.values())[:12])
        return near or f"there are {listed}"


def _entries(parsed: Json) -> list[tuple[str, Json]]:
    return list(parsed.items()) if isinstance(parsed, dict) else []


def _phrase(text: str) -> tuple[str, ...]:
    words = words_of(text)
    return (*words[:-1], singular(words[-1])) if words else ()
