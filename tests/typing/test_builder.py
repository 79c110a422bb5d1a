"""What a type checker knows of the builder."""

from datetime import timedelta
from typing import assert_type

from stepwell import Retry, Workflow


def test_every_method_gives_the_workflow_back() -> None:
    workflow = Workflow("w", input={"type": "object"})

    assert_type(workflow.agent("a", model="m", tools=("t",), turns=3), Workflow)
    assert_type(workflow.agent_step("s", "a", message="hi"), Workflow)
    assert_type(workflow.tool("t", "x", retry=Retry(max=1), timeout=timedelta(seconds=1)), Workflow)
    assert_type(workflow.transform("u", {"x": [1]}), Workflow)
    assert_type(workflow.switch("v", ("=true", "u"), default="t"), Workflow)
    assert_type(workflow.output(None).source(), bytes)
