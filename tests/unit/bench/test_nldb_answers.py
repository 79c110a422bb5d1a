"""How an answer to one of the questions about Chinook is judged."""

import json
import os
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from bench.nldb.answers import ColumnType, Gold, canonical_text, digest, is_answer
from bench.nldb.check_gold import DATABASE, mistakes_in_answers, mistakes_in_file
from bench.nldb.questions import load


def expected(
    rows: list[list[object]],
    columns: dict[str, ColumnType],
    *,
    ordered: bool = False,
    extra_columns: bool = True,
) -> Gold:
    text = canonical_text(rows, tuple(columns.values()), ordered=ordered)
    return Gold(
        sql="SELECT 1",
        columns=columns,
        ordered=ordered,
        extra_columns=extra_columns,
        rows=json.dumps(json.loads(text)),
        row_count=len(rows),
        sha256=digest(text),
    )


REVENUE = expected(
    [["Chile", "46.62"], ["France", "195.10"]], {"country": "text", "revenue": "decimal"}
)


def test_order_of_rows_and_of_columns_does_not_matter() -> None:
    assert is_answer(REVENUE, [[195.10000000000002, "France"], [46.62, "Chile"]])


def test_decimals_of_sqlite_of_postgres_and_of_json_are_one() -> None:
    assert is_answer(REVENUE, [["Chile", Decimal("46.620")], ["France", "195.1"]])


def test_one_cent_too_much_is_wrong() -> None:
    assert not is_answer(REVENUE, [["Chile", 46.63], ["France", 195.1]])


def test_values_at_the_wrong_row_are_wrong() -> None:
    assert not is_answer(REVENUE, [["France", 46.62], ["Chile", 195.1]])


@pytest.mark.parametrize("rows", [[], [["Chile", 46.62]], [["Chile", 46.62]] * 3])
def test_too_few_and_too_many_rows_are_wrong(rows: list[list[object]]) -> None:
    assert not is_answer(REVENUE, rows)


def test_a_column_that_is_missing_is_wrong() -> None:
    assert not is_answer(REVENUE, [["Chile"], ["France"]])


def test_another_column_is_accepted_unless_the_question_says_only() -> None:
    rows = [[1, "a@b.c"]]
    assert is_answer(expected([["a@b.c"]], {"email": "text"}), rows)
    assert not is_answer(expected([["a@b.c"]], {"email": "text"}, extra_columns=False), rows)


def test_order_counts_where_the_question_asks_for_it() -> None:
    best_first = expected([["USA"], ["Canada"]], {"country": "text"}, ordered=True)
    assert is_answer(best_first, [["USA"], ["Canada"]])
    assert not is_answer(best_first, [["Canada"], ["USA"]])


def test_a_year_may_be_text_or_a_number() -> None:
    years = expected([[2021]], {"year": "integer"})
    assert [is_answer(years, [[it]]) for it in ("2021", 2021, Decimal(2021), 2021.5, True)] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_a_midnight_is_its_day_and_no_other_time_is() -> None:
    day = expected([["2025-07-04"]], {"day": "date"})
    assert is_answer(day, [["2025-07-04 00:00:00"]])
    assert is_answer(day, [[datetime.fromisoformat("2025-07-04")]])
    assert not is_answer(day, [["2025-07-04 10:00:00"]])


def test_first_and_last_name_may_come_as_one_text() -> None:
    people = expected([["Helena", "Holý"]], {"FirstName": "text", "LastName": "text"})
    assert is_answer(people, [["Helena Holý"]])
    assert not is_answer(people, [["Holý"]])


def test_null_is_not_an_empty_text() -> None:
    nobody = expected([[None]], {"composer": "text"})
    assert is_answer(nobody, [[None]])
    assert not is_answer(nobody, [[""]])


def test_the_file_of_questions_is_whole() -> None:
    assert list(mistakes_in_file(load())) == []


def test_every_gold_query_gives_the_expected_answer() -> None:
    path = Path(os.environ.get("STEPWELL_DATA", "")).resolve() / DATABASE
    if "STEPWELL_DATA" not in os.environ or not path.exists():
        pytest.skip(f"needs {DATABASE} in the folder that STEPWELL_DATA names")
    assert list(mistakes_in_answers(load(), path)) == []
