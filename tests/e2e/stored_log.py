"""The log and the leases as the database has them, looked up behind the back of every daemon."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import psycopg

SQLITE = "sqlite:///"

EVENTS = "SELECT {run}, kind, sequence, position FROM {schema}events ORDER BY position"
"""A row holds consecutive events: their kinds, and the numbers of the last."""

LEASES = "SELECT {run}, owner, epoch, sequence FROM {schema}leases"


class Entry(NamedTuple):
    """One event; `run` is in hexadecimal digits."""

    position: int
    run: str
    sequence: int
    kind: str


class LeaseRow(NamedTuple):
    """Who may write to a run, and up to where it was written."""

    owner: str | None
    epoch: int
    sequence: int


def entries(url: str) -> list[Entry]:
    """All events, in the order of positions."""
    return [entry for row in _rows(url, EVENTS) for entry in _events_of(*row)]


def leases(url: str) -> dict[str, LeaseRow]:
    """The lease of every run, which is named in hexadecimal digits."""
    return {run: LeaseRow(*row) for run, *row in _rows(url, LEASES)}


def _rows(url: str, query: str) -> list[Any]:
    if url.startswith(SQLITE):
        file = f"file:{url.removeprefix(SQLITE)}?mode=ro"
        with closing(sqlite3.connect(file, uri=True)) as database:
            return database.execute(query.format(run="lower(hex(run))", schema="")).fetchall()
    with psycopg.connect(url) as connection:
        asked = query.format(run="encode(run, 'hex')", schema="stepwell.")
        return connection.execute(asked.encode()).fetchall()


def _events_of(run: str, kinds: str, sequence: int, position: int) -> Iterator[Entry]:
    names = kinds.split(" ")
    for before, kind in zip(range(len(names) - 1, -1, -1), names, strict=True):
        yield Entry(position - before, run, sequence - before, kind)
