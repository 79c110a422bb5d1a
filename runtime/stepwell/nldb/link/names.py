"""What the names in a catalog say: their words, which columns name a row, which are keys."""

from stepwell.nldb.link.words import singular, words_of_name
from stepwell.nldb.model import Column, Table

_NAMING = ("name", "title", "label")
_FIRST = {("first", "name"), ("given", "name"), ("forename",), ("fname",), ("firstname",)}
_LAST = {("last", "name"), ("family", "name"), ("surname",), ("lname",), ("lastname",)}
_KEYS = frozenset({"id", "key", "fk", "pk", "uuid", "guid", "ref"})


def noun(name: str) -> tuple[str, ...]:
    """The words of a name in the singular."""
    words = words_of_name(name)
    return (*words[:-1], singular(words[-1])) if words else ()


def label_of(table: Table) -> tuple[str, ...]:
    """The columns by which people name a row; () when there are none that look like it."""
    texts = [column for column in table.columns if column.kind == "text"]
    by_words = {words_of_name(column.name): column.name for column in texts}
    first = next((by_words[words] for words in by_words if words in _FIRST), None)
    last = next((by_words[words] for words in by_words if words in _LAST), None)
    if first and last:
        return first, last
    own = noun(table.bare)
    wanted: list[tuple[str, ...]] = [(word,) for word in _NAMING]
    wanted += [(*own, word) for word in _NAMING] + [(own[-1], word) for word in _NAMING]
    wanted += [("full", "name"), ("display", "name"), own, own[-1:]]
    for words in wanted:
        if words in by_words:
            return (by_words[words],)
    named = [column.name for column in texts if words_of_name(column.name)[-1:] == ("name",)]
    return (named[0],) if len(named) == 1 else ()


def foreign_columns(table: Table) -> set[str]:
    """The columns that name rows of other tables."""
    return {column for key in table.foreign_keys for column in key.columns}


def is_key(table: Table, column: Column) -> bool:
    """Whether a column identifies rows, and so is nothing to add up or to compare."""
    if column.name in table.primary_key or column.name in foreign_columns(table):
        return True
    words = words_of_name(column.name)
    return bool(words) and words[-1] in _KEYS


def is_junction(table: Table) -> bool:
    """Whether a table only says which rows of two others belong together."""
    if len({key.table for key in table.foreign_keys}) != 2 or len(table.foreign_keys) != 2:
        return False
    free = [c for c in table.columns if not is_key(table, c)]
    return all(c.kind in ("date", "timestamp", "time", "integer") for c in free) and len(free) <= 1
