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
        {"workflow": "w", "nodes": [{"id": "a", "map": {}}]},
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
