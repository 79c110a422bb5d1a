"""What a tool may say and ask while it runs: by its line, whoever is at the other end."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest

from stepwell import Question, Reply, ask, ask_all, ask_url, log, report, tool
from stepwell.engine.values import Data, Json
from stepwell.tools.asking import Level, Line
from stepwell.tools.invoke import invoke
from stepwell.tools.port import CallContext, ToolFailed
from stepwell.tools.process import ProcessPool
from stepwell.tools.python import function_tool

pytestmark = pytest.mark.anyio

CONTEXT = CallContext(
    namespace="default", principal="user:ann", run="r1", step="s", attempt=1, key="r1/s"
)


class Person:
    """Answers what is asked, and hears what is said."""

    def __init__(self, replies: Mapping[str, Reply] = {}) -> None:
        self.replies = replies
        self.asked: dict[str, Question] = {}
        self.heard: list[object] = []
        self.patience = 0.0

    async def ask(self, questions: Mapping[str, Question]) -> Mapping[str, Reply]:
        self.asked |= questions
        await asyncio.sleep(self.patience)
        return {key: self.replies.get(key, Reply("accept", {"n": key})) for key in questions}

    def report(self, done: float, total: float | None, words: str) -> None:
        self.heard.append((done, total, words))

    def log(self, level: Level, data: Json, logger: str) -> None:
        self.heard.append((level, data, logger))

    @property
    def line(self) -> Line:
        return Line(self.ask, report=self.report, log=self.log)


async def called(function: object, person: Person) -> Data:
    async with ProcessPool(size=1) as processes:
        made = function_tool(function, processes=processes)  # type: ignore[arg-type]
        return await invoke(made, {}, CONTEXT, line=person.line)


@tool
async def deletes() -> str:
    """Deletes everything, if that is wanted."""
    reply = await ask("Really everything?", key="sure")
    return "deleted" if reply.is_accepted else "left alone"


async def test_a_tool_goes_on_with_what_the_person_said() -> None:
    assert (await called(deletes, Person())).value == "deleted"
    assert (await called(deletes, Person({"sure": Reply("decline")}))).value == "left alone"


async def test_several_things_are_asked_at_once_by_their_names() -> None:
    @tool
    async def orders() -> list[str]:
        """Orders something."""
        replies = await ask_all(
            {
                "what": Question("What?", schema={"type": "object", "properties": {}}),
                "card": Question("Enter your card", "url", url="https://pay.example/1"),
            }
        )
        return [replies["what"].content["n"], replies["card"].content["n"]]

    person = Person()
    assert (await called(orders, person)).value == ["what", "card"]
    assert person.asked["card"].url == "https://pay.example/1"


async def test_a_question_without_a_name_is_named_by_what_it_says_and_how_often() -> None:
    @tool
    async def asks() -> list[str]:
        """Asks the same thing twice, and another one between."""
        said = [
            await ask("Go on?"),
            await ask_url("Look", "https://example.com/"),
            await ask("Go on?"),
        ]
        return [it.content["n"] for it in said]

    first = (await called(asks, Person())).value
    assert first == (await called(asks, Person())).value
    assert len(set(first)) == 3
    assert first[2] == f"{first[0]}-2"


async def test_the_time_of_a_tool_does_not_run_while_a_person_is_asked() -> None:
    @tool(timeout=timedelta(milliseconds=100))
    async def waits() -> str:
        """Asks two things, one after the other and both at once."""
        await ask("One?")
        await asyncio.gather(ask("Two?"), ask("Three?"))
        return "answered"

    @tool(timeout=timedelta(milliseconds=100))
    async def idles() -> None:
        """Asks, and takes too long afterwards."""
        await ask("One?")
        await asyncio.sleep(60)

    person = Person()
    person.patience = 0.2
    assert (await called(waits, person)).value == "answered"
    with pytest.raises(ToolFailed, match=r"did not end within 0\.1 s"):
        await called(idles, person)


async def test_what_a_tool_reports_and_logs_is_heard() -> None:
    @tool
    async def works() -> None:
        """Says how far it is."""
        report(1, 3, "one of them")
        log("warning", {"disk": "nearly full"}, logger="disk")

    person = Person()
    await called(works, person)
    assert person.heard == [(1, 3, "one of them"), ("warning", {"disk": "nearly full"}, "disk")]


@pytest.mark.parametrize(
    ("key", "question", "told"),
    [
        ("q", Question(), "has no message"),
        ("q", Question("Look", "url", url="ftp://example.com"), "needs the url of a page"),
        ("q", Question("?", schema={"type": "array"}), "must be of an object"),
        ("q", Question("?", expires=timedelta(0)), "expire before it is asked"),
        ("", Question("?"), "1 to 64 characters"),
        ("q", Question("?", "shout"), "no kind of question"),  # type: ignore[arg-type]
        ("q", "What?", "not a Question"),
    ],
)
async def test_what_nobody_could_be_asked_is_refused(
    key: str, question: Question, told: str
) -> None:
    @tool
    async def asks() -> None:
        """Asks what it should not."""
        with pytest.raises(TypeError, match=told):
            await ask_all({key: question})

    await called(asks, Person())


async def test_nothing_is_asked_or_said_where_no_call_is_under_way() -> None:
    with pytest.raises(RuntimeError, match="no call of a tool is under way"):
        report(1)
    with pytest.raises(RuntimeError, match="no call of a tool is under way"):
        log("info", "hello")
    with pytest.raises(RuntimeError, match="no call of a tool is under way"):
        await ask("Anybody?")


@tool
def asks_in_a_process() -> str:
    """Asks where it cannot."""
    return asyncio.run(ask("Anybody?")).action


async def test_a_tool_in_a_process_of_its_own_is_told_that_it_asks_nobody() -> None:
    with pytest.raises(ToolFailed, match="inside of an async function that is decorated"):
        await called(asks_in_a_process, Person())
