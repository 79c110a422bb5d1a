"""What a model may answer: a form that providers enforce, and when two answers are one."""

from typing import Any

import msgspec

from stepwell.llm.schemas import closed
from stepwell.nldb.ask.proposals import SCHEMA, Proposal, Proposed, Sql


def sql(text: str) -> Proposal:
    return Proposal(readings=(Proposed(sql=Sql(kind="query", text=text)),))


def test_providers_can_enforce_a_proposal() -> None:
    """Strictest common part: all required, closed, not recursive, at most 16 unions, 5 levels of objects."""
    strict = closed(SCHEMA, all_required=True)

    assert strict is not None
    assert strict["type"] == "object"
    text = msgspec.json.encode(strict).decode()
    assert "$ref" not in text
    assert text.count("anyOf") <= 16
    assert _depth(strict) <= 5


def _depth(schema: Any) -> int:
    """How deep objects are in objects."""
    if not isinstance(schema, dict):
        return 0
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", []), schema.get("items")]
    return max(map(_depth, inner)) + (schema.get("type") == "object")


def test_the_same_statement_is_told_whatever_its_spaces() -> None:
    assert sql("SELECT  1\n").says_the_same(sql("select 1;"))
    assert not sql("SELECT 1").says_the_same(sql("SELECT 2"))


def test_a_proposal_says_what_it_is() -> None:
    assert sql("SELECT 1").kind == "query"
    assert Proposal(readings=()).kind == "cannot_answer"
    assert Proposal(readings=sql("SELECT 1").readings * 2).kind == "readings"
