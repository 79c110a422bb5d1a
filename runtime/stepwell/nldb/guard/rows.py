"""Writes functions that stand in FROM and give rows."""

from abc import ABC
from collections.abc import Sequence
from typing import Any, Final

from msgspec import structs
from sqlglot import exp

from stepwell.nldb.guard.dialects import quoted
from stepwell.nldb.guard.expressions import Expressions
from stepwell.nldb.guard.functions import Function
from stepwell.nldb.guard.parsing import MARK
from stepwell.nldb.guard.refusals import Refused
from stepwell.nldb.guard.relations import Output
from stepwell.nldb.guard.scopes import Relation, fold_identifier
from stepwell.nldb.guard.types import type_name
from stepwell.nldb.guard.writer import Place, not_rebuilt, only, unknown_function

_RECORDS: Final = frozenset(
    {"json_to_recordset", "jsonb_to_recordset", "json_to_record", "jsonb_to_record"}
)


class Rows(Expressions, ABC):
    """Functions of rows."""

    def rows(
        self, node: Any, alias: exp.TableAlias | None, place: Place, *, with_ordinality: bool
    ) -> tuple[str, Relation]:
        """The call with its alias, and what can be read of it.

        Raises:
            Refused: it is not a function of rows that is known, or its rows are not bounded.
        """
        name = node.this if type(node) is exp.Anonymous else ""
        known = isinstance(name, str) and name.startswith(MARK)
        function = self.functions.get(name[1:]) if known else None
        if function is None or function.sort == "window" or function.sort == "aggregate":
            raise unknown_function(str(name) or node.sql_name(), self.functions)
        if function.sort == "scalar":
            raise Refused(
                "sql.function",
                f"{function.name}() gives one value, not rows",
                "use it in the select list or a condition",
            )
        arguments = node.expressions
        before = self.masked_seen
        around = (self.growth, self.recurring)
        self.growth, self.recurring = 1, 0
        text = self.call(function, arguments, place)
        made = Output(
            "",
            masked=self.masked_seen > before,
            growth=self.growth,
            recurs=self.recurring > 0,
        )
        self.growth, self.recurring = around
        if with_ordinality:
            text += " WITH ORDINALITY"
        return self._aliased(function, text, alias, len(arguments), made, with_ordinality)

    def _aliased(
        self,
        function: Function,
        text: str,
        alias: exp.TableAlias | None,
        arguments: int,
        made: Output,
        with_ordinality: bool,
    ) -> tuple[str, Relation]:
        name = function.name
        if alias is not None and alias.this is not None:
            name = fold_identifier(alias.this, self.dialect)
        given = (alias.args.get("columns") or []) if alias is not None else []
        if function.name in _RECORDS:
            names, columns = self._typed_columns(given)
            outputs = names
        else:
            names = [fold_identifier(column, self.dialect) for column in given]
            columns = ", ".join(quoted(column) for column in names)
            many = arguments if function.name == "unnest" else 1
            outputs = list(function.output or (name, *(["unnest"] * (many - 1))))
            if with_ordinality:
                outputs.append("ordinality")
        if len(names) > len(outputs) or (names and self.dialect == "sqlite"):
            raise Refused("sql.syntax", f"{name} has other columns than are named")
        outputs[: len(names)] = names
        listed = f"({columns})" if columns else ""
        relation = Relation(
            name,
            tuple(structs.replace(made, name=column) for column in outputs),
            is_scalar=self.dialect == "postgres" and len(outputs) == 1 and not with_ordinality,
        )
        return f"{text} AS {quoted(name)}{listed}", relation

    def _typed_columns(self, nodes: Sequence[Any]) -> tuple[list[str], str]:
        names: list[str] = []
        texts: list[str] = []
        for node in nodes:
            if type(node) is not exp.ColumnDef:
                raise not_rebuilt(node)
            only(node, frozenset({"this", "kind"}))
            names.append(fold_identifier(node.this, self.dialect))
            texts.append(f"{quoted(names[-1])} {type_name(node.args['kind'], self.dialect)}")
        if not names:
            raise Refused(
                "sql.syntax",
                "a function of records without the columns of its records",
                "write AS name(column type, ...)",
            )
        return names, ", ".join(texts)
