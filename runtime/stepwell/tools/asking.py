"""What a tool says and asks while it runs: `ask`, `ask_url`, `ask_all`, `report`, `log`.

A tool finds the call that it is part of in a context variable, so that what it calls may ask as
well. What was asked is kept by the run: a call that is made again after a crash is given the
answers that there are, and asks nothing twice.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias, get_args

from stepwell.engine.values import Json
from stepwell.tools.questions import MOST_AT_ONCE, Question, Reply, check_question

Level: TypeAlias = Literal[
    "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"
]
"""How much a message of a tool matters, as RFC 5424 has it."""
LEVELS: Final[tuple[str, ...]] = get_args(Level)

Ask: TypeAlias = Callable[[Mapping[str, Question]], Awaitable[Mapping[str, Reply]]]
"""Asks all of these, and ends when all are answered."""


class Line:
    """What one call in flight says, and to whom: its run keeps its questions."""

    def __init__(
        self,
        ask: Ask,
        *,
        report: Callable[[float, float | None, str], None],
        log: Callable[[Level, Json, str], None],
    ) -> None:
        self.report = report
        self.log = log
        self._ask = ask
        self._asked: Counter[str] = Counter()
        self._time: asyncio.Timeout | None = None
        self._left: float | None = None
        self._asking = 0

    def runs_within(self, time: asyncio.Timeout) -> None:
        """Names the time that the call has, which does not run while somebody is asked."""
        self._time = time

    async def ask(self, questions: Mapping[str, Question]) -> Mapping[str, Reply]:
        """Asks all of these, and ends when all are answered."""
        with self._stopped():
            return await self._ask(questions)

    def name(self, question: Question) -> str:
        """What a question is called that its tool gave no name.

        It is the same when the call is made again, in whatever order it asks then; the same
        question once more is another one.
        """
        digest = question.digest
        self._asked[digest] += 1
        count = self._asked[digest]
        return digest if count == 1 else f"{digest}-{count}"

    @contextmanager
    def _stopped(self) -> Iterator[None]:
        """Lets no time pass for the call, as long as anything is asked."""
        if self._asking == 0:
            self._stop_time()
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            if self._asking == 0:
                self._go_on_with_time()

    def _stop_time(self) -> None:
        self._left, time = None, self._time
        until = None if time is None or time.expired() else time.when()
        if time is not None and until is not None:
            self._left = until - asyncio.get_running_loop().time()
            time.reschedule(None)

    def _go_on_with_time(self) -> None:
        if self._time is not None and self._left is not None:
            self._time.reschedule(asyncio.get_running_loop().time() + self._left)


_line: ContextVar[Line | None] = ContextVar("stepwell_line", default=None)


@contextmanager
def speaking(line: Line | None) -> Iterator[None]:
    """Lets what runs inside say and ask on a line."""
    token = _line.set(line)
    try:
        yield
    finally:
        _line.reset(token)


def current_line() -> Line | None:
    """The line of the call that asks; None where there is none."""
    return _line.get()


async def ask(
    message: str,
    *,
    schema: Mapping[str, Any] | None = None,
    key: str = "",
    expires: timedelta | None = None,
) -> Reply:
    """Asks the person behind the caller to fill in a form; waits for the answer, however long.

    `schema` is of an object whose properties are strings, numbers, booleans or enums; without it
    the person says yes (`accept`) or no. `key` names the question inside the call. The time of the
    tool and of its step does not run meanwhile. What the tool did before it asked may be done
    again after a crash, so ask first, then act.

    Raises:
        TypeError: nobody could be asked this.
        RuntimeError: no call of a tool is under way here.
    """
    question = Question(message, schema=schema, expires=expires)
    return await _ask_one(question, key)


async def ask_url(
    message: str, url: str, *, key: str = "", expires: timedelta | None = None
) -> Reply:
    """Asks the person behind the caller to visit a page; `accept` says that he has.

    Raises:
        As `ask`.
    """
    return await _ask_one(Question(message, "url", url=url, expires=expires), key)


async def ask_all(questions: Mapping[str, Question]) -> dict[str, Reply]:
    """Asks several things at once, by their names; waits until all are answered.

    Raises:
        As `ask`.
    """
    line = _wanted("ask_all")
    if not 0 < len(questions) <= MOST_AT_ONCE:
        raise TypeError(f"ask_all asks 1 to {MOST_AT_ONCE} things, these are {len(questions)}")
    for key, question in questions.items():
        check_question(key, question)
    replies = await line.ask(questions)
    return {key: replies[key] for key in questions}


def report(done: float, total: float | None = None, message: str = "") -> None:
    """Tells whoever waits for the call how far it has come; of `total`, where that is known.

    Nothing of it is kept. Where nobody waits, nobody hears.

    Raises:
        RuntimeError: no call of a tool is under way here.
    """
    _wanted("report").report(done, total, message)


def log(level: Level, data: Json, logger: str = "") -> None:
    """Sends a message to the client that waits for the call, if it wants those of this level.

    Raises:
        TypeError: there is no such level.
        RuntimeError: no call of a tool is under way here.
    """
    if level not in LEVELS:
        raise TypeError(f"{level!r} is no level of a message; there are {', '.join(LEVELS)}")
    _wanted("log").log(level, data, logger)


async def _ask_one(question: Question, key: str) -> Reply:
    line = _wanted("ask")
    check_question(key or "question", question)
    name = key or line.name(question)
    return (await line.ask({name: question}))[name]


def _wanted(what: str) -> Line:
    line = _line.get()
    if line is None:
        raise RuntimeError(
            f"{what}() was called where no call of a tool is under way; call it inside of an async "
            "function that is decorated with @tool"
        )
    return line
