"""Signs in a question are read or refused; none is passed over where it says something."""

import pytest
from tests.unit.nldb.keyless.databases import STAFF, database, understood

from stepwell.nldb.keyless.matcher import CannotAnswer, Understood
from stepwell.nldb.keyless.tokens import tokens_of
from stepwell.nldb.plan.model import Update, Value


@pytest.mark.parametrize(
    "question",
    [
        "Employees with a salary \u2265 70000",
        "Employees with a salary of -70000",
        "Employees with a salary of 70000+",
        "Employees with a salary ~ 70000",
        "List the employees in !Berlin",
        "Change Mia Chen's salary to -5",
        "Change Mia Chen's job title to C++",
        "Change Mia Chen's job title to lead @ lab",
        "Change Mia Chen's job title to a / b",
    ],
)
def test_a_sign_that_is_not_read_is_refused(question: str) -> None:
    assert isinstance(understood(question, database(STAFF)), CannotAnswer)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ('"lead@lab C++"', "lead@lab C++"),
        ("'Architect'", "Architect"),
        ("Architect!", "Architect"),
        ("lead@lab", "lead@lab"),
        ("Front-end/UI lead", "Front-end/UI lead"),
    ],
)
def test_what_is_quoted_is_written_as_it_is(said: str, value: str) -> None:
    outcome = understood(f"Change Mia Chen's job title to {said}", database(STAFF))

    assert isinstance(outcome, Understood)
    assert isinstance(outcome.plan, Update)
    assert [one.value for one in outcome.plan.set] == [Value(value)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Rock & Roll", ["rock", "roll"]),
        ("AC/DC", ["ac", "dc"]),
        ("e-mail", ["e", "mail"]),
        ("O'Brien", ["o", "brien"]),
        ("'Rome'", ["rome"]),
        ("salary >= 5", ["salary", ">", "=", "5"]),
    ],
)
def test_signs_that_join_a_name_need_no_word(text: str, words: list[str]) -> None:
    assert [token.word for token in tokens_of(text)] == words
