"""The tool that the door is measured with, and as many as a client may be shown."""

from typing import TypedDict

from stepwell import tool


class Said(TypedDict):
    """What was said."""

    said: str


@tool(read_only=True, idempotent=True, title="Echo")
async def echo(text: str) -> Said:
    """Says what it is told."""
    return {"said": text}
