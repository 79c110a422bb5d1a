"""Databases that say little: days as texts, yes and no as 1 and 0, units and humps in names."""

import pytest
from tests.unit.nldb.keyless.databases import SHOP, database, rows, understood

from stepwell.nldb.keyless.matcher import Ambiguous, CannotAnswer, Understood
from stepwell.nldb.plan.model import Select

DESK = """
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, seatCount INTEGER NOT NULL, signed_up_on TEXT NOT NULL,
    churned_on TEXT, is_trial INTEGER NOT NULL);
CREATE TABLE users (
    id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id), full_name TEXT NOT NULL,
    role TEXT NOT NULL, is_active INTEGER);
CREATE TABLE tickets (
    id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id), status TEXT NOT NULL,
    opened_at TEXT NOT NULL, closed_at TEXT);
CREATE TABLE payments (
    id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id),
    amount_cents INTEGER NOT NULL, paid_on TEXT NOT NULL, is_refunded INTEGER NOT NULL);
INSERT INTO accounts VALUES
    (1, 'Globex', 5, '2024-02-01', NULL, 0), (2, 'Initech', 9, '2024-05-01', '2025-01-31', 0),
    (3, 'Hooli', 3, '2025-03-01', NULL, 1);
INSERT INTO users VALUES
    (1, 1, 'Ann Lee', 'admin', 1), (2, 1, 'Bo Ray', 'member', 0), (3, 2, 'Cy Fox', 'admin', NULL);
INSERT INTO tickets VALUES
    (1, 1, 'closed', '2024-03-01 08:00:00', '2024-03-02 09:30:00'),
    (2, 1, 'open', '2024-03-31 23:59:00', NULL), (3, 2, 'closed', '2024-04-01 00:00:00', '2024-04-02 10:00:00');
INSERT INTO payments VALUES
    (1, 1, 1000, '2024-03-01', 0), (2, 1, 3000, '2024-04-01', 1), (3, 2, 2000, '2025-01-01', 0);
"""

ANSWERS = [
    ("How many accounts are on trial?", [(1,)]),
    ("Number of trial accounts", [(1,)]),
    ("Which payments are not refunded?", [(1,), (3,)]),
    ("How many payments are there, excluding refunded ones?", [(2,)]),
    ("active users of Globex", [("Ann Lee",)]),
    ("accounts that signed up in 2024", [("Globex",), ("Initech",)]),
    ("Which accounts have not churned?", [("Globex",), ("Hooli",)]),
    ("How many tickets were opened between 2024-03-01 and 2024-03-31?", [(2,)]),
    ("How many tickets were closed in March 2024?", [(1,)]),
    ("Tickets per status", [("closed", 2), ("open", 1)]),
    ("How many closed tickets are there?", [(2,)]),
    ("Payments per month", [(2024, 3, 1), (2024, 4, 1), (2025, 1, 1)]),
    ("Average seatCount of accounts", [(17 / 3,)]),
    ("accounts with a seatCount above 4", [("Globex",), ("Initech",)]),
    ("What is the average amount?", [(2000,)]),
    ("How many admins are there?", [(2,)]),
    ("The account with the highest seat count", [("Initech",)]),
]


@pytest.mark.parametrize(("question", "expected"), ANSWERS, ids=[a[0] for a in ANSWERS])
def test_little_that_a_schema_says_is_enough(
    question: str, expected: list[tuple[object, ...]]
) -> None:
    found = [row[: len(expected[0])] for row in rows(question, database(DESK))]
    assert found == expected


def test_whether_an_unknown_yes_or_no_is_a_no_is_asked() -> None:
    outcome = understood("How many users are not active?", database(DESK))
    assert isinstance(outcome, Ambiguous)
    assert [reading.meaning for reading in outcome.readings] == [
        "users.is_active is false",
        "users.is_active is false, or is not given",
    ]


@pytest.mark.parametrize(
    "question",
    [
        "Which users only have closed tickets?",
        "Accounts that only have closed tickets",
        "Payments over 20",  # of cents, or of what they are a hundredth of
    ],
)
def test_what_a_word_may_change_is_refused(question: str) -> None:
    assert isinstance(understood(question, database(DESK)), CannotAnswer)


def test_a_misspelt_word_is_told_with_the_one_that_is_like_it() -> None:
    outcome = understood("How many tikets are there?", database(DESK))
    assert isinstance(outcome, CannotAnswer)
    assert outcome.words == ("tikets",)
    assert outcome.reason.endswith("by 'tikets'; is 'ticket' meant?")


def test_a_time_is_that_of_the_day_that_every_row_has_and_it_is_said() -> None:
    outcome = understood("How many tickets were there in March 2024?", database(DESK))
    assert isinstance(outcome, Understood)
    assert outcome.plan.assumptions == ("the time is that of tickets.opened_at",)


def test_what_did_not_happen_in_a_time_may_never_have_happened() -> None:
    outcome = understood("Tickets not closed in March 2024", database(DESK))
    assert isinstance(outcome, Ambiguous)
    assert [one.meaning for one in outcome.readings] == [
        "tickets.closed_at is at another time",
        "tickets.closed_at is at another time, or is not given",
    ]


def test_amounts_of_rows_are_not_told_apart_from_their_rows() -> None:
    assert rows("Amounts of the payments", database(DESK)) == [(1000,), (2000,), (3000,)]
    assert rows("Seat counts of the accounts", database(DESK)) == [
        ("Globex", 5),
        ("Hooli", 3),
        ("Initech", 9),
    ]


def test_a_value_in_capitals_is_no_small_word() -> None:
    made = database(
        "CREATE TABLE clients (id INTEGER PRIMARY KEY, name TEXT, country TEXT NOT NULL);"
    )
    made.execute(
        "INSERT INTO clients VALUES (1, 'Rau', 'AT'), (2, 'Frey', 'IN'), (3, 'Diaz', 'ES')"
    )
    assert rows("clients in AT", made) == [("Rau",)]
    assert rows("How many clients are in IN or ES?", made) == [(2,)]


def test_a_small_word_or_two_are_no_name_among_hundreds() -> None:
    made = database(
        "CREATE TABLE songs (id INTEGER PRIMARY KEY, name TEXT NOT NULL, made_on DATE);"
    )
    made.executemany(
        "INSERT INTO songs VALUES (?, ?, '2020-05-05')", [(n, f"Song {n}") for n in range(400)]
    )
    made.execute("INSERT INTO songs VALUES (900, 'The End', '2021-05-05')")
    outcome = understood("songs up to the end of 2021", made)
    assert isinstance(outcome, CannotAnswer)
    assert rows("When was The End made?", made)[0][-1] == "2021-05-05"


def test_by_whom_something_was_done_is_no_group() -> None:
    question = "How many orders were placed in 2024 by customers in Oslo?"
    assert rows(question, database(SHOP)) == [(2,)]


def test_parts_of_money_are_no_column_that_is_asked_for() -> None:
    assert rows("How many payments are over 1500 cents?", database(DESK)) == [(2,)]
    outcome = understood("Payments with an amount over 1500 cents", database(DESK))
    assert isinstance(outcome, Understood)
    assert isinstance(outcome.plan, Select)
    assert len(outcome.plan.outputs) > 1


@pytest.mark.parametrize(
    "question",
    [
        "Do all accounts have payments?",  # yes or no
        "Give all payments of Globex an amount of 5 cents",  # a change
        "Which users joined before 2025?",  # the account did
        "Number of accounts with and without payments",
        "highest number of seats",  # the number, and not who has it
    ],
)
def test_what_is_asked_otherwise_than_for_rows_is_refused(question: str) -> None:
    assert isinstance(understood(question, database(DESK)), CannotAnswer)


def test_what_is_shown_with_the_rows_is_shown() -> None:
    assert rows("Payments with their accounts", database(DESK)) == [
        ("Globex",),
        ("Globex",),
        ("Initech",),
    ]
    assert isinstance(understood("Accounts with their payments", database(DESK)), CannotAnswer)
    outcome = understood("Accounts and number of payments", database(DESK))
    assert isinstance(outcome, CannotAnswer)


def test_without_a_yes_is_with_a_no() -> None:
    assert rows("How many payments are there without refunded ones?", database(DESK)) == [(2,)]


def test_a_yes_before_a_kind_says_which_rows() -> None:
    assert rows("Names of active admins", database(DESK)) == [("Ann Lee",)]


def test_a_figure_beside_a_list_is_not_one_of_all() -> None:
    outcome = understood("Accounts, number of payments", database(DESK))
    assert isinstance(outcome, CannotAnswer)


def test_a_time_of_what_is_in_a_state_may_be_that_of_the_state() -> None:
    outcome = understood("How many tickets were closed per day in 2024?", database(DESK))
    assert isinstance(outcome, Ambiguous)
    assert "day of tickets.closed_at" in outcome.readings[0].meaning


def test_what_is_said_of_the_last_noun_is_not_said_of_the_first() -> None:
    for question in (
        "How many users are of accounts whose name begins with A?",
        "How many users are there per account whose name begins with A?",
    ):
        assert isinstance(understood(question, database(DESK)), CannotAnswer)
