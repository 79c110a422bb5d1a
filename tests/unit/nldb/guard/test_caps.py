"""What is too much is refused before the parser sees it, and quickly."""

import time

import pytest
from tests.unit.nldb.guard.shop import shop_access, shop_catalog

from stepwell.nldb.guard import Refused, check_read
from stepwell.nldb.model import Dialect

ENGINES: tuple[Dialect, ...] = ("sqlite", "postgres")
TOO_MUCH = {
    "characters": ("SELECT '" + "x" * 20_000 + "'", "sql.length"),
    "a hundred kilobytes": ("SELECT 1 " * 12_000, "sql.length"),
    "words": ("SELECT " + "1," * 1_600 + "1", "sql.tokens"),
    "parentheses": ("SELECT " + "(" * 61 + "1" + ")" * 61, "sql.depth"),
    "cases": ("SELECT " + "CASE WHEN 1 THEN " * 61 + "1" + " END" * 61, "sql.depth"),
    "prefixes": ("SELECT " + "NOT " * 500 + "1", "sql.depth"),
    "signs": ("SELECT " + "- " * 500 + "1", "sql.depth"),
    "sub-queries": ("SELECT " + "(SELECT " * 61 + "1" + ")" * 61, "sql.depth"),
    "joins without ON": ("SELECT 1 FROM orders" + " JOIN orders" * 30, "sql.depth"),
    "joins before ON": (
        "SELECT 1 FROM orders" + " LEFT JOIN orders" * 30 + " ON 1 = 1" * 30,
        "sql.depth",
    ),
}


@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize("case", TOO_MUCH)
def test_too_much_is_refused(case: str, dialect: Dialect) -> None:
    sql, rule = TOO_MUCH[case]
    with pytest.raises(Refused) as refused:
        check_read(sql, shop_catalog(dialect), shop_access())
    assert refused.value.rule == rule


NEARLY = [
    "SELECT " + "(SELECT " * 29 + "1" + ")" * 29,
    "SELECT " + "coalesce(" * 50 + "1" + ")" * 50,
    "SELECT " + "((1), " * 50 + "1" + ")" * 50,
    "SELECT " + "CASE WHEN 1 = 1 THEN " * 50 + "1" + " END" * 50,
    "SELECT 1 FROM orders o" + " JOIN orders ON 1 = 1" * 200,
    "SELECT 1 FROM " + "(" * 50 + "orders" + ")" * 50,
    "WITH a AS (" * 50 + "SELECT 1" + ")" * 50,
    "SELECT * FROM " + "(SELECT * FROM " * 29 + "orders" + ") x" * 29,
    "SELECT 1" + " UNION ALL SELECT 1" * 900,
    "SELECT 1" + " + 1" * 1_400,
    "SELECT " + "(total * " * 50 + "1" + ")" * 50 + " FROM orders",
    "SELECT id FROM orders WHERE " + " OR ".join(f"id = {n}" for n in range(700)),
    "SELECT id FROM orders WHERE id IN (" + ",".join(map(str, range(1_400))) + ")",
]


@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize("sql", NEARLY, ids=lambda sql: sql[:40])
def test_what_is_nearly_too_much_is_judged_in_a_moment(sql: str, dialect: Dialect) -> None:
    began = time.process_time()
    assert len(judged(sql, dialect)) < 200_000
    assert time.process_time() - began < 2


def judged(sql: str, dialect: Dialect) -> str:
    try:
        return check_read(sql, shop_catalog(dialect), shop_access()).sql
    except Refused as refused:
        return refused.rule


def test_many_values_and_conditions_are_no_problem() -> None:
    for dialect in ENGINES:
        for sql in NEARLY[-2:]:
            assert check_read(sql, shop_catalog(dialect), shop_access()).tables == ("orders",)


def test_no_statement_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The parser would warn of one that it does not know, with the values in it."""
    with pytest.raises(Refused):
        check_read("EXPLAIN SELECT 'a value'", shop_catalog("postgres"), shop_access())
    assert caplog.records == []


@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize(
    "value",
    ["a\x00b", "\ud800", {"a": 1}, [[1]], [{"a": 1}], {1}, object(), 10**200, ["\x00"]],
    ids=lambda value: type(value).__name__,
)
def test_a_parameter_that_no_database_takes_is_refused(value: object, dialect: Dialect) -> None:
    with pytest.raises(Refused) as refused:
        check_read("SELECT :n", shop_catalog(dialect), shop_access(), params={"n": value})
    assert refused.value.rule == "sql.parameter"


def test_sqlite_reads_a_large_hexadecimal_number_as_negative_so_it_is_refused() -> None:
    with pytest.raises(Refused):
        check_read("SELECT 0xFFFFFFFFFFFFFFFF", shop_catalog("sqlite"), shop_access())
    largest = check_read("SELECT 0x7FFFFFFFFFFFFFFF", shop_catalog("sqlite"), shop_access())
    assert largest.sql.startswith("SELECT 9223372036854775807 ")
