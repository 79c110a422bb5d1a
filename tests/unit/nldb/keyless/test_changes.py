"""Requests for changes: a plan with its condition, or a refusal that says it is a change."""

import sqlite3

import pytest
from tests.unit.nldb.keyless.databases import LIBRARY, SHOP, STAFF, database, understood, world

from stepwell.nldb.keyless.matcher import CannotAnswer, Understood
from stepwell.nldb.plan.model import Delete, Insert, Select, Update
from stepwell.nldb.plan.sql import compile_plan


def changed(request: str, made: sqlite3.Connection) -> int:
    """How many rows the request changes."""
    outcome = understood(request, made)
    assert isinstance(outcome, Understood), outcome
    assert not isinstance(outcome.plan, Select)
    compiled = compile_plan(outcome.plan, world(made).catalog)
    return made.execute(compiled.sql, compiled.parameters).rowcount


def test_rows_are_deleted_by_their_condition() -> None:
    made = database(SHOP)
    assert changed("Please delete the categories that have no products", made) == 1
    assert made.execute("SELECT name FROM categories ORDER BY 1").fetchall() == [
        ("Coffee",),
        ("Cups",),
        ("Tea",),
    ]


def test_a_column_of_a_named_row_is_set() -> None:
    made = database(STAFF)
    assert changed("Change Mia Chen's job title to Architect", made) == 1
    assert made.execute(
        "SELECT full_name FROM employees WHERE job_title = 'Architect'"
    ).fetchall() == [("Mia Chen",)]


def test_a_column_that_may_be_empty_is_emptied() -> None:
    made = database(SHOP)
    assert changed("Remove the email of Ben Carter", made) == 1
    assert made.execute("SELECT email FROM customers WHERE id = 2").fetchall() == [(None,)]


def test_two_columns_are_not_set_by_half() -> None:
    asked = "Set the city of Ben Carter to New York and the country to USA"
    assert isinstance(understood(asked, database(SHOP)), CannotAnswer)
    made = database(SHOP)
    assert changed('Set the city of Ben Carter to "Stow and Wold"', made) == 1


def test_nothing_is_no_text() -> None:
    made = database(SHOP)
    assert changed("Set the email of Ben Carter to nothing", made) == 1
    assert made.execute("SELECT email FROM customers WHERE id = 2").fetchall() == [(None,)]


def test_rows_of_two_tables_are_not_deleted_at_once() -> None:
    outcome = understood("Delete the category Tea and its products", database(SHOP))
    assert isinstance(outcome, CannotAnswer)


def test_a_row_is_named_by_its_key() -> None:
    made = database(SHOP)
    assert changed("Set the status of order 5 to shipped", made) == 1


def test_a_number_is_raised_for_the_rows_that_are_meant() -> None:
    made = database(SHOP)
    assert changed("Raise the price of all Tea products by 10 percent", made) == 2
    found = made.execute(
        "SELECT round(unit_price, 2) FROM products WHERE category_id = 1 ORDER BY 1"
    ).fetchall()
    assert found == [(6.6,), (9.35,)]


def test_a_pair_is_added_and_taken_away() -> None:
    made = database(STAFF)
    assert changed("Add Tom Okafor to the project Cumulus", made) == 1
    assert changed("Remove Mia Chen from Borealis", made) == 1
    assert made.execute("SELECT * FROM assignments ORDER BY 1, 2").fetchall() == [
        (1, 2),
        (1, 3),
        (2, 5),
        (3, 2),
    ]


def test_a_row_that_needs_but_a_name_is_added() -> None:
    made = database(SHOP)
    assert changed("Add a new category called Cakes", made) == 1


@pytest.mark.parametrize(
    ("ddl", "request_text"),
    [
        (SHOP, "Delete all orders"),
        (SHOP, "delete everything"),
        (SHOP, "Update the price"),
        (SHOP, "Set the price of Earl Grey to free"),
        (SHOP, "Add a new product called Lemon Tart"),  # a price is needed
        (SHOP, "Drop the orders of Ada Berg from last quarter"),
        (STAFF, "Change the salary to 1"),
        (LIBRARY, "Remove the overdue books"),
    ],
)
def test_a_change_without_a_condition_or_with_a_strange_word_is_refused(
    ddl: str, request_text: str
) -> None:
    outcome = understood(request_text, database(ddl))
    assert isinstance(outcome, CannotAnswer)


def test_a_refused_change_says_that_it_is_one() -> None:
    outcome = understood("Remove the overdue books", database(LIBRARY))
    assert isinstance(outcome, CannotAnswer)
    assert outcome.reason.startswith("this asks for a change; ")
    assert "overdue" in outcome.words


@pytest.mark.parametrize(
    ("kind", "request_text"),
    [
        (Delete, "Delete cancelled orders"),
        (Update, "Set the city of Ben Carter to York"),
        (Insert, "Add a new category called Cakes"),
    ],
)
def test_every_kind_of_change_is_planned(kind: type, request_text: str) -> None:
    outcome = understood(request_text, database(SHOP))
    assert isinstance(outcome, Understood)
    assert isinstance(outcome.plan, kind)
