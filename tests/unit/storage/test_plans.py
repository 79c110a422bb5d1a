"""The questions that are asked all the time pass over nothing but their answers."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from stepwell_storage.records import Condition
from stepwell_storage.sql import (
    approvals,
    claims,
    conditions,
    counts,
    inbox,
    keys,
    migrate,
    retention,
    schedules,
    tickets,
)
from stepwell_storage.sql.sqlite_dialect import DIALECT
from stepwell_storage.sql.statements import Statements
from stepwell_storage.sql.tables import runs


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as made:
        engine = sa.create_engine("sqlite+pysqlite://", creator=lambda: made, poolclass=StaticPool)
        with engine.begin() as borrowed:
            migrate.create(borrowed)
        yield made


def plan(connection: sqlite3.Connection, statement: sa.Executable, **values: Any) -> list[str]:
    """The steps in which SQLite answers a question."""
    sql, given = Statements(DIALECT).bind(statement, values)
    return [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + sql, given)]


def listed_by(*where: Condition) -> sa.Select[Any]:
    return conditions.Wanted(where).newest.where(runs.c.namespace == "default").limit(10)


def test_claiming_looks_at_leases_that_have_expired(connection: sqlite3.Connection) -> None:
    first, *_ = plan(connection, claims._EXPIRED, claimant="one", now=1, most=9)
    assert "INDEX leases_live (expires_at<?)" in first


def test_waking_looks_at_the_first_parked_run(connection: sqlite3.Connection) -> None:
    [only] = plan(connection, claims._FIRST_PARKED)
    assert "INDEX leases_parked (owner=? AND expires_at>?)" in only


def test_a_heartbeat_looks_at_the_leases_of_its_owner(connection: sqlite3.Connection) -> None:
    [only] = plan(connection, claims._EXTEND, claimant="one", until=1)
    assert "INDEX leases_held (owner=?)" in only


def test_fetching_looks_at_letters_and_not_at_all_runs(connection: sqlite3.Connection) -> None:
    first, second = plan(connection, inbox._FOR_OWNER_OR_NOBODY, holder="one", most=9)
    assert "letters USING INDEX letters_oldest" in first
    assert "leases USING PRIMARY KEY" in second


def test_admitting_looks_at_the_first_of_the_line(connection: sqlite3.Connection) -> None:
    [first] = plan(connection, tickets._LINE, in_namespace="default", named="q", most=1)
    assert "INDEX tickets_waiting (namespace=? AND queue=?)" in first
    [inside] = plan(connection, tickets._RUNNING, in_namespace="default", named="q")
    assert "INDEX tickets_admitted (namespace=? AND queue=?)" in inside
    queues, _, line = plan(connection, tickets._WITH_LINE)
    assert "queues" in queues
    assert "INDEX tickets_waiting (namespace=? AND queue=?)" in line


def test_schedules_that_do_not_fire_are_not_looked_at(connection: sqlite3.Connection) -> None:
    [due] = plan(connection, schedules._DUE, now=1, most=9)
    assert "INDEX schedules_due" in due
    [next_due] = plan(connection, schedules._NEXT_DUE)
    assert "INDEX schedules_due" in next_due


def test_retention_looks_at_the_oldest_and_at_who_refers_to_them(
    connection: sqlite3.Connection,
) -> None:
    steps = plan(connection, retention._OLDEST, in_namespace="default", until=1, most=9)
    assert "INDEX runs_ended (namespace=? AND ended_at>? AND ended_at<?)" in steps[0]
    assert any("INDEX runs_by_parent (namespace=? AND parent=?)" in step for step in steps)
    assert any(
        "INDEX runs_by_forked_from (namespace=? AND forked_from=?)" in step for step in steps
    )
    assert not any("SCAN" in step for step in steps if "CORRELATED" not in step)


def test_a_run_is_forgotten_without_looking_at_others(connection: sqlite3.Connection) -> None:
    for forget in (*retention._FORGET, retention._FORGET_KEYS, retention._STILL_OVER):
        values = {"of": [b"1"], "subjects": ["run:1"], "until": 1}
        steps = plan(connection, forget, in_namespace="default", **values)
        assert "namespace=? AND run=?" in steps[0] or "namespace=? AND subject=?" in steps[0]


def test_rotating_keys_looks_at_those_of_other_rings(connection: sqlite3.Connection) -> None:
    for others in keys._OTHERS:
        [only] = plan(connection, others, by="r1", most=9)
        assert "INDEX keys_by_ring (ring" in only


@pytest.mark.parametrize("field", ["parent", "forked_from", "run_key"])
def test_runs_that_come_from_another_are_found_by_it(
    connection: sqlite3.Connection, field: str
) -> None:
    [only] = plan(connection, listed_by(Condition(field, "=", ("a",))))
    assert f"INDEX runs_by_{field} (namespace=? AND {field}=?)" in only


def test_runs_with_a_label_are_listed_in_the_order_of_its_index(
    connection: sqlite3.Connection,
) -> None:
    shop, live = (Condition(f"labels.{name}", "=", ("x",)) for name in ("team", "env"))
    steps = plan(connection, listed_by(shop, live))
    assert "labels USING COVERING INDEX labels_newest" in steps[0]
    assert not any("ORDER BY" in step or "SCAN" in step for step in steps)


def test_open_runs_are_counted_without_a_look_at_those_that_have_ended(
    connection: sqlite3.Connection,
) -> None:
    steps = plan(connection, counts._runs(("running", "waiting")))
    looks = [step for step in steps if "runs" in step]
    assert (
        looks == ["SEARCH runs USING COVERING INDEX runs_by_status (namespace=? AND status=?)"] * 2
    )


def test_keys_are_listed_in_the_order_of_an_index(connection: sqlite3.Connection) -> None:
    given = {"in_namespace": "default", "whose": "subject:ann", "after_id": "", "most": 9}
    first, *_ = plan(connection, keys._LIST, **given)
    assert "INDEX keys_by_subject (namespace=? AND subject>?)" in first


def test_the_rings_are_told_from_their_index(connection: sqlite3.Connection) -> None:
    [only] = plan(connection, keys._RINGS)
    assert "INDEX keys_by_ring" in only


def test_what_waits_for_people_is_found_without_a_look_at_what_they_have_answered(
    connection: sqlite3.Connection,
) -> None:
    [only] = plan(connection, approvals._WAITING, since=1, most=9)
    assert "INDEX approvals_waiting (requested_at>?)" in only
