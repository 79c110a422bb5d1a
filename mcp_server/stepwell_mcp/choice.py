"""The flags of `stepwell mcp` that choose tools, and the line that says them to the daemon.

Standard library only, because the relay needs it. The line is the first of a connection, and says what
headers say over HTTP; a daemon that has understood it answers an empty line.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

TOOLSETS: Final = "x-mcp-toolsets"
TOOLS: Final = "x-mcp-tools"
READONLY: Final = "x-mcp-readonly"
SURFACE: Final = "x-mcp-surface"
HEADERS: Final = (TOOLSETS, TOOLS, READONLY, SURFACE)

FLAGS: Final[Mapping[str, str]] = {
    "--toolset": TOOLSETS,
    "--tools": TOOLS,
    "--surface": SURFACE,
}
"""The flags that take a value; `--read-only` takes none."""

UNDERSTOOD: Final = b"\n"
_KEY: Final = "stepwell/choose"
_BEGIN: Final = b'{"stepwell/choose"'


def line_of(chosen: Mapping[str, str]) -> bytes:
    """The line that says what is chosen, without its newline."""
    return json.dumps({_KEY: dict(chosen)}).encode()


def read_line(line: bytes) -> dict[str, str] | None:
    """What a line says that is chosen; None when it is no such line, or says what we do not know."""
    if not line.startswith(_BEGIN):
        return None
    try:
        said = json.loads(line)[_KEY]
    except (ValueError, KeyError, RecursionError):
        return None
    if not isinstance(said, dict) or not all(
        name in HEADERS and isinstance(text, str) for name, text in said.items()
    ):
        return None
    return said


def flags_of(chosen: Mapping[str, str]) -> Sequence[str]:
    """The flags of `stepwell mcp` that choose the same."""
    named = {header: flag for flag, header in FLAGS.items()}
    flags = [part for name, text in chosen.items() if name in named for part in (named[name], text)]
    return [*flags, "--read-only"] if READONLY in chosen else flags
