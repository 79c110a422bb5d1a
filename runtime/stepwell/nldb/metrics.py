"""Metrics as authors write them, `sum(unit_price * quantity)`: expressions over one table."""

from stepwell.nldb.model import Table
from stepwell.nldb.plan.expressions import BadExpression, read_expression
from stepwell.nldb.plan.model import Arithmetic, Col, Expression, Part


def read_metric(text: str, table: Table) -> Expression:
    """The expression over a table's columns; every column is in an aggregate.

    Raises:
        BadExpression: it cannot be read, names a column that is not there, or says more than it may.
    """
    known = {column.name.lower(): column.name for column in table.columns}

    def column_of(name: str, column: str) -> Col:
        if name and name.lower() != table.bare.lower():
            raise BadExpression(f"a metric reads one table, {table.name}, not {name}")
        if column.lower() not in known:
            raise BadExpression(f"the table {table.name} has no column {column}", column)
        return Col(table.bare, known[column.lower()])

    value = read_expression(text, column_of)
    _refuse_alone(value)
    return value


def _refuse_alone(value: Expression) -> None:
    match value:
        case Col():
            raise BadExpression(
                f"the column {value.column} stands alone: say sum, avg, min, max or count of it"
            )
        case Part():
            raise BadExpression(f"{value.part} is not possible in a metric")
        case Arithmetic():
            _refuse_alone(value.left)
            _refuse_alone(value.right)
        case _:
            pass
