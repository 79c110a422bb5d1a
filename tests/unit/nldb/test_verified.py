"""Verified queries: found again by their words, for one schema."""

import msgspec
import pytest
from bench.nldb.databases import read_catalog, read_samples
from tests.unit.nldb.keyless.databases import SHOP, database

from stepwell.nldb.link.values import ValueIndex
from stepwell.nldb.model import Catalog
from stepwell.nldb.verified import (
    Recalled,
    Unusable,
    Verified,
    check_verified,
    like,
    recall,
    state,
)

MADE = database(SHOP)
KNOWN = read_catalog(MADE)
VALUES = ValueIndex(read_samples(MADE, KNOWN))


def verified(question: str, sql: str = "SELECT 1") -> Verified:
    return Verified(question=question, sql=sql, dialect="sqlite", fingerprint=KNOWN.fingerprint)


PLAIN = verified("How many open orders do we have?")
SLOTS = verified("orders from {city} after {day}", "SELECT :city, :day")


def test_the_same_question_is_found_whatever_its_case_and_courtesies() -> None:
    for question in ("how many OPEN orders do we have", "Please, how many open order do we have?"):
        assert recall(question, [PLAIN, SLOTS], KNOWN, VALUES) == Recalled(PLAIN, {})


def test_slots_are_bound_as_they_were_written() -> None:
    found = recall("Orders from Oslo after 2024?", [PLAIN, SLOTS], KNOWN, VALUES)
    assert found == Recalled(SLOTS, {"city": "Oslo", "day": "2024"})


@pytest.mark.parametrize(
    "question",
    [
        "How many orders do we have?",
        "How many open orders do we have in Oslo?",
        "How many not open orders do we have?",
        "orders from Oslo",
        "orders from Oslo in March after 2024",
        "orders from after 2024",
        "",
    ],
)
def test_another_question_is_not_found(question: str) -> None:
    assert recall(question, [PLAIN, SLOTS], KNOWN, VALUES) is None


def test_a_changed_schema_makes_it_stale() -> None:
    changed: Catalog = msgspec.structs.replace(KNOWN, fingerprint="other")
    assert state(PLAIN, KNOWN) == "good"
    assert state(PLAIN, changed) == "stale"
    assert state(PLAIN, msgspec.structs.replace(KNOWN, dialect="postgres")) == "foreign"
    assert recall(PLAIN.question, [PLAIN], changed, VALUES) is None


def test_two_that_differ_are_both_left_alone() -> None:
    other = verified(PLAIN.question, "SELECT 2")
    assert recall(PLAIN.question, [PLAIN, other], KNOWN, VALUES) is None


@pytest.mark.parametrize(
    ("question", "sql", "reason"),
    [
        ("orders from {city}", "SELECT 1", "city"),
        ("orders", "SELECT :city", "city"),
        ("from {city} to {city}", "SELECT :city", "once"),
        ("orders {city} {day}", "SELECT :city, :day", "a word in between"),
        ("?", "SELECT 1", "no words"),
    ],
)
def test_what_could_never_be_recalled_is_refused(question: str, sql: str, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        check_verified(verified(question, sql))


def test_a_cast_of_postgres_is_no_parameter() -> None:
    check_verified(verified("orders from {city}", "SELECT :city::text"))


def test_those_like_a_question_share_its_words_the_likest_first() -> None:
    kept = [
        verified("orders from {city} after {day}", "SELECT :city, :day"),
        verified("How many open orders do we have?"),
        verified("staff by age"),
        verified("what the warehouse in Bergen costs us in a year of many orders"),
    ]

    near = like("open orders per month", kept, KNOWN, 3)

    assert [one.question for one in near] == [kept[1].question, kept[0].question]
    assert like("open orders per month", kept, KNOWN, 1) == (kept[1],)
    assert like("open orders", kept, msgspec.structs.replace(KNOWN, fingerprint="other"), 3) == ()
    assert like("", kept, KNOWN, 3) == ()
