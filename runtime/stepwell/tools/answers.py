"""Results made of blocks, as values of ours: as they are, and never too much of them.

The value of such a result is `content`, a list of blocks as MCP spells them, `structuredContent` where
there is some, and `truncated` where something was left out. Tools of other servers answer it, and tools
of our own that return blocks. Our MCP server gives it out again as it came in.
"""

from typing import Any, Final

import mcp_types
import msgspec

from stepwell.engine.values import Data, Json
from stepwell.engine.wording import bounded
from stepwell.errors import Code
from stepwell.tools.content import KINDS
from stepwell.tools.port import ToolFailed, ToolSpec
from stepwell.tools.schema import compiled

_PARTS: Final = frozenset({"content", "structuredContent", "_meta", "truncated"})
TRUNCATED: Final = "stepwell/truncated"
"""In `_meta` of a result that was cut: how many bytes it had."""
ROOM: Final = 256
"""Bytes that are kept free for the words about what was left out."""


def value_of(result: mcp_types.CallToolResult, spec: ToolSpec, limit: int) -> Data:
    """The value of a result, at most `limit` bytes of it.

    Raises:
        ToolFailed: TOOL_ERROR, the server says that it is an error; INVALID_RESULT, the structured
            content is not there, or not what the tool's output schema says.
    """
    whole: dict[str, Json] = result.model_dump(by_alias=True, mode="json", exclude_none=True)
    content: list[Json] = whole["content"]
    if result.is_error:
        raise ToolFailed(
            told(content) or "the tool failed and does not say why", code=Code.TOOL_ERROR
        )
    meta = dict(whole.get("_meta") or {})
    lost = meta.pop(TRUNCATED, 0)
    value: dict[str, Json] = {"content": content}
    if "structuredContent" in whole:
        value["structuredContent"] = whole["structuredContent"]
    if meta:
        value["_meta"] = meta
    size = len(msgspec.json.encode(value))
    if lost or size > limit:
        return Data(_cut(value, size=lost or size, limit=limit))
    if spec.output_schema is not None:
        _check(spec, value)
    return Data(value)


def told(content: list[Json]) -> str:
    """The texts of a result."""
    texts = [block["text"] for block in content if block.get("type") == "text"]
    return bounded("\n".join(texts))


def _check(spec: ToolSpec, value: dict[str, Json]) -> None:
    assert spec.output_schema is not None
    if "structuredContent" not in value:
        problems: tuple[str, ...] = ("it has no structured content",)
    else:
        problems = compiled(spec.output_schema).problems(value["structuredContent"])
    if problems:
        raise ToolFailed(
            f"the result of {spec.name} does not fit its output schema: {'; '.join(problems)}",
            code=Code.INVALID_RESULT,
            retryable=False,
        )


def _cut(value: dict[str, Json], *, size: int, limit: int) -> dict[str, Json]:
    """The blocks that fit, then as much of a text as does, and a word about the rest."""
    left = max(limit - ROOM, 0)
    kept: list[Json] = []
    for block in value["content"]:
        needed = len(msgspec.json.encode(block)) + 1
        if needed <= left:
            kept.append(block)
            left -= needed
            continue
        if block.get("type") == "text":
            kept.append({**block, "text": _beginning(block["text"], left - 64)})
        break
    note = f"[cut: the result has {size} bytes, and this tool may answer {limit} (max_result); ask for less at once]"
    return {
        "content": [*kept, {"type": "text", "text": note}],
        "truncated": {"size": size, "limit": limit},
    }


def _beginning(text: str, room: int) -> str:
    """As much of a text as takes `room` bytes of JSON."""
    begun = text[: max(room, 0)]
    while (over := len(msgspec.json.encode(begun)) - room) > 0 and begun:
        begun = begun[: -max(over // 6, 1)]
    return begun


def result_of(value: Json) -> dict[str, Any] | None:
    """The fields of an MCP result that a value is; None when it is plain data."""
    if not isinstance(value, dict) or not value.keys() <= _PARTS:
        return None
    blocks = value.get("content")
    if not isinstance(blocks, list) or not all(map(_is_block, blocks)):
        return None
    if not blocks and "structuredContent" not in value:
        return None
    return {name: part for name, part in value.items() if name != "truncated"}


def _is_block(part: Json) -> bool:
    return isinstance(part, dict) and part.get("type") in KINDS
