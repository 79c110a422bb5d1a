"""SQL text and values for the driver, from statements that SQLAlchemy Core has compiled once."""

from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import SQLCompiler


class Statements:
    """Compiles for one dialect, and remembers for as long as the statement is there."""

    def __init__(self, dialect: Dialect, *, schema: str | None = None) -> None:
        """`dialect` must take its values by position. `schema` is where the tables are."""
        self._dialect = dialect
        self._options: dict[str, Any] = {}
        if schema is not None:
            self._options["schema_translate_map"] = {None: schema}
            self._options["render_schema_translate"] = True
        self._compiled: WeakKeyDictionary[sa.Executable, SQLCompiler] = WeakKeyDictionary()

    def bind(self, statement: sa.Executable, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The text of a statement, and the values in the order in which it takes them."""
        compiled = self.compiled(statement, values)
        if compiled.post_compile_params:  # lists of values: as many places as there are values
            state = compiled.construct_expanded_state(dict(values))
            return state.statement, list(state.positional_parameters)
        brought = compiled.params
        return compiled.string, [
            values[name] if name in values else brought[name] for name in compiled.positiontup or ()
        ]

    def compiled(self, statement: sa.Executable, names: Iterable[str] = ()) -> SQLCompiler:
        """The statement in the words of the dialect; an insert has the columns of these names."""
        found = self._compiled.get(statement)
        if found is None:
            found = self._compiled[statement] = self._compile(statement, names)
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
