"""The tools that the MCP conformance suite calls, as far as our tools can be such tools.

All of them only read: what may change something would be held for a person.
"""

from typing import Any

from stepwell import tool

ADDRESS_BOOK: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
REGION: dict[str, Any] = {
    "type": "object",
    "required": ["region"],
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
}


@tool(read_only=True)
async def test_simple_text() -> str:
    """Answers a text."""
    return "This is a simple text response for testing."


@tool(read_only=True)
async def test_error_handling() -> str:
    """Always fails."""
    raise RuntimeError("This tool intentionally returns an error for testing")


@tool(read_only=True)
async def test_tool_with_progress() -> str:
    """Answers after the progress that every run reports."""
    return "done"


@tool(name="json_schema_2020_12_tool", input_schema=ADDRESS_BOOK, read_only=True)
async def json_schema_2020_12(**contact: object) -> dict[str, object]:
    """Takes what a schema with references and conditions admits."""
    return contact


@tool(name="test_x_mcp_header", input_schema=REGION, read_only=True)
async def mirrored_header(region: str) -> str:
    """Takes an argument that clients mirror into a header."""
    return region
