"""The MCP Inspector lists and calls tools, reads and gets, over HTTP and stdio, in both eras.

    python dev/conformance/inspector.py HOME URL

HOME is that of a daemon with the tools of this folder, URL its endpoint. `mcp-inspector` is on the
path. Ends with 1 when an answer is not what it should be, and says which.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

TIMEOUT: Final = 120.0
NO_SUCH_TOOL: Final = 5
"""What the Inspector ends with when there is no such tool, or a tool has failed."""
ERAS: Final = ("legacy", "modern")


class Look(NamedTuple):
    """One thing that the Inspector is told to do, and whether it went well."""

    arguments: Sequence[str]
    is_good: Callable[[Any], bool]
    ends_with: int = 0


LOOKS: Final = (
    Look(["--method", "tools/list"], lambda said: "test_simple_text" in _names(said["tools"])),
    Look(
        ["--method", "tools/call", "--tool-name", "greet", "--tool-args-json", '{"name": "Ada"}'],
        lambda said: said["content"][0]["text"] == "Hello, Ada!",
    ),
    Look(
        ["--method", "tools/call", "--tool-name", "there_is_no_such_tool"],
        lambda said: True,
        NO_SUCH_TOOL,
    ),
    Look(
        ["--method", "tools/call", "--tool-name", "test_image_content"],
        lambda said: said["content"][0]["mimeType"] == "image/png",
    ),
    Look(
        ["--method", "resources/read", "--uri", "test://static-text"],
        lambda said: said["contents"][0]["text"].startswith("This is the content"),
    ),
    Look(
        [
            "--method",
            "prompts/get",
            "--prompt-name",
            "test_prompt_with_arguments",
            "--prompt-args",
            "arg1=one",
            "arg2=two",
        ],
        lambda said: "arg1='one'" in said["messages"][0]["content"]["text"],
    ),
)


def main(home: str, url: str) -> int:
    """Has it look in each way; prints a line for each, and what was wrong."""
    relay = [str(Path(sys.executable).with_name("stepwell")), "mcp", "--home", home]
    ways = {"http": [url, "--transport", "http"], "stdio": relay}
    failed = 0
    for way, target in ways.items():
        for era in ERAS:
            wrong = [found for look in LOOKS if (found := _wrong(target, era, look))]
            print(
                f"inspector over {way}, {era}: {len(LOOKS) - len(wrong)} of {len(LOOKS)} went well"
            )
            for found in wrong:
                print(f"  {found}")
            failed += len(wrong)
    return 1 if failed else 0


def _wrong(target: Sequence[str], era: str, look: Look) -> str:
    """What is wrong with what it found; "" when nothing is."""
    words = ["mcp-inspector", "--cli", *target, "--protocol-era", era, *look.arguments]
    process = subprocess.run(
        [*words, "--format", "json", "-q"], capture_output=True, text=True, timeout=TIMEOUT
    )
    what = " ".join(look.arguments)
    if process.returncode != look.ends_with:
        return f"{what}: ended with {process.returncode}: {process.stderr[-300:]}"
    if process.returncode:
        return ""
    try:
        is_good = look.is_good(json.loads(process.stdout)["result"])
        return "" if is_good else f"{what}: {process.stdout[:300]}"
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return f"{what}: {error!r} in {process.stdout[:300]}"


def _names(offers: Sequence[Any]) -> set[str]:
    return {offer["name"] for offer in offers}


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
