"""The plain questions: how they are compared, and that none of those without data of others is answered wrongly."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from bench.nldb import plain
from bench.nldb.settling import Rows

NOWHERE = Path("/nowhere/chinook.sqlite")


@pytest.mark.parametrize(
    ("gold", "rows", "is_right"),
    [
        ([("Ada", 3)], [(1, "Ada", "3.00")], True),
        ([(1, 2), (2, 1)], [(2, 1), (1, 2)], True),
        ([(1, 2), (2, 3)], [(2, 2), (1, 3)], False),
        ([(1,)], [(1,), (1,)], False),
        ([(None,)], [(0,)], False),
        ([(0.1 + 0.2,)], [("0.30",)], True),
        ([], [], True),
    ],
)
def test_columns_of_the_gold_rows_are_found_wherever_they_are(
    gold: Rows, rows: Rows, is_right: bool
) -> None:
    assert plain.have_rows(gold, rows) is is_right


def test_questions_are_asked_once() -> None:
    asked = [question.question.lower() for question in plain.load()]
    assert len(set(asked)) == len(asked) >= 1000


@pytest.mark.parametrize("name", ["desk", "lager"])
def test_gold_runs(name: plain.Database) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript((plain.SCHEMAS / f"{name}.sql").read_text())
        for question in plain.load():
            for gold in question.gold if question.database == name else ():
                database.execute(gold).fetchall()


@pytest.mark.parametrize("name", ["desk", "lager"])
def test_no_plain_question_is_answered_wrongly(name: plain.Database) -> None:
    asked = [question for question in plain.load() if question.database == name]
    judged = plain.evaluate(asked, NOWHERE)
    assert [one for one in judged if one.verdict == "silently wrong"] == []
    right = sum(one.verdict == "right" for one in judged)
    assert right >= 0.65 * len(judged)
