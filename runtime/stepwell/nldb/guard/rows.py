"""Writes functions that stand in FROM and give rows."""

import re
from abc import ABC
from collections.abc import Sequence
from typing import Any, Final

from sqlglot import exp

from stepwell.nldb.guard.dialects import quoted
from stepwell.nldb.guard.expressions import Expressions, Place, not_rebuilt, only, unknown_function
from stepwell.nldb.guard.functions import MOST_SERIES, Function
from stepwell.nldb.guard.parsing import MARK
from stepwell.nldb.guard.refusals import Refused
from stepwell.nldb.guard.relations import Output
from stepwell.nldb.guard.scopes import Relation, fold_identifier
from stepwell.nldb.guard.types import type_name

_STEP: Final = re.compile(r"\s*\+?(\d{1,4})\s+(hour|day|week|mon|month|quarter|year)s?\s*", re.I)
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
        if function.name == "generate_series":
            _check_series(arguments)
        before = self.masked_seen
        text = self.call(function, arguments, place)
        is_masked = self.masked_seen > before
        if with_ordinality:
            text += " WITH ORDINALITY"
        return self._aliased(function, text, alias, len(arguments), is_masked, with_ordinality)

    def _aliased(
        self,
        function: Function,
        text: str,
        alias: exp.TableAlias | None,
        arguments: int,
        is_masked: bool,
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
            tuple(Output(column, masked=is_masked) for column in outputs),
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


def _check_series(arguments: Sequence[Any]) -> None:
    """Whole numbers between constants, or points in time with a step of at least an hour."""
    numbers = [_number(argument) for argument in arguments]
    if len(arguments) in (2, 3) and all(number is not None for number in numbers):
        start, stop = float(numbers[0] or 0), float(numbers[1] or 0)
        step = float(numbers[2] or 0) if len(numbers) == 3 else 1.0
        if step == 0 or abs((stop - start) / step) > MOST_SERIES:
            raise Refused(
                "sql.arguments",
                f"generate_series() gives more than {MOST_SERIES} rows",
                "narrow the bounds",
            )
        return
    if len(arguments) == 3 and _is_long_step(arguments[2]):
        return
    raise Refused(
        "sql.arguments",
        "generate_series() with bounds that are not numbers, or a step that is not a literal "
        "interval of at least an hour",
        "write numbers, or points in time with a step such as INTERVAL '1 day'",
    )


def _number(node: Any) -> float | None:
    sign = 1.0
    while type(node) in (exp.Neg, exp.Paren):
        sign = -sign if type(node) is exp.Neg else sign
        node = node.this
    if isinstance(node, exp.Literal) and not node.is_string:
        try:
            return sign * float(node.this)
        except ValueError:
            return None
    return None


def _is_long_step(node: Any) -> bool:
    if isinstance(node, exp.Cast):
        to = node.args["to"]
        is_interval = isinstance(to, exp.DataType) and to.this is exp.DataType.Type.INTERVAL
        node = node.this if is_interval or isinstance(to, exp.Interval) else None
    if isinstance(node, exp.Interval):
        unit = node.args.get("unit")
        text = f"{node.this.this} {unit.this if unit is not None else ''}".lower()
    elif isinstance(node, exp.Literal) and node.is_string:
        text = str(node.this)
    else:
        return False
    step = _STEP.fullmatch(text)
    return step is not None and int(step.group(1)) > 0
