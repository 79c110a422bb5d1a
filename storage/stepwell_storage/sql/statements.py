"""SQL text and values for the driver, from statements that SQLAlchemy Core has compiled once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import SQLCompiler


class _Text(Struct, frozen=True):
    """A statement as the driver takes it: `places` are names, or a name and a place in its list."""

    sql: str
    places: tuple[str | tuple[str, int], ...]


class _Ready(Struct, frozen=True):
    """A statement that was compiled.

    `brought` are values that it has itself, `lists` the names of lists of values. Its text has a
    place for each value of a list, so there is one for each of their lengths; they are made as long as
    a power of two, by the last value again, so that there are few.
    """

    compiled: SQLCompiler
    brought: Mapping[str, Any]
    lists: tuple[str, ...]
    texts: dict[tuple[int, ...], _Text] = {}


class Statements:
    """Compiles for one dialect, and remembers for as long as the statement is there."""

    def __init__(self, dialect: Dialect, *, schema: str | None = None) -> None:
        """`dialect` must take its values by position. `schema` is where the tables are."""
        self._dialect = dialect
        self._options: dict[str, Any] = {}
        if schema is not None:
            self._options["schema_translate_map"] = {None: schema}
            self._options["render_schema_translate"] = True
        self._ready: WeakKeyDictionary[sa.Executable, _Ready] = WeakKeyDictionary()

    def bind(self, statement: sa.Executable, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The text of a statement, and the values in the order in which it takes them."""
        ready = self._made_ready(statement, values)
        given = {**ready.brought, **values}
        for name in ready.lists:
            given[name] = _padded(given[name])
        lengths = tuple([len(given[name]) for name in ready.lists])
        text = ready.texts.get(lengths)
        if text is None:
            text = ready.texts[lengths] = _text(ready, given)
        return text.sql, [
            given[place] if isinstance(place, str) else given[place[0]][place[1]]
            for place in text.places
        ]

    def compiled(self, statement: sa.Executable, names: Iterable[str] = ()) -> SQLCompiler:
        """The statement in the words of the dialect; an insert has the columns of these names."""
        return self._made_ready(statement, names).compiled

    def _made_ready(self, statement: sa.Executable, names: Iterable[str]) -> _Ready:
        found = self._ready.get(statement)
        if found is None:
            compiled = self._compile(statement, names)
            lists = tuple(sorted(compiled.bind_names[it] for it in compiled.post_compile_params))
            found = self._ready[statement] = _Ready(compiled, compiled.params, lists)
        return found

    def _compile(self, statement: sa.Executable, names: Iterable[str]) -> SQLCompiler:
        assert isinstance(statement, sa.ClauseElement)
        compiled = statement.compile(
            dialect=self._dialect,
            column_keys=list(names) if isinstance(statement, sa.Insert) else None,
            **self._options,
        )
        assert isinstance(compiled, SQLCompiler)
        return compiled


def _padded(values: Sequence[Any]) -> Sequence[Any]:
    """With the last one again and again, which changes nothing where it is asked what is among them."""
    count = len(values)
    more = (1 << (count - 1).bit_length()) - count if count else 0
    return [*values, *[values[-1]] * more] if more else values


def _text(ready: _Ready, values: dict[str, Any]) -> _Text:
    compiled = ready.compiled
    if not ready.lists:
        return _Text(compiled.string, tuple(compiled.positiontup or ()))
    state = compiled.construct_expanded_state(values)
    of_list = {
        place: (name, at)
        for name, places in state.parameter_expansion.items()
        for at, place in enumerate(places)
    }
    return _Text(state.statement, tuple(of_list.get(it, it) for it in state.positiontup or ()))
