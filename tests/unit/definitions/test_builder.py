"""The builder writes what a person would write in YAML."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from stepwell.definitions.builder import Workflow
from stepwell.definitions.compile import check_definition, compile_definition
from stepwell.definitions.do import Do, Retry
from stepwell.definitions.problems import InvalidDefinition

EXAMPLE = Path(__file__).parents[3] / "examples" / "workflows" / "answer-question.yaml"


def answer_question() -> Workflow:
    return (
        Workflow(
            "answer-question",
            description="Answer a question about the shop, and tell the channel when it is about "
            "big money.",
            input={
                "type": "object",
                "required": ["question"],
                "properties": {"question": {"type": "string"}},
            },
        )
        .agent(
            "analyst",
            model="small",
            instructions="Use figures from the database only. Name the tables you used.",
            tools=["db_schema", "db_query"],
            output={
                "type": "object",
                "required": ["text", "total"],
                "properties": {"text": {"type": "string"}, "total": {"type": "number"}},
            },
            turns=8,
        )
        .agent_step("ask", "analyst", message="=input.question", with_={"datasource": "shop"})
        .tool(
            "post",
            "chat.post",
            if_="=ask.output.total > 100",
            with_={"text": "=ask.output.text"},
            retry=Retry(max=3),
            timeout=timedelta(seconds=30),
            idempotent=True,
        )
        .output({"answer": "=ask.output.text"})
    )


def test_a_built_workflow_is_the_same_version_as_the_yaml() -> None:
    built = compile_definition(answer_question().source())

    assert built.version == compile_definition(EXAMPLE.read_bytes()).version


def test_every_kind_of_node_can_be_built() -> None:
    workflow = (
        Workflow("route")
        .transform("n", 3)
        .switch("big", ("=n.output > 2", "yes"), ("=n.output > 1", "maybe"), default="no")
        .transform("yes", {"text": "=string(n.output)"})
        .transform("maybe", None, if_="=n.output > 0")
        .tool("no", "log", needs=["n"])
    )

    assert check_definition(workflow.source(), tools={"log"}) == ()
    assert workflow.document() == {
        "workflow": "route",
        "nodes": [
            {"id": "n", "transform": 3},
            {
                "id": "big",
                "switch": [
                    {"if": "=n.output > 2", "then": "yes"},
                    {"if": "=n.output > 1", "then": "maybe"},
                    {"else": "no"},
                ],
            },
            {"id": "yes", "transform": {"text": "=string(n.output)"}},
            {"id": "maybe", "transform": None, "if": "=n.output > 0"},
            {"id": "no", "tool": "log", "needs": ["n"]},
        ],
    }


def test_nodes_that_wait_repeat_call_and_recover_can_be_built() -> None:
    workflow = (
        Workflow("refund", queue="nightly", input={"type": "object", "additionalProperties": True})
        .llm("sum", "small", message="=input.text", instructions="Be short.", queue="models")
        .map(
            "each",
            "=input.items",
            Do.tool(
                "fetch",
                with_={"url": "=item.url"},
                retry=Retry(max=3),
                timeout=timedelta(seconds=30),
                on_error="continue",
            ),
            concurrency=20,
            on_error="apologize",
        )
        .loop(
            "pages",
            Do.tool("page", with_={"after": "=last"}),
            while_="=last == null || last.more",
            max=20,
        )
        .workflow("child", "other", with_={"x": "=input.x"}, timeout=timedelta(hours=1))
        .wait("nap", timedelta(seconds=30))
        .wait("later", "=input.delay")
        .wait("then", until=datetime(2026, 3, 1, 10, 30, tzinfo=timezone(timedelta(hours=1))))
        .signal("go", "approved-by-ci", timeout=timedelta(days=1), on_error="continue")
        .approval("ok", "='Refund ' + string(input.amount) + '?'", needs=["go"])
        .tool(
            "charge",
            "charge",
            compensate=Do.tool("refund", with_={"id": "=output.id"}, idempotent=True),
        )
        .tool("apologize", "mail", with_={"why": "=each.error.message"})
    )

    assert workflow.document()["queue"] == "nightly"
    assert workflow.document()["nodes"] == [
        {
            "id": "sum",
            "llm": "small",
            "with": {"message": "=input.text"},
            "instructions": "Be short.",
            "queue": "models",
        },
        {
            "id": "each",
            "map": "=input.items",
            "do": {
                "tool": "fetch",
                "with": {"url": "=item.url"},
                "retry": {"max": 3},
                "timeout": "30s",
                "on_error": "continue",
            },
            "concurrency": 20,
            "on_error": "apologize",
        },
        {
            "id": "pages",
            "loop": {"while": "=last == null || last.more", "max": 20},
            "do": {"tool": "page", "with": {"after": "=last"}},
        },
        {"id": "child", "workflow": "other", "with": {"x": "=input.x"}, "timeout": "1h"},
        {"id": "nap", "wait": "30s"},
        {"id": "later", "wait": {"for": "=input.delay"}},
        {"id": "then", "wait": {"until": "2026-03-01T09:30:00Z"}},
        {"id": "go", "signal": "approved-by-ci", "timeout": "24h", "on_error": "continue"},
        {
            "id": "ok",
            "approval": "='Refund ' + string(input.amount) + '?'",
            "needs": ["go"],
        },
        {
            "id": "charge",
            "tool": "charge",
            "compensate": {"tool": "refund", "with": {"id": "=output.id"}, "idempotent": True},
        },
        {"id": "apologize", "tool": "mail", "with": {"why": "=each.error.message"}},
    ]
    assert compile_definition(workflow.source()).queue == "nightly"


@pytest.mark.parametrize(
    "do",
    [
        Do.agent("poet", message="=item", with_={"shop": 1}, on_error="continue"),
        Do.tool("t", idempotent=False),
        Do.llm("small", message="=item", output={"type": "object"}),
        Do.workflow("other", with_={"x": "=item"}, queue="web"),
        Do.wait(timedelta(seconds=1), on_error="fail"),
        Do.wait(until="=string(item)"),
        Do.signal("go", timeout=timedelta(days=2)),
        Do.approval({"text": "=item"}, timeout=timedelta(days=2)),
    ],
    ids=lambda do: next(iter(do.entry)),
)
def test_whatever_a_step_can_do_can_be_built(do: Do) -> None:
    workflow = (
        Workflow("w")
        .agent("poet", model="small", tools=["rhyme"])
        .agent_step("ask", "poet", message="hi")
        .map("each", [1, 2], do)
    )

    assert check_definition(workflow.source()) == ()


def test_a_mistake_in_a_built_workflow_is_told_like_any_other() -> None:
    workflow = Workflow("w").tool("t", "chat.pots", timeout=timedelta(seconds=1))

    [problem] = check_definition(workflow.source(), tools={"chat.post"})

    assert problem.path == "nodes[0].tool"
    assert problem.hint == "did you mean `chat.post`?"


def test_what_is_wrong_with_a_built_workflow_is_told_before_it_travels() -> None:
    workflow = (
        Workflow("Route 1").transform("a", "=b.output").transform("a", 1).transform("c", "=a.ouput")
    )

    with pytest.raises(InvalidDefinition) as refused:
        workflow.source()

    assert [problem.path for problem in refused.value.problems] == [
        "nodes[0].transform",
        "nodes[1].id",
        "nodes[2].transform",
        "workflow",
    ]


def test_a_workflow_can_be_kept_from_mcp_clients() -> None:
    source = Workflow("w", publish=False).transform("a", 1).source()

    assert not compile_definition(source).published


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(hours=2), "2h"),
        (timedelta(minutes=5), "5m"),
        (timedelta(seconds=90), "90s"),
        (timedelta(milliseconds=1500), "1500ms"),
    ],
)
def test_a_duration_is_written_in_its_largest_unit(length: timedelta, text: str) -> None:
    [node] = Workflow("w").tool("t", "x", timeout=length).document()["nodes"]

    assert node["timeout"] == text


def test_a_duration_below_a_millisecond_is_the_programmers_mistake() -> None:
    with pytest.raises(TypeError, match="timeout must be a whole number of milliseconds"):
        Workflow("w").tool("t", "x", timeout=timedelta(microseconds=10))


def test_who_writes_yaml_into_the_builder_is_told_the_python() -> None:
    with pytest.raises(TypeError, match=r"write timedelta\(seconds=5\)"):
        Workflow("w").tool("t", "x", timeout="5s")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"retry must be a Retry, it is 3; write Retry\(max=3\)"):
        Workflow("w").tool("t", "x", retry=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"ceiling must be a timedelta, it is '1m'"):
        Workflow("w").tool("t", "x", retry=Retry(max=1, ceiling="1m"))  # type: ignore[arg-type]


def test_what_a_builder_cannot_spell_is_the_programmers_mistake() -> None:
    with pytest.raises(TypeError, match=r"do must be a Do, it is 'fetch'; write Do.tool"):
        Workflow("w").map("m", [1], "fetch")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="compensate must be a Do"):
        Workflow("w").tool("t", "x", compensate={"tool": "y"})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"length must be a timedelta, it is '5s'"):
        Workflow("w").wait("n", "5s")
    with pytest.raises(TypeError, match="until must be a datetime with a time zone"):
        Workflow("w").wait("n", until=datetime(2026, 3, 1))  # noqa: DTZ001
    with pytest.raises(TypeError, match="a wait takes either a length or `until`"):
        Workflow("w").wait("n")
