"""What the matcher knows of a database: by which words its tables, columns and roles are called."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from difflib import get_close_matches

from msgspec import Struct
from msgspec.structs import replace

from stepwell.nldb.glossary import Figure, Glossary
from stepwell.nldb.keyless import english
from stepwell.nldb.link.names import foreign_columns, is_junction, is_key, label_of, noun
from stepwell.nldb.link.paths import Edge, Graph
from stepwell.nldb.link.synonyms import NOUNS
from stepwell.nldb.link.values import ValueIndex
from stepwell.nldb.link.words import folded, singular, words_of_name
from stepwell.nldb.model import Access, Catalog, Column, ForeignKey, Table
from stepwell.nldb.plan.check import columns_of

Phrase = tuple[str, ...]
LABEL = "*"
"""Stands for the columns by which a row is named, where these are several."""


class ColumnName(Struct, frozen=True):
    """A column, and how far the words are from its name: 0 the name, 1 its last words, 2 a synonym."""

    table: str
    column: str
    far: int


class Role(Struct, frozen=True):
    """What a row of `other` is to a row of `table`, by one foreign key: his boss, its support rep."""

    table: str
    other: str
    edge: Edge


class World:
    """The names of what an asker may see, ready to be looked up by phrases."""

    def __init__(
        self,
        catalog: Catalog,
        access: Access,
        values: ValueIndex,
        *,
        glossary: Glossary | None = None,
        today: date | None = None,
    ) -> None:
        """Without `today` nothing is understood that depends on it, `last year` for example."""
        said = glossary or Glossary()
        self.catalog = with_days(visible(said.joined(catalog), access), values)
        self.access = access
        self.values = values
        self.today = today
        self.graph = Graph(self.catalog)
        self.tables: dict[Phrase, list[tuple[str, int]]] = defaultdict(list)
        self.columns: dict[Phrase, list[ColumnName]] = defaultdict(list)
        self.roles: dict[Phrase, list[Role]] = defaultdict(list)
        self.metrics: dict[Phrase, list[Figure]] = defaultdict(list)
        for name, table in self.catalog.tables.items():
            self._name_table(name, table)
            self._name_roles(name, table)
        self._add_synonyms()
        for target, phrases in said.terms.items():
            self._add_terms(target, phrases)
        self._called = self._words_of_tables()
        for figure in said.metrics:
            if self._is_seen(figure):
                for phrase in figure.phrases:
                    self.metrics[phrase].append(figure)
        self.longest = max(
            map(len, (*self.tables, *self.columns, *self.roles, *self.metrics)), default=1
        )
        self.vocabulary = frozenset(
            word
            for names in (self.tables, self.columns, self.roles, self.metrics)
            for phrase in names
            for word in phrase
        )

    def words_like(self, word: str) -> list[str]:
        """The word of a name that is most like another one, which may be misspelt."""
        return get_close_matches(folded(word), self.vocabulary, n=1, cutoff=0.8)

    def table(self, name: str) -> Table:
        """The table of a name."""
        return self.catalog.tables[name]

    def column(self, table: str, column: str) -> Column:
        """A column of a table."""
        return next(c for c in self.catalog.tables[table].columns if c.name == column)

    def _name_table(self, name: str, table: Table) -> None:
        words = noun(table.bare)
        if words:
            self.tables[words].append((name, 0))
        if len(words) > 1:
            self.tables[as_written(table.bare)].append((name, 0))
        if len(label_of(table)) > 1:
            for called in (("name",), ("full", "name")):
                self.columns[called].append(ColumnName(name, LABEL, 0))
        for column in table.columns:
            for phrase, far in _phrases(table, column).items():
                self.columns[phrase].append(ColumnName(name, column.name, far))

    def _name_roles(self, name: str, table: Table) -> None:
        for edge in self.graph.edges.get(name, []):
            if not edge.to_one or len(edge.key) != 1 or edge.key[0] not in foreign_columns(table):
                continue
            words = noun(edge.key[0])
            while words and words[-1] in ("id", "key", "no", "code", "number", "ref"):
                words = words[:-1]
            role = Role(name, edge.other, edge)
            if words and words != noun(self.table(edge.other).bare):
                for phrase in {words, tuple(singular(word) for word in words)}:
                    self.roles[phrase].append(role)
            if edge.other == name and words in english.BOSS_COLUMNS:
                for boss in (*english.BOSSES, "report to", "reporting to"):
                    phrase = tuple(boss.split())
                    if role not in self.roles[phrase]:
                        self.roles[phrase].append(role)

    def _add_synonyms(self) -> None:
        for group in NOUNS:
            phrases = [tuple(singular(word) for word in text.split()) for text in group]
            tables = [(t, p) for p in phrases for t, far in self.tables.get(p, ()) if far == 0]
            columns = [(c, p) for p in phrases for c in self.columns.get(p, ()) if c.far < 2]
            for phrase in phrases:
                if phrase not in self.tables:
                    self.tables[phrase] = [(t, 2) for t, p in tables if p != phrase]
                known = {(c.table, c.column) for c in self.columns.get(phrase, ())}
                self.columns[phrase] += [
                    ColumnName(c.table, c.column, 2 + c.far)
                    for c, p in columns
                    if p != phrase and (c.table, c.column) not in known
                ]
        for names in (self.tables, self.columns):
            for phrase in [phrase for phrase, found in names.items() if not found]:
                del names[phrase]

    def _words_of_tables(self) -> dict[str, set[str]]:
        """The words by which each table is called, in its name or in the glossary."""
        found: dict[str, set[str]] = defaultdict(set)
        for phrase, names in self.tables.items():
            for name, far in names:
                if far == 0:
                    found[name].update(phrase)
        return found

    def _is_seen(self, figure: Figure) -> bool:
        """Whether the asker may read all that a metric reads."""
        table = self.catalog.tables.get(figure.table)
        names = {column.name for column in table.columns} if table is not None else set[str]()
        return table is not None and {col.column for col in columns_of(figure.value)} <= names

    def _has(self, table: str, column: str) -> bool:
        return any(c.name == column for c in self.catalog.tables[table].columns)

    def _add_terms(self, target: str, phrases: tuple[str, ...]) -> None:
        table, _, column = (
            target.rpartition(".") if target not in self.catalog.tables else (target, "", "")
        )
        for text in phrases:
            phrase = noun(text)
            if not column and table in self.catalog.tables:
                self.tables[phrase].append((table, 0))
            elif table in self.catalog.tables and self._has(table, column):
                self.columns[phrase].append(ColumnName(table, column, 0))

    # What the columns of a table measure.

    def numbers(self, table: str) -> Iterator[Column]:
        """The columns of a table that can be compared and added up."""
        known = self.table(table)
        for column in known.columns:
            is_number = column.kind in ("integer", "decimal", "float")
            name = ColumnName(table, column.name, 0)
            if is_number and not is_key(known, column) and not self.is_flag(name):
                yield column

    def dates(self, table: str) -> list[Column]:
        """The columns of a table that are days or instants."""
        return [c for c in self.table(table).columns if c.kind in ("date", "timestamp")]

    def measuring(self, table: str, kind: str) -> list[Column]:
        """The columns of a table that measure a price, a duration, ..."""
        if kind == "age":
            return [
                c for c in self.dates(table) if set(words_of_name(c.name)) & english.SIZES["age"]
            ]
        if kind == "recency":
            births = self.measuring(table, "age")
            return [c for c in self.dates(table) if c not in births]
        if kind == "seniority":
            return self.dates(table)
        wanted = english.SIZES[kind]
        return [c for c in self.numbers(table) if set(words_of_name(c.name)) & wanted]

    def duration_unit(self, column: Column) -> int | None:
        """The milliseconds of one of a column's units, where its name tells."""
        for word in words_of_name(column.name):
            if word in english.COLUMN_DURATIONS:
                return english.COLUMN_DURATIONS[word]
        return None

    def is_flag(self, name: ColumnName) -> bool:
        """Whether a column says yes or no, be it with 1 and 0."""
        if name.column == LABEL:
            return False
        kind, words = self.column(name.table, name.column).kind, words_of_name(name.column)
        return kind == "boolean" or (
            kind == "integer" and len(words) > 1 and words[0] in english.FLAGS
        )

    def is_transaction(self, table: str) -> bool:
        """Whether the rows are business that was done: invoices, orders, payments."""
        return bool(self._called[table] & english.TRANSACTIONS)

    def is_person(self, table: str) -> bool:
        """Whether `who` may ask for a row."""
        known = self.table(table)
        return bool(self._called[table] & english.PEOPLE) or len(label_of(known)) > 1

    def label(self, table: str) -> tuple[str, ...]:
        """The columns by which a row is named."""
        return label_of(self.table(table))

    def is_junction(self, table: str) -> bool:
        """Whether a table only says which rows belong together."""
        return is_junction(self.table(table))

    def is_text(self, name: ColumnName) -> bool:
        """Whether a column holds text."""
        return name.column == LABEL or self.column(name.table, name.column).kind == "text"


def with_days(catalog: Catalog, values: ValueIndex) -> Catalog:
    """The catalog of a SQLite file, where days and instants are texts that say when.

    A column is one of those if every value of it is written as ISO 8601 has it.
    """
    if catalog.dialect != "sqlite":
        return catalog
    tables: dict[str, Table] = {}
    for name, table in catalog.tables.items():
        columns = tuple(
            replace(column, kind=values.days(name, column.name) or column.kind)
            for column in table.columns
        )
        tables[name] = replace(table, columns=columns)
    return replace(catalog, tables=tables)


def visible(catalog: Catalog, access: Access) -> Catalog:
    """The catalog without the tables and columns that the access does not show, masked ones too.

    A masked column can be shown, but a question about it cannot be understood by its values.
    """
    tables: dict[str, Table] = {}
    for name, table in catalog.tables.items():
        allowed = access.tables.get(name)
        if allowed is None:
            continue
        shown = [c for c in table.columns if allowed.columns is None or c.name in allowed.columns]
        names = {c.name for c in shown}
        tables[name] = Table(
            name=name,
            schema=table.schema,
            columns=tuple(shown),
            primary_key=table.primary_key if set(table.primary_key) <= names else (),
            foreign_keys=tuple(key for key in table.foreign_keys if _is_seen(key, names, access)),
            unique=tuple(key for key in table.unique if set(key) <= names),
            comment=table.comment,
            rows=table.rows,
            is_view=table.is_view,
            triggers=table.triggers,
        )
    return Catalog(
        dialect=catalog.dialect,
        version=catalog.version,
        default_schema=catalog.default_schema,
        tables=tables,
        fingerprint=catalog.fingerprint,
    )


def _is_seen(key: ForeignKey, names: set[str], access: Access) -> bool:
    other = access.tables.get(key.table)
    if other is None or not set(key.columns) <= names:
        return False
    return other.columns is None or set(key.referred) <= set(other.columns)


def as_written(name: str) -> Phrase:
    """A name of several words as one, for whoever writes `UnitPrice` in a question."""
    return (singular(folded(name)),)


def _phrases(table: Table, column: Column) -> dict[Phrase, int]:
    """By which words a column is called, and how far they are from its name.

    Those are its name, its name without the table's, its last words, each without a unit.
    """
    words = noun(column.name)
    found: dict[Phrase, int] = {}
    if len(words) > 1:
        found[as_written(column.name)] = 0
    bare: Phrase = words[:-1] if set(words[-1:]) & english.UNITS else ()
    if column.kind in ("date", "timestamp") and len(words) > 2 and words[-1] in ("at", "on"):
        bare = words[:-1]
    for called in (words, bare):
        for phrase, far in _parts_of(called, table, column):
            found.setdefault(phrase, far)
    return found


def _parts_of(words: Phrase, table: Table, column: Column) -> Iterator[tuple[Phrase, int]]:
    own = noun(table.bare)
    if not words:
        return
    yield words, 0
    rest = words
    for length in (len(own), 1):
        if len(rest) > length and rest[:length] == own[-length:]:
            rest = rest[length:]
            yield rest, 0
            break
    if is_key(table, column):
        return
    label = label_of(table)
    for begin in range(1, len(rest)):
        is_told = rest[begin:] != ("name",) or label == (column.name,)
        if is_told and not set(rest[begin:]) <= english.UNITS:
            yield rest[begin:], 1
