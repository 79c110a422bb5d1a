"""Statements as the driver takes them: compiled once, whatever values they are asked with."""

from typing import Any

import pytest
import sqlalchemy as sa

from stepwell_storage.sql.sqlite_dialect import DIALECT
from stepwell_storage.sql.statements import Statements

THINGS = sa.table("things", sa.column("name"), sa.column("size"))
LARGER = sa.select(THINGS.c.name).where(
    THINGS.c.name.in_(sa.bindparam("names", type_=sa.Text, expanding=True)),
    THINGS.c.size > sa.bindparam("least", type_=sa.Integer),
    THINGS.c.name != "none",
)


@pytest.mark.parametrize(
    ("names", "given"),
    [
        ([], []),
        (["a"], ["a"]),
        (["b", "a"], ["b", "a"]),
        (["a", "b", "c"], ["a", "b", "c", "c"]),
        (list("abcde"), list("abcdeeee")),
    ],
)
def test_a_list_is_given_value_by_value_and_the_last_one_fills_it_up(
    names: list[str], given: list[str]
) -> None:
    statements = Statements(DIALECT)
    for _ in range(2):
        text, values = statements.bind(LARGER, {"least": 3, "names": names})
        assert values == [*given, 3, "none"]
        assert text.count("?") == len(values)


def test_lists_of_one_length_are_not_mixed_up() -> None:
    statements = Statements(DIALECT)
    first = statements.bind(LARGER, {"names": ["a", "b"], "least": 1})
    second = statements.bind(LARGER, {"names": ["c", "d"], "least": 2})
    assert (first[1], second[1]) == (["a", "b", 1, "none"], ["c", "d", 2, "none"])
    assert first[0] == second[0]


def test_a_statement_may_bring_its_list_itself() -> None:
    brings = sa.select(THINGS.c.size).where(THINGS.c.name.in_(["x", "y"]))
    assert Statements(DIALECT).bind(brings, no_values())[1] == ["x", "y"]


def no_values() -> dict[str, Any]:
    return {}
