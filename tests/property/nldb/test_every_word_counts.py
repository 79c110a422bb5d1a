"""A word that nobody knows makes a question refused, wherever it stands."""

import sqlite3
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.nldb.keyless.databases import LIBRARY, SHOP, STAFF, database, world
from tests.unit.nldb.keyless.test_questions import ANSWERS

from stepwell.nldb.keyless.matcher import Ambiguous, CannotAnswer, Understood, understand
from stepwell.nldb.keyless.world import World

UNKNOWN = (
    "refundable", "yellow", "overdue", "organic", "previously", "remotely", "wholesale", "verified",
    "allegedly", "northern", "premium", "duplicate", "expired", "frobnicated", "half", "roughly",
    "former", "inactive", "unpaid", "double", "weekend", "vegan", "secretly",
)  # fmt: skip


@cache
def seen(ddl: str) -> tuple[sqlite3.Connection, World]:
    made = database(ddl)
    return made, world(made)


@given(
    case=st.sampled_from(ANSWERS),
    word=st.sampled_from(UNKNOWN),
    place=st.integers(min_value=0, max_value=30),
)
@settings(deadline=None, max_examples=300)
def test_an_unknown_word_in_a_question_that_is_understood_is_never_passed_over(
    case: tuple[str, str, list[tuple[object, ...]]], word: str, place: int
) -> None:
    ddl, question, _ = case
    words = question.split()
    at = place % (len(words) + 1)
    outcome = understand(" ".join([*words[:at], word, *words[at:]]), seen(ddl)[1])
    assert isinstance(outcome, CannotAnswer)


@pytest.mark.parametrize(
    "question",
    [
        "How many customers ordered only Tea?",
        "Which customers have only cancelled orders?",
        "Which customers bought only Earl Grey?",
        "List customers with only orders from 2024",
    ],
)
def test_only_is_refused_where_a_row_has_several_of_what_is_meant(question: str) -> None:
    assert isinstance(understand(question, seen(SHOP)[1]), CannotAnswer)


@given(text=st.text(max_size=200))
@settings(deadline=None, max_examples=300)
def test_no_text_makes_the_matcher_fail(text: str) -> None:
    outcome = understand(text, seen(SHOP)[1])
    assert isinstance(outcome, Understood | Ambiguous) or outcome.reason


@given(words=st.lists(st.sampled_from(
    ["how", "many", "orders", "customers", "products", "which", "what", "the", "most", "of", "per", "by", "in", "2024", "and", "not", "with", "no", "ada", "Berg", "Tea", "revenue", "price", "total", "average", "Norway", "over", "10", "top", "3", "month", "each", "Earl", "Grey", "have", "never"]
), min_size=1, max_size=12))  # fmt: skip
@settings(deadline=None, max_examples=300)
def test_known_words_in_any_order_never_make_the_matcher_fail(words: list[str]) -> None:
    understand(" ".join(words), seen(SHOP)[1])


def test_the_databases_are_those_of_the_questions() -> None:
    assert {ddl for ddl, _, _ in ANSWERS} == {SHOP, STAFF, LIBRARY}
