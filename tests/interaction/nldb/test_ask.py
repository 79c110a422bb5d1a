"""Questions in plain words: through gRPC, with a script in the place of a model, on real files."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from stepwell.bootstrap import open_runtime
from stepwell.client import Client, Event, Run, RunStatus
from stepwell.config import load_settings
from stepwell.engine.events import Custom, LlmCall
from stepwell.engine.values import Json
from stepwell.errors import Code, Denied, SetupError
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_AGENT
from stepwell_mcp.offers import offered
from stepwell_server.grpc_server import GrpcServer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_loop")]

STAFF = """
CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT, email TEXT, city TEXT);
INSERT INTO staff VALUES (1, 'Ida Berg', 'ida@work', 'Oslo'), (2, 'Mia Holm', 'mia@work', 'Oslo');
INSERT INTO customers VALUES (900, 'Ida Berg', 'Rome', 'ida@home', '2022-02-02');
"""

LESSON = """
terms: { customers: [clientele] }
metrics: { takings: { table: order_items, value: sum(quantity * price_cents) } }
verified:
  - question: people of {city}
    sql: SELECT name FROM customers WHERE city = :city ORDER BY name
    by: ann
"""

WORKFLOW = """
workflow: report
input: { type: object, required: [question], properties: { question: { type: string } } }
nodes:
  - id: asked
    tool: db_ask
    with: { datasource: shop, question: "=input.question" }
output: "=asked.output.outcome"
"""


def filled(verb: str, **members: Any) -> dict[str, Any]:
    """A plan as a model fills it in, with what it leaves empty."""
    lists = ("tables", "outputs", "where", "group", "order", "set", "columns", "rows")
    empty: dict[str, Any] = {name: [] for name in lists}
    plain = {"changes": "", "limit": 0, "ties": False, "distinct": False}
    return {"verb": verb, **empty, **plain, **members}


def read_from(table: str) -> list[dict[str, Any]]:
    return [{"table": table, "name": "", "how": "from", "on": [], "any": ""}]


def where(value: str, comparison: str, *values: Any) -> dict[str, Any]:
    plain = {"ignore_case": False, "any": ""}
    said = "='='" if comparison == "=" else comparison  # a sign that begins CEL in a script
    return {"value": value, "comparison": said, "values": list(values), **plain}


def planned(plan: dict[str, Any], **coverage: str) -> dict[str, Any]:
    """A reading as a plan."""
    return {"meaning": "", "plan": plan, "sql": None, "coverage": covering(**coverage)}


def written(
    text: str, kind: str = "query", meaning: str = "", *, values: dict[str, Any], **coverage: str
) -> dict[str, Any]:
    """A reading as SQL."""
    parameters = [{"name": name, "value": value} for name, value in values.items()]
    sql = {"kind": kind, "text": text, "parameters": parameters, "assumptions": ["as SQL"]}
    return {"meaning": meaning, "plan": None, "sql": sql, "coverage": covering(**coverage)}


def covering(**coverage: str) -> list[dict[str, str]]:
    return [{"word": word, "use": use} for word, use in coverage.items()]


def script(when: str, *readings: dict[str, Any], reason: str = "") -> dict[str, Any]:
    """What the model answers to a message that holds a text."""
    return {"when": when, "turns": [{"json": {"readings": list(readings), "reason": reason}}]}


def priciest(name: str = "name") -> dict[str, Any]:
    """The two products that cost most, of those above 100."""
    return filled(
        "select",
        tables=read_from("products"),
        outputs=[{"value": name, "name": "name"}],
        where=[where("products.price_cents", ">", 100)],
        order=[{"value": "price_cents", "descending": True}],
        limit=2,
    )


def staff(*conditions: dict[str, Any], value: str = "staff.name") -> dict[str, Any]:
    return filled(
        "select",
        tables=read_from("staff"),
        outputs=[{"value": value, "name": "name"}],
        where=list(conditions),
    )


RANKED = "SELECT name, rank() OVER (ORDER BY price_cents DESC) AS place FROM products"
BY_NAME = written(RANKED, meaning="by \u003cb>price", values={}, ranks="rank", goodies="products")
SCRIPT = {
    "conversations": [
        script(
            "goodies\n</question>\n\nYou have written",
            planned(priciest(), priciest="price_cents descending", goodies="products"),
        ),
        script(
            "priciest goodies",
            planned(priciest("nane"), priciest="price_cents", goodies="products"),
        ),
        script("vaguest goodies", planned(priciest(), goodies="products")),
        script("shiniest goodies", planned(priciest(), shiniest="used", goodies="products")),
        script("ranks of goodies", BY_NAME),
        script(
            "chosen this one; give no other: Reads staff.name from staff where staff.id is 2",
            planned(staff(where("id", "=", 2)), latest="staff.id", colleague="staff"),
        ),
        script(
            "latest colleague",
            planned(staff(where("id", "=", 2)), latest="staff.id", colleague="staff"),
            planned(
                staff(where("email", "starts", "ida")), latest="staff.email", colleague="staff"
            ),
        ),
        script(
            "second colleague",
            planned(staff(where("id", "=", 2)), second="staff.id", colleague="staff"),
            planned(
                staff(where("email", "starts", "mia")), second="staff.email", colleague="staff"
            ),
        ),
        script("unicorns", reason="no table holds unicorns"),
        script(
            "kick out",
            planned(
                filled("delete", changes="staff", where=[where("name", "=", "Mia Holm")]),
                kick="delete",
                out="delete",
                mia="Mia Holm",
                holm="Mia Holm",
            ),
        ),
        script(
            "fire Ida",
            written(
                "DELETE FROM staff WHERE name = :who",
                kind="change",
                values={"who": "Ida Berg"},
                fire="delete",
                ida="Ida Berg",
                berg="Ida Berg",
            ),
        ),
        script(
            "dwellers",
            planned(staff(where("staff.city", "=", "Osloo")), dwellers="staff.name", osloo="Osloo"),
        ),
        script("obey", {**planned(priciest(), obey="name"), "also": "DROP TABLE staff"}),
    ]
}


class Home(NamedTuple):
    """A runtime with its gRPC door, and the datasource `shop`."""

    client: Client
    service: Service
    agent: Client
    path: Path


async def opened(tmp_path: Path, overrides: dict[str, object]) -> AsyncIterator[Home]:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript((files("stepwell_server") / "demo" / "shop.sql").read_text())
        database.executescript(STAFF)
    home = tmp_path / "home"
    home.mkdir()
    (home / "script.json").write_bytes(msgspec.json.encode(SCRIPT))
    async with open_runtime(load_settings(home, {}, overrides)) as runtime:
        server = GrpcServer(runtime.service, host="127.0.0.1", port=0, owner_token="owner")
        address = f"127.0.0.1:{await server.start()}"
        async with Client(address, token="owner") as client, Client(address) as agent:
            await client.datasources.create("shop", f"sqlite:///{path}")
            yield Home(client, runtime.service, agent, path)
        await server.stop(timedelta(0))


@pytest.fixture
async def keyless(tmp_path: Path) -> AsyncIterator[Home]:
    async for home in opened(tmp_path, {}):
        yield home


@pytest.fixture
async def modelled(tmp_path: Path) -> AsyncIterator[Home]:
    overrides: dict[str, object] = {"models.small": "fake:script.json", "nldb.model": "small"}
    async for home in opened(tmp_path, overrides):
        yield home


async def ask(home: Home, question: str, **asked: Any) -> Json:
    run = await home.client.datasources.ask("shop", question, **asked)
    assert run.status is RunStatus.COMPLETED, run.failure
    return run.output


async def events_of(home: Home, run: str) -> Sequence[Event]:
    return (await home.client.events(run)).events


async def told(home: Home, run: str) -> list[tuple[str, Json]]:
    """The `custom` events of a run."""
    facts = [event.fact for event in await events_of(home, run)]
    return [(fact.type, fact.payload.value) for fact in facts if isinstance(fact, Custom)]


async def runs_below(home: Home, run: str) -> list[Run]:
    page = await home.client.list(filter=f'parent = "runs/{run}"')
    return list(page.runs)


async def test_a_plain_question_is_answered_with_its_sql_and_where_it_comes_from(
    keyless: Home,
) -> None:
    answer = await ask(keyless, "How many products are there?")

    assert (answer["outcome"], answer["by"]) == ("answer", "pattern")
    assert answer["sql"]["written"] == ('SELECT COUNT(*) AS "number of products" FROM "products"')
    assert answer["sql"]["executed"].startswith("SELECT count(*)")
    assert answer["explanation"] == {
        "summary": "Reads number of rows from products",
        "tables": ["products"],
        "filters": [],
    }
    with closing(sqlite3.connect(keyless.path)) as database:
        expected = database.execute("SELECT count(*) FROM products").fetchall()
    assert answer["rows"] == [list(row) for row in expected]
    assert (answer["returned"], answer["total"], answer["truncated"]) == (1, 1, False)


async def test_an_answer_says_how_many_rows_it_left_out(keyless: Home) -> None:
    answer = await ask(keyless, "names of products", rows=3)

    assert (answer["returned"], answer["truncated"]) == (3, True)
    assert answer["total"] > 3
    assert "only the first 3 rows are here, there are more" in answer["notes"]


async def test_the_limits_of_a_statement_hold_for_every_tool(tmp_path: Path) -> None:
    overrides: dict[str, object] = {"datasources.rows": 2, "datasources.timeout": "7s"}
    async for home in opened(tmp_path, overrides):
        answer = await ask(home, "names of products", rows=5)
        tools = {tool.name: tool for tool in await home.service.list_tools(LOCAL_AGENT)}

    assert (answer["returned"], answer["truncated"]) == (2, True)
    names = ("db_query", "db_preview_write", "db_apply", "db_undo")
    assert {name: tools[name].timeout for name in names} == dict.fromkeys(names, 7_000_000)


async def test_the_other_rows_of_an_answer_are_shown_by_its_result(keyless: Home) -> None:
    answer = await ask(keyless, "names of products", rows=5)

    page = {"result_id": answer["result_id"], "offset": 3}
    run = await keyless.client.wait((await keyless.client.call("db_result", page)).id)

    assert run.failure is None
    shown: Any = run.output
    assert shown["rows"] == answer["rows"][3:]


@pytest.mark.parametrize(
    ("name", "hint"), [("shopp", "did you mean shop?"), ("music", "there are shop")]
)
async def test_a_datasource_that_is_not_there_is_answered_with_those_that_are(
    keyless: Home, name: str, hint: str
) -> None:
    """A model cannot look for them with a command."""
    run = await keyless.agent.wait((await keyless.agent.call("db_schema", {"datasource": name})).id)
    assert run.failure is not None
    assert run.failure.message == f"there is no datasource {name!r}; {hint}"


async def test_what_no_word_means_is_refused_with_the_word(keyless: Home) -> None:
    answer = await ask(keyless, "how many unicorns")

    assert answer == {
        "outcome": "cannot_answer",
        "reason": "nothing in this database and no word of a question is meant by 'unicorns'",
        "words": ["unicorns"],
    }


@pytest.mark.parametrize(
    "question",
    [" ", "?", "x" * 100_000, "Wie viele Kunden gibt es in Oslo?", "'; DROP TABLE x; --"],
)
async def test_a_question_that_is_none_is_refused(keyless: Home, question: str) -> None:
    answer = await ask(keyless, question)

    assert answer["outcome"] == "cannot_answer"


async def test_two_readings_with_different_answers_are_asked_back(keyless: Home) -> None:
    question = "what is the email of Ida Berg"
    asked = await ask(keyless, question)

    assert asked["outcome"] == "clarify"
    meanings = {option["meaning"]: option["reading"] for option in asked["options"]}
    reading = meanings["staff.name is 'Ida Berg'; staff.email"]
    answer = await ask(keyless, question, reading=reading)
    assert answer["rows"] == [["ida@work"]]
    assert answer["assumptions"][-1] == "you chose: staff.name is 'Ida Berg'; staff.email"
    again = await ask(keyless, question, reading="nonsense")
    assert again["outcome"] == "clarify"


async def test_readings_with_the_same_answer_are_one(keyless: Home) -> None:
    with closing(sqlite3.connect(keyless.path)) as database, database:
        database.execute("UPDATE staff SET email = 'ida@home' WHERE name = 'Ida Berg'")

    answer = await ask(keyless, "what is the email of Ida Berg")

    assert answer["rows"] == [["ida@home"]]
    assert "2 ways to read the question have the same answer" in answer["assumptions"]


async def test_a_person_is_asked_where_the_caller_wants_it(keyless: Home) -> None:
    client = keyless.client
    run = await client.datasources.ask(
        "shop", "what is the email of Ida Berg", ask_back=True, timeout=timedelta(0)
    )
    while not run.questions:
        run = await client.wait(run.id, timedelta(milliseconds=100))
    (question,) = run.questions
    await client.answer(
        run.id,
        question.id,
        content={"meaning": "customers.name is 'Ida Berg'; customers.email"},
    )
    ended = await client.wait(run.id, timedelta(seconds=20))

    assert ended.output["rows"] == [["ida@home"]]


async def test_what_a_datasource_was_taught_is_used(keyless: Home) -> None:
    assert await keyless.client.datasources.teach("shop", LESSON) == ()

    people = await ask(keyless, "people of Oslo")
    clientele = await ask(keyless, "how many clientele")

    assert (people["outcome"], people["by"]) == ("answer", "verified query")
    assert people["sql"]["parameters"] == {"city": "Oslo"}
    assert "ann" in people["explanation"]["summary"]
    assert clientele["explanation"]["tables"] == ["customers"]


async def test_a_verified_query_is_not_used_after_the_schema_has_changed(keyless: Home) -> None:
    await keyless.client.datasources.teach("shop", LESSON)
    with closing(sqlite3.connect(keyless.path)) as database:
        database.execute("CREATE TABLE added (id INTEGER PRIMARY KEY)")

    people = await ask(keyless, "people of Oslo")

    assert people["outcome"] == "cannot_answer"


async def test_everything_that_is_wrong_with_a_lesson_is_told_and_nothing_is_kept(
    keyless: Home,
) -> None:
    await keyless.client.datasources.teach("shop", LESSON)
    problems = await keyless.client.datasources.teach(
        "shop",
        "terms: { custmers: [x] }\n"
        "verified:\n"
        "  - { question: how is it, sql: DELETE FROM staff }\n"
        "  - { question: 'of {a}', sql: SELECT 1 }\n"
        "extra: 1\n",
    )

    assert [one.path for one in problems] == [
        "terms.custmers",
        "verified[0].sql",
        "verified[1].question",
        "extra",
    ]
    assert (await ask(keyless, "people of Oslo"))["outcome"] == "answer"


async def test_an_agent_teaches_nothing(keyless: Home) -> None:
    with pytest.raises(Denied):
        await keyless.agent.datasources.teach("shop", LESSON)


async def test_the_log_tells_what_ran_and_holds_no_value(keyless: Home) -> None:
    run = await keyless.client.datasources.ask("shop", "customers from Oslo")

    assert run.output["outcome"] == "answer", run.output
    ((type, payload),) = await told(keyless, run.id)
    assert type == "nldb.executed"
    assert payload["tables"] == ["customers"]
    assert payload["rows"] == run.output["returned"]
    assert "Oslo" not in str(payload)


async def test_a_node_of_a_workflow_asks(keyless: Home) -> None:
    await keyless.client.workflows.put(WORKFLOW)
    started = await keyless.client.run("report", {"question": "how many staff"})
    run = await keyless.client.wait(started.id, timedelta(seconds=20))

    assert run.output == "answer"


async def test_clients_of_mcp_see_a_title_and_what_it_answers(keyless: Home) -> None:
    specs = await keyless.service.list_tools(LOCAL_AGENT)

    (offer,) = [one for one in offered(specs, (), any_root=True) if one.name == "db_ask"]

    assert offer.title == "Ask a database"
    assert offer.annotations is not None
    assert offer.annotations.read_only_hint is True
    assert offer.output_schema is not None


async def test_a_model_fills_in_what_patterns_do_not_understand_and_corrects_itself(
    modelled: Home,
) -> None:
    run = await modelled.client.datasources.ask("shop", "the priciest goodies")

    assert run.status is RunStatus.COMPLETED, run.failure
    answer = run.output
    assert (answer["outcome"], answer["by"]) == ("answer", "model")
    assert answer["returned"] == 2
    assert answer["sql"]["parameters"] == {"p1": 100}
    assert [type for type, _ in await told(modelled, run.id)] == [
        "nldb.linked",
        "nldb.generated",
        "nldb.checked",
        "nldb.repaired",
        "nldb.generated",
        "nldb.executed",
    ]


async def test_what_is_told_of_a_plan_comes_from_the_plan(modelled: Home) -> None:
    answer = await ask(modelled, "the priciest goodies")

    assert answer["explanation"] == {
        "summary": "Reads products.name from products where products.price_cents is more than 100, "
        "sorted by products.price_cents downwards, the first 2",
        "tables": ["products"],
        "filters": ["products.price_cents is more than 100"],
    }
    assert answer["assumptions"] == [
        "'priciest' is taken as price_cents",
        "'goodies' is taken as products",
    ]


async def test_a_model_writes_sql_where_a_plan_cannot_say_it(modelled: Home) -> None:
    answer = await ask(modelled, "ranks of goodies")

    assert (answer["outcome"], answer["by"]) == ("answer", "model")
    assert answer["sql"]["written"] == RANKED
    said = "Runs SQL of a model that reads products.name, products.price_cents"
    assert answer["explanation"]["summary"] == said
    assert answer["assumptions"] == ["as SQL"]


async def test_each_call_of_a_model_is_an_event_of_a_run_below_and_its_prompt_is_sealed(
    modelled: Home,
) -> None:
    run = await modelled.client.datasources.ask("shop", "the priciest goodies")

    below = await runs_below(modelled, run.id)
    assert [one.workflow for one in below] == ["db_ask", "db_ask"]
    for one in below:
        calls = [e.fact for e in await events_of(modelled, one.id) if isinstance(e.fact, LlmCall)]
        assert len(calls) == 1
        assert calls[0].messages.blob is not None
        assert calls[0].messages.blob.label == "datasource:shop"


async def test_a_run_pays_for_the_models_that_its_questions_need(modelled: Home) -> None:
    await modelled.client.workflows.put(WORKFLOW)
    started = await modelled.client.run(
        "report", {"question": "the priciest goodies"}, limits={"tokens": 1}
    )
    below: list[Run] = []
    while not below or below[0].status is not RunStatus.PAUSED:
        below = await runs_below(modelled, started.id)

    assert below[0].status is RunStatus.PAUSED
    await modelled.client.cancel(started.id)


@pytest.mark.parametrize("word", ["vaguest", "shiniest"])
async def test_a_model_that_leaves_a_word_out_gets_no_answer(modelled: Home, word: str) -> None:
    run = await modelled.client.datasources.ask("shop", f"the {word} goodies")

    assert run.output["outcome"] == "cannot_answer"
    assert run.output["words"] == [word]
    assert len(await runs_below(modelled, run.id)) == 2  # the same plan twice is the end


async def test_readings_of_a_model_with_different_rows_are_asked_back(modelled: Home) -> None:
    asked = await ask(modelled, "the latest colleague")

    assert asked["outcome"] == "clarify"
    readings = [option["reading"] for option in asked["options"]]
    assert readings == [
        "Reads staff.name from staff where staff.id is 2",
        "Reads staff.name from staff where staff.email begins with 'ida'",
    ]
    answer = await ask(modelled, "the latest colleague", reading=readings[0])
    assert (answer["outcome"], answer["by"]) == ("answer", "model")
    assert answer["rows"] == [["Mia Holm"]]


async def test_readings_of_a_model_with_the_same_rows_are_one(modelled: Home) -> None:
    answer = await ask(modelled, "the second colleague")

    assert answer["rows"] == [["Mia Holm"]]
    assert "2 ways to read the question have the same answer" in answer["assumptions"]


async def test_a_person_chooses_among_the_readings_of_a_model_without_another_call(
    modelled: Home,
) -> None:
    client = modelled.client
    run = await client.datasources.ask(
        "shop", "the latest colleague", ask_back=True, timeout=timedelta(0)
    )
    while not run.questions:
        run = await client.wait(run.id, timedelta(milliseconds=100))
    (question,) = run.questions
    meaning = "Reads staff.name from staff where staff.email begins with 'ida'"
    await client.answer(run.id, question.id, content={"meaning": meaning})
    ended = await client.wait(run.id, timedelta(seconds=20))

    assert ended.output["rows"] == [["Ida Berg"]]
    assert ended.output["assumptions"][-1] == f"you chose: {meaning}"
    assert len(await runs_below(modelled, run.id)) == 1


async def test_an_answer_of_another_form_is_no_answer_whatever_told_the_model_to_give_it(
    modelled: Home,
) -> None:
    run = await modelled.client.datasources.ask("shop", "obey")

    assert run.status is RunStatus.FAILED
    with closing(sqlite3.connect(modelled.path)) as database:
        assert database.execute("SELECT count(*) FROM staff").fetchone() == (2,)


async def test_a_model_may_say_that_there_is_no_answer(modelled: Home) -> None:
    assert await ask(modelled, "how many unicorns") == {
        "outcome": "cannot_answer",
        "reason": "no table holds unicorns",
        "words": [],
    }


@pytest.mark.parametrize("question", ["kick out Mia Holm", "fire Ida Berg"])
async def test_a_change_that_the_policy_does_not_open_is_not_written_again(
    modelled: Home, question: str
) -> None:
    run = await modelled.client.datasources.ask("shop", question)

    assert run.output["outcome"] == "cannot_answer"
    assert "sql.not_writable" in run.output["reason"]
    assert len(await runs_below(modelled, run.id)) == 1


async def test_no_rows_for_a_value_that_is_not_there_names_the_nearest(modelled: Home) -> None:
    answer = await ask(modelled, "dwellers of Osloo")

    assert answer["rows"] == []
    assert answer["notes"] == ["there is no 'Osloo'; did you mean 'Oslo'?"]


async def test_a_model_that_is_not_configured_is_told_at_the_start(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {}, {"nldb.model": "large"})

    with pytest.raises(SetupError, match="class 'large'") as refused:
        async with open_runtime(settings):
            pytest.fail("it started")

    assert refused.value.code is Code.MODEL_NOT_CONFIGURED
