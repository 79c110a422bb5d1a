"""Asks `db_ask` without a model, on both engines: what a user gets, from the question to the rows."""

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import psycopg

from bench.nldb.answers import Unreadable, canonical_text, digest, is_answer
from bench.nldb.engines import CONTEXT, both_engines, untaught
from bench.nldb.questions import Answer, CannotAnswer, Clarify, Question, Write
from stepwell.clock import SystemClock
from stepwell.nldb.ask import outcomes
from stepwell.nldb.ask.asker import Asked, Asker
from stepwell.nldb.ask.known import Knowledge
from stepwell.nldb.limits import Limits
from stepwell.nldb.model import Dialect

Verdict: TypeAlias = Literal["right", "refused", "asked back", "silently wrong"]
Rows: TypeAlias = list[tuple[object, ...]]
_LIMITS = Limits(rows=10_000, size=64 * 1024 * 1024)


class Judged(NamedTuple):
    """A question, where it was asked, and what became of it."""

    question: Question
    dialect: Dialect
    verdict: Verdict
    said: str


async def evaluate(questions: Sequence[Question], path: Path) -> list[Judged]:
    """Each question on each engine, with its verdict. The path is absolute."""
    async with both_engines(path) as (databases, urls):
        knowledge = Knowledge(databases, untaught, clock=SystemClock())
        asker = Asker(databases, knowledge, limits=_LIMITS)
        return [
            _judged(question, dialect, await asker.ask(_asked(question, dialect), CONTEXT), url)
            for dialect, url in urls.items()
            for question in questions
        ]


def _asked(question: Question, dialect: Dialect) -> Asked:
    return Asked(datasource=dialect, question=question.question, rows=_LIMITS.rows)


def _judged(question: Question, dialect: Dialect, outcome: outcomes.Outcome, url: str) -> Judged:
    match outcome:
        case outcomes.Answer():
            rows = [tuple(row) for row in outcome.rows]
            is_right = isinstance(question, Answer) and is_answer(question.gold, rows)
            return _stated(question, dialect, outcome.sql, is_right=is_right)
        case outcomes.Change():
            is_right = isinstance(question, Write) and _changes(question, outcome.sql, url)
            return _stated(question, dialect, outcome.sql, is_right=is_right)
        case outcomes.Clarify():
            verdict: Verdict = "right" if isinstance(question, Clarify) else "asked back"
            meanings = " | ".join(option.meaning for option in outcome.options)
            return Judged(question, dialect, verdict, meanings)
        case outcomes.CannotAnswer():
            verdict = "right" if isinstance(question, CannotAnswer) else "refused"
            return Judged(question, dialect, verdict, outcome.reason)


def _stated(
    question: Question, dialect: Dialect, sql: outcomes.Statement, *, is_right: bool
) -> Judged:
    verdict: Verdict = "right" if is_right else "silently wrong"
    return Judged(question, dialect, verdict, f"{sql.written} {sql.parameters}")


def _changes(question: Write, sql: outcomes.Statement, url: str) -> bool:
    """As many changes, and the table is what it should be afterwards; nothing of it stays."""
    changed = _on_sqlite if url.startswith("sqlite") else _on_postgres
    changes, rows = changed(question, sql, url)
    try:
        text = canonical_text(rows, question.after.types, ordered=question.after.ordered)
    except Unreadable:
        return False
    return changes == question.changes and digest(text) == question.after.sha256


def _on_sqlite(question: Write, sql: outcomes.Statement, url: str) -> tuple[int, Rows]:
    path = url.removeprefix("sqlite:///")
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(":memory:")) as copy,
    ):
        source.backup(copy)
        copy.execute("PRAGMA foreign_keys = ON")
        changes = copy.execute(sql.written, sql.parameters).rowcount
        return changes, copy.execute(question.after.sql).fetchall()


def _on_postgres(question: Write, sql: outcomes.Statement, url: str) -> tuple[int, Rows]:
    named = re.sub(r":(p\d+)", r"%(\1)s", sql.written.replace("%", "%%"))
    with psycopg.connect(url) as connection:
        changes = connection.execute(named.encode(), sql.parameters).rowcount
        after = question.after.postgres or question.after.sql
        rows: Rows = connection.execute(after.encode()).fetchall()
        connection.rollback()
        return changes, rows
