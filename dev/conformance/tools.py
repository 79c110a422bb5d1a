"""Tools that the MCP conformance suite calls: answers of every kind, errors, messages, progress.

All tools here only read: what may change something would be held for a person.
"""

import asyncio
from typing import Any, Final

from dev.conformance.samples import PNG, WAV

from stepwell import Audio, Content, EmbeddedResource, Image, Text, log, report, tool

ADDRESS_BOOK: Final[dict[str, Any]] = {
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
REGION: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["region"],
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
}
PAUSE: Final = 0.05
"""Seconds between two things that a tool says, as the suite wants it."""


@tool(read_only=True)
async def test_simple_text() -> str:
    """Answers a text."""
    return "This is a simple text response for testing."


@tool(read_only=True)
async def test_image_content() -> Image:
    """Answers a picture."""
    return Image(PNG)


@tool(read_only=True)
async def test_audio_content() -> Audio:
    """Answers a sound."""
    return Audio(WAV)


@tool(read_only=True)
async def test_embedded_resource() -> EmbeddedResource:
    """Answers a resource with what it holds."""
    text = "This is an embedded resource content."
    return EmbeddedResource("test://embedded-resource", text, "text/plain")


@tool(read_only=True)
async def test_multiple_content_types() -> Content:
    """Answers a text, a picture and a resource."""
    return Content(
        Text("Multiple content types test:"),
        Image(PNG),
        EmbeddedResource(
            "test://mixed-content-resource", '{"test":"data","value":123}', "application/json"
        ),
    )


@tool(read_only=True)
async def test_tool_with_logging() -> str:
    """Says three things while it works."""
    log("info", "Tool execution started")
    await asyncio.sleep(PAUSE)
    log("info", "Tool processing data")
    await asyncio.sleep(PAUSE)
    log("info", "Tool execution completed")
    return "done"


@tool(read_only=True)
async def test_logging_tool() -> str:
    """Says something, if anybody wants to hear it."""
    log("info", "only for who asked for it")
    return "done"


@tool(read_only=True)
async def test_tool_with_progress() -> str:
    """Reports how far it has come."""
    for done in (0, 50, 100):
        report(done, 100)
        await asyncio.sleep(PAUSE)
    return "done"


@tool(read_only=True)
async def test_error_handling() -> str:
    """Always fails."""
    raise RuntimeError("This tool intentionally returns an error for testing")


@tool(name="json_schema_2020_12_tool", input_schema=ADDRESS_BOOK, read_only=True)
async def json_schema_2020_12(**contact: object) -> dict[str, object]:
    """Takes what a schema with references and conditions admits."""
    return contact


@tool(name="test_x_mcp_header", input_schema=REGION, read_only=True)
async def mirrored_header(region: str) -> str:
    """Takes an argument that clients mirror into a header."""
    return region
