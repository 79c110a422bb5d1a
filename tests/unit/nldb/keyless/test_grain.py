"""What an answer counts, averages and leaves out: of which rows, each of them how often."""

import pytest
from tests.unit.nldb.keyless.databases import SHOP, STAFF, database, rows, understood

from stepwell.nldb.keyless.matcher import Ambiguous, CannotAnswer, Understood

DESK = """
CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL, industry TEXT, seats INTEGER NOT NULL);
CREATE TABLE users (
    id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id), full_name TEXT NOT NULL);
CREATE TABLE payments (
    id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id), amount NUMERIC(10, 2) NOT NULL);
INSERT INTO accounts VALUES (1, 'Globex', 'retail', 5), (2, 'Initech', NULL, 5), (3, 'Hooli', 'media', 3), (4, 'Duff', NULL, 9);
INSERT INTO users VALUES (1, 1, 'Ann Lee'), (2, 1, 'Bo Ray'), (3, 2, 'Cy Fox');
INSERT INTO payments VALUES (1, 1, 10), (2, 1, 30), (3, 2, 20);
"""


def test_different_things_are_counted_once_although_they_were_sold_twice() -> None:
    assert rows("How many products were sold?", database(SHOP)) == [(21,)]
    assert rows("How many different products were sold?", database(SHOP)) == [(4,)]


def test_values_that_are_asked_for_are_not_missing_ones() -> None:
    assert rows("Which industries have more than 0 accounts?", database(DESK)) == [
        ("media", 1),
        ("retail", 1),
    ]
    assert rows("Which industry has the most accounts?", database(DESK)) == [
        ("media", 1),
        ("retail", 1),
    ]


def test_average_for_each_of_the_rows_themselves_is_one_figure() -> None:
    assert rows("How much do we earn on average per payment?", database(DESK)) == [(20,)]


def test_average_of_what_was_paid_for_each_of_something_else_is_refused() -> None:
    outcome = understood("What is the average revenue per account?", database(DESK))
    assert isinstance(outcome, CannotAnswer)


def test_whether_what_is_empty_is_not_some_value_is_asked() -> None:
    outcome = understood("How many accounts are not in retail?", database(DESK))
    assert isinstance(outcome, Ambiguous)
    assert [reading.meaning for reading in outcome.readings] == [
        "accounts.industry is given, and is not 'retail'",
        "accounts.industry is not 'retail', or is not given",
    ]


def test_negation_over_rows_without_a_partner_is_asked_as_well() -> None:
    outcome = understood("Which products are not in the category Tea?", database(SHOP))
    assert isinstance(outcome, Ambiguous)


def test_top_few_bring_everything_that_ties_with_the_last() -> None:
    found = rows("Top 2 accounts by seats", database(DESK))
    assert [name for name, *_ in found] == ["Duff", "Globex", "Initech"]


@pytest.mark.parametrize(
    "question",
    [
        "Number of payments per user",
        "Users with more than 1 payments",
        "Which users have no payments?",
        "Which users have payments?",
    ],
)
def test_rows_that_only_have_a_parent_in_common_do_not_belong_together(question: str) -> None:
    assert isinstance(understood(question, database(DESK)), CannotAnswer)


@pytest.mark.parametrize(
    "question",
    ["How many employees are there per project?", "Which projects have no employees?"],
)
def test_a_junction_is_as_near_as_a_key_of_its_own(question: str) -> None:
    outcome = understood(question, database(STAFF))
    assert isinstance(outcome, Ambiguous)
    ways = {reading.meaning.partition(", ")[2] for reading in outcome.readings}
    assert ways == {"by projects.lead_id", "by way of assignments"}


def test_the_least_says_that_those_with_none_are_left_out() -> None:
    outcome = understood("Which account has the fewest payments?", database(DESK))
    assert isinstance(outcome, Understood)
    assert outcome.plan.assumptions == ("what has no row of payments is left out",)


def test_rows_that_belong_to_nothing_make_no_group() -> None:
    made = database(
        """CREATE TABLE agents (id INTEGER PRIMARY KEY, name TEXT NOT NULL, team TEXT NOT NULL);
        CREATE TABLE tickets (
            id INTEGER PRIMARY KEY, agent_id INTEGER REFERENCES agents (id), score INTEGER);
        INSERT INTO agents VALUES (1, 'Ann', 'Support'), (2, 'Bo', 'Billing');
        INSERT INTO tickets VALUES (1, 1, 4), (2, NULL, 1), (3, 2, 2);"""
    )
    assert rows("Average score per team", made) == [("Billing", 2), ("Support", 4)]


def test_a_condition_is_about_the_rows_that_are_grouped_by() -> None:
    made = database(
        """CREATE TABLE albums (id INTEGER PRIMARY KEY, title TEXT NOT NULL);
        CREATE TABLE tracks (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL, album_id INTEGER REFERENCES albums (id));
        CREATE TABLE playlists (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
        CREATE TABLE playlist_tracks (
            playlist_id INTEGER NOT NULL REFERENCES playlists (id),
            track_id INTEGER NOT NULL REFERENCES tracks (id), PRIMARY KEY (playlist_id, track_id));
        INSERT INTO albums VALUES (1, 'Facelift'), (2, 'Dirt');
        INSERT INTO tracks VALUES (1, 'Real Thing', 1), (2, 'Rooster', 2);
        INSERT INTO playlists VALUES (1, 'Loud'), (2, 'Grunge');
        INSERT INTO playlist_tracks VALUES (1, 1), (2, 1), (1, 2);"""
    )
    question = "Number of playlists for each track of the album Facelift"
    assert rows(question, made) == [("Real Thing", 2)]


def test_a_comparison_of_an_average_is_not_one_of_each_row() -> None:
    outcome = understood("Which accounts have an average amount above 15?", database(DESK))
    assert isinstance(outcome, CannotAnswer)


def test_a_time_after_a_state_may_be_that_of_any_date() -> None:
    outcome = understood("How many orders are shipped in May 2024?", database(SHOP))
    assert not isinstance(outcome, CannotAnswer)
    made = database(
        """CREATE TABLE orders (
            id INTEGER PRIMARY KEY, status TEXT NOT NULL, ordered_on DATE NOT NULL, sent_on DATE);
        INSERT INTO orders VALUES (1, 'weg', '2024-04-30', '2024-05-02'), (2, 'weg', '2024-05-01', '2024-06-01');"""
    )
    assert isinstance(understood("Orders weg in May 2024", made), Ambiguous)
