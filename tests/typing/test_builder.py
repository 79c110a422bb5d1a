"""What a type checker knows of the builder."""

from datetime import UTC, datetime, timedelta
from typing import assert_type

from stepwell import Do, Retry, Workflow


def test_every_method_gives_the_workflow_back() -> None:
    workflow = Workflow("w", input={"type": "object"})

    assert_type(workflow.agent("a", model="m", tools=("t",), turns=3), Workflow)
    assert_type(workflow.agent_step("s", "a", message="hi"), Workflow)
    assert_type(workflow.tool("t", "x", retry=Retry(max=1), timeout=timedelta(seconds=1)), Workflow)
    assert_type(workflow.transform("u", {"x": [1]}), Workflow)
    assert_type(workflow.switch("v", ("=true", "u"), default="t"), Workflow)
    assert_type(workflow.llm("l", "small", message={"q": 1}, output={"type": "object"}), Workflow)
    assert_type(workflow.map("m", "=input.x", Do.tool("t"), concurrency=2), Workflow)
    assert_type(workflow.map("n", [1, "=input.x"], Do.wait("=item")), Workflow)
    assert_type(workflow.loop("o", Do.signal("go"), while_="=true", max=2), Workflow)
    assert_type(workflow.workflow("c", "other", with_={"x": 1}, queue="web"), Workflow)
    assert_type(workflow.wait("p", timedelta(seconds=1), on_error="continue"), Workflow)
    assert_type(workflow.wait("q", until=datetime(2026, 3, 1, tzinfo=UTC)), Workflow)
    assert_type(workflow.signal("r", "go", timeout=timedelta(days=1)), Workflow)
    assert_type(workflow.approval("x", {"text": "ok?"}, on_error="y"), Workflow)
    assert_type(workflow.tool("y", "a", compensate=Do.tool("b", with_={"id": "=output"})), Workflow)
    assert_type(workflow.output(None).source(), bytes)


def test_what_a_step_does_is_a_do_of_every_kind() -> None:
    assert_type(Do.agent("a", message="hi", on_error="fail"), Do)
    assert_type(Do.tool("t", retry=Retry(max=1), idempotent=True), Do)
    assert_type(Do.llm("small", message="hi"), Do)
    assert_type(Do.workflow("other", version="sha256:" + "0" * 64), Do)
    assert_type(Do.wait(until="=item"), Do)
    assert_type(Do.signal("go", timeout=timedelta(days=1)), Do)
    assert_type(Do.approval("ok?"), Do)
