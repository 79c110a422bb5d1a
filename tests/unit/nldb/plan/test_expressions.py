"""Expressions in text: what a plan can say is read, and no other SQL comes through."""

import pytest

from stepwell.nldb.plan.expressions import BadExpression, read_expression
from stepwell.nldb.plan.model import Aggregate, Arithmetic, Col, Expression, Part, Value

A, B = Col("t", "a"), Col("t", "b")


def read(text: str) -> Expression:
    return read_expression(text, Col)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t.a", A),
        ("t.a - 1.5", Arithmetic("-", A, Value(1.5))),
        ("-2 * t.a", Arithmetic("*", Value(-2), A)),
        ("1e3", Value(1000.0)),
        ("count(*)", Aggregate("count")),
        ("COUNT(DISTINCT t.a)", Aggregate("count distinct", A)),
        ("sum(t.a * t.b)", Aggregate("sum", Arithmetic("*", A, B))),
        ("(avg(t.a)) / max(t.b)", Arithmetic("/", Aggregate("avg", A), Aggregate("max", B))),
        ("year(t.a)", Part("year", A)),
        ("extract(quarter from t.a)", Part("quarter", A)),
        ('"an odd table"."A Column"', Col("an odd table", "A Column")),
    ],
)
def test_what_a_plan_can_say_is_read(text: str, expected: Expression) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "'text'",
        "select 1",
        "(select a from t)",
        "sum(t.a) over ()",
        "sum(avg(t.a))",
        "count(t.a, t.b)",
        "count(distinct t.a, t.b)",
        "avg(distinct t.a)",
        "min(t.a, t.b)",
        "t.*",
        "count(t.*)",
        "other.t.a",
        "year(t.a + 1)",
        "extract(epoch from t.a)",
        "upper(t.a)",
        "load_extension('x')",
        "t.a = 1",
        "t.a; drop table t",
        "t.a::int",
        "(" * 300 + "1" + ")" * 300,
        "t.a + " * 200 + "1",
        "1e999",
    ],
)
def test_no_other_sql_comes_through(text: str) -> None:
    with pytest.raises(BadExpression):
        read(text)
