"""The JSON Schema for editors says what the validator says."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta

from stepwell.definitions.compile import check_definition
from stepwell.definitions.loader import load
from stepwell.definitions.schema import workflow_schema

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples" / "workflows").glob("*.yaml"))


@pytest.fixture(scope="module")
def editor() -> Draft202012Validator:
    return Draft202012Validator(workflow_schema())


def test_the_published_schema_is_fresh() -> None:
    published = json.loads((ROOT / "docs" / "workflow.schema.json").read_text())

    assert published == workflow_schema(), (
        "run: python -m stepwell.definitions.schema > docs/workflow.schema.json"
    )


def test_the_published_schema_is_a_json_schema() -> None:
    meta.validate(workflow_schema())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_editor_finds_nothing_wrong_with_the_examples(
    path: Path, editor: Draft202012Validator
) -> None:
    assert list(editor.iter_errors(load(path.read_bytes()).value)) == []


TOOL: dict[str, Any] = {"id": "a", "tool": "x"}
AGENT: dict[str, Any] = {"id": "a", "agent": "p", "with": {"message": "hi"}}
LLM: dict[str, Any] = {"id": "a", "llm": "small", "with": {"message": "hi"}}
MAP: dict[str, Any] = {"id": "a", "map": "=input.x", "do": {"tool": "x"}}
LOOP: dict[str, Any] = {"id": "a", "loop": {"while": "=true", "max": 2}, "do": {"tool": "x"}}


@pytest.mark.parametrize(
    "node",
    [
        LLM,
        {**MAP, "map": [1], "concurrency": 3, "on_error": "continue"},
        {**MAP, "do": {"llm": "m", "with": {"message": 1}, "on_error": "continue", "queue": "q"}},
        {**LOOP, "timeout": "1h30m"},
        {"id": "a", "wait": "30s"},
        {"id": "a", "wait": {"for": "=run.id"}},
        {"id": "a", "wait": {"until": "2026-03-01T09:30:00Z"}},
        {"id": "a", "signal": "approved-by.ci"},
        {"id": "a", "approval": {"text": "=run.id"}, "timeout": "3d"},
        {"id": "a", "workflow": "other", "version": "sha256:" + "0" * 64},
        {**TOOL, "on_error": "b", "compensate": {"tool": "y", "retry": {"max": 5}}},
    ],
    ids=lambda node: json.dumps(node)[:60],
)
def test_what_the_validator_takes_an_editor_takes_too(
    node: dict[str, Any], editor: Draft202012Validator
) -> None:
    given = {"type": "object", "additionalProperties": True}
    other = {"id": "b", "transform": 1}
    document = {"workflow": "w", "queue": "nightly", "input": given, "nodes": [node, other]}

    assert check_definition(json.dumps(document).encode()) == ()
    assert list(editor.iter_errors(document)) == []


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"workflow": "w"},
        {"workflow": "W", "nodes": [TOOL]},
        {"workflow": "call", "nodes": [TOOL]},
        {"workflow": "w", "nodes": []},
        {"workflow": "w", "nodes": [TOOL], "extra": 1},
        {"workflow": "w", "nodes": [TOOL], "description": "=x"},
        {"workflow": "w", "nodes": [TOOL], "input": {"type": "array"}},
        {"workflow": "w", "nodes": [TOOL], "input": {"properties": {}}},
        {"workflow": "w", "nodes": [{"id": "a"}]},
        {"workflow": "w", "nodes": [{"tool": "x"}]},
        {"workflow": "w", "nodes": [{**TOOL, "id": "A"}]},
        {"workflow": "w", "nodes": [{**TOOL, "id": "input"}]},
        {"workflow": "w", "nodes": [{**TOOL, "transform": 1}]},
        {"workflow": "w", "nodes": [{**TOOL, "timeout": 30}]},
        {"workflow": "w", "nodes": [{**TOOL, "timeout": "30 s"}]},
        {"workflow": "w", "nodes": [{**TOOL, "retry": {}}]},
        {"workflow": "w", "nodes": [{**TOOL, "retry": {"max": 1.5}}]},
        {"workflow": "w", "nodes": [{**TOOL, "retry": {"max": 101}}]},
        {"workflow": "w", "nodes": [{**TOOL, "idempotent": "yes"}]},
        {"workflow": "w", "nodes": [{**TOOL, "if": "true"}]},
        {"workflow": "w", "nodes": [{**TOOL, "with": []}]},
        {"workflow": "w", "nodes": [TOOL], "queue": "Nightly"},
        {"workflow": "w", "nodes": [{**TOOL, "queue": "=q"}]},
        {"workflow": "w", "nodes": [{**TOOL, "on_error": "Stop"}]},
        {"workflow": "w", "nodes": [{**TOOL, "compensate": {"with": {}}}]},
        {"workflow": "w", "nodes": [{**TOOL, "compensate": {"tool": "x", "queue": "q"}}]},
        {"workflow": "w", "nodes": [{"id": "a", "transform": 1, "on_error": "continue"}]},
        {"workflow": "w", "nodes": [{**LLM, "tools": []}]},
        {"workflow": "w", "nodes": [{"id": "a", "llm": "small"}]},
        {"workflow": "w", "nodes": [{"id": "a", "workflow": "call"}]},
        {"workflow": "w", "nodes": [{"id": "a", "workflow": "other", "version": "1"}]},
        {"workflow": "w", "nodes": [{"id": "a", "wait": 30}]},
        {"workflow": "w", "nodes": [{"id": "a", "wait": "=run.id"}]},
        {"workflow": "w", "nodes": [{"id": "a", "wait": {"for": "1s", "until": "=run.id"}}]},
        {"workflow": "w", "nodes": [{"id": "a", "wait": {"until": "2026-03-01"}}]},
        {"workflow": "w", "nodes": [{"id": "a", "signal": "Go"}]},
        {"workflow": "w", "nodes": [{"id": "a", "approval": ""}]},
        {"workflow": "w", "nodes": [{**MAP, "map": {}}]},
        {"workflow": "w", "nodes": [{"id": "a", "map": [1]}]},
        {"workflow": "w", "nodes": [{**MAP, "concurrency": 0}]},
        {"workflow": "w", "nodes": [{**MAP, "retry": {"max": 1}}]},
        {"workflow": "w", "nodes": [{**MAP, "do": {"transform": 1}}]},
        {"workflow": "w", "nodes": [{**MAP, "do": {"tool": "x", "id": "b"}}]},
        {"workflow": "w", "nodes": [{**MAP, "do": {"tool": "x", "on_error": "b"}}]},
        {"workflow": "w", "nodes": [{**LOOP, "loop": {"while": "=true"}}]},
        {"workflow": "w", "nodes": [{**LOOP, "loop": {"while": "true", "max": 2}}]},
        {"workflow": "w", "nodes": [{"id": "a", "switch": []}]},
        {"workflow": "w", "nodes": [{"id": "a", "switch": [{"then": "a"}]}]},
        {"workflow": "w", "nodes": [AGENT], "agents": {"p": {}}},
        {"workflow": "w", "nodes": [AGENT], "agents": {"P": {"model": "m"}}},
        {"workflow": "w", "nodes": [AGENT], "agents": {"p": {"model": "m", "tools": ["*"]}}},
        {
            "workflow": "w",
            "nodes": [AGENT],
            "agents": {"p": {"model": "m", "limits": {"turns": 0}}},
        },
    ],
    ids=lambda document: json.dumps(document)[-60:],
)
def test_what_an_editor_refuses_the_validator_refuses_too(
    document: Any, editor: Draft202012Validator
) -> None:
    assert not editor.is_valid(document)
    assert check_definition(json.dumps(document).encode()) != ()
