"""Lets a scripted model answer the gold SQL, through the guard and the executors of both engines.

What comes back must be the expected rows: it shows that nothing on the way changes what a
statement means. `python -m bench.nldb.evaluate --gold --part open` runs it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from dev.postgres import running_postgres

from bench.nldb.answers import Gold, is_answer
from bench.nldb.postgres import copy_to_postgres
from bench.nldb.questions import Answer, Clarify, Question
from stepwell.clock import SystemClock
from stepwell.engine.values import Data
from stepwell.errors import StepwellError
from stepwell.nldb.ask.asker import Asked
from stepwell.nldb.ask.known import Knowledge
from stepwell.nldb.ask.modelled import Modelled
from stepwell.nldb.ask.outcomes import CannotAnswer
from stepwell.nldb.ask.telling import Log, untold
from stepwell.nldb.databases import Databases
from stepwell.nldb.datasources import OwnFiles, opener
from stepwell.nldb.limits import Limits
from stepwell.nldb.link.words import words_of
from stepwell.nldb.model import Access, Catalog, Dialect, open_access
from stepwell.tools.port import CallContext
from stepwell.tools.process import ProcessPool
from stepwell.tools.secrets import Secrets

_CONTEXT = CallContext(
    namespace="bench", principal="user:bench", run="run", step="step", attempt=1, key="key"
)
_LIMITS = Limits(rows=10_000, size=64 * 1024 * 1024)


class Same(NamedTuple):
    """A gold statement, and whether its rows came back; `problem` is why not."""

    id: str
    dialect: Dialect
    is_same: bool
    problem: str = ""


async def evaluate(questions: Sequence[Question], path: Path) -> list[Same]:
    """Every gold statement that reads, on both engines. The path is absolute."""
    with running_postgres() as server:
        url = server.create_database("gold")
        copy_to_postgres(path, url)
        async with _databases({"sqlite": f"sqlite:///{path}", "postgres": url}) as databases:
            return [
                await _judged(f"{question.id}{suffix}", question.question, gold, dialect, databases)
                for question in questions
                for suffix, gold in _golds(question)
                for dialect in ("sqlite", "postgres")
            ]


def _golds(question: Question) -> list[tuple[str, Gold]]:
    match question:
        case Answer():
            return [("", question.gold)]
        case Clarify():
            return [(f"/{number}", gold) for number, gold in enumerate(question.readings)]
        case _:
            return []


@asynccontextmanager
async def _databases(urls: dict[str, str]) -> AsyncIterator[Databases]:
    async def url_of(namespace: str, name: str) -> str:
        return urls[name]

    nowhere = Path("/nowhere")
    secrets = Secrets({}, home=nowhere, store=lambda name: name)
    async with ProcessPool(size=2) as processes:
        opens = opener(processes=processes, secrets=secrets, own=OwnFiles(home=nowhere))
        async with Databases(url_of, opens, access_of=_all_may_read) as databases:
            yield databases


async def _all_may_read(context: CallContext, datasource: str, catalog: Catalog) -> Access:
    return open_access(catalog)


async def _judged(
    id: str, question: str, gold: Gold, dialect: Dialect, databases: Databases
) -> Same:
    written = gold.postgres or gold.sql if dialect == "postgres" else gold.sql

    async def model(context: CallContext, workflow: str, input: Data, key: str) -> Any:
        covered = [{"word": word, "use": "gold"} for word in words_of(question)]
        sql = {"kind": "query", "text": written}
        return {"readings": [{"sql": sql, "coverage": covered}]}

    async def untaught(namespace: str, name: str) -> bytes:
        return b""

    knowledge = Knowledge(databases, untaught, clock=SystemClock())
    modelled = Modelled(databases, knowledge, model)
    asked = Asked(datasource=dialect, question=question)
    try:
        proposed = await modelled.propose(asked, _CONTEXT, Log(untold, _CONTEXT))
        if isinstance(proposed, CannotAnswer):
            return Same(id, dialect, False, str(proposed))
        sql = proposed[0].statement.written
        _, rows = await databases.read(_CONTEXT, dialect, sql, limits=_LIMITS)
    except StepwellError as error:
        return Same(id, dialect, False, error.message)
    return Same(id, dialect, is_answer(gold, rows.rows), "" if rows.total else "no rows")
