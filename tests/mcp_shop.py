"""An MCP server over standard streams, of the standard library alone: a shop, or worse.

`python tests/mcp_shop.py FOLDER` keeps what it does in FOLDER, and looks there for what it is to be
like: `tools.json` is its list of tools, `mood` one word, both read again for each request.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

OBJECT = {"type": "object", "properties": {"text": {"type": "string"}}}
TOOLS: list[dict[str, Any]] = [
    {
        "name": "readNote",
        "title": "Read a note",
        "description": "Reads the note.",
        "inputSchema": OBJECT,
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    },
    {
        "name": "write_note",
        "description": "Writes the note.",
        "inputSchema": {**OBJECT, "required": ["text"]},
        "annotations": {"destructiveHint": True},
    },
    {
        "name": "price",
        "description": "Tells a price.",
        "inputSchema": {"type": "object"},
        "outputSchema": {
            "type": "object",
            "required": ["cents"],
            "properties": {"cents": {"type": "integer"}},
        },
        "annotations": {"readOnlyHint": True},
    },
    {"name": "act", "description": "Does as it is told.", "inputSchema": OBJECT},
]
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)

folder = Path(sys.argv[-1])
lock = threading.Lock()
answers: dict[Any, Any] = {}
cancelled: set[Any] = set()


def mood() -> str:
    path = folder / "mood"
    return path.read_text().strip() if path.exists() else ""


def tools() -> list[dict[str, Any]]:
    path = folder / "tools.json"
    if mood() == "crowd":
        return [{**TOOLS[0], "name": f"tool{number}"} for number in range(10_000)]
    if mood() in ("bomb", "abyss"):
        bomb: dict[str, Any] = {"type": "object"}
        for _ in range(150 if mood() == "bomb" else 5000):
            bomb = (
                {"type": "object", "properties": {"a": bomb, "b": bomb}} if False else {"not": bomb}
            )
        return [{**TOOLS[0], "name": "bomb", "inputSchema": {"type": "object", **bomb}}, *TOOLS]
    return json.loads(path.read_text()) if path.exists() else TOOLS


def send(message: dict[str, Any]) -> None:
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def note(line: str) -> None:
    with (folder / "done").open("a") as file:
        file.write(line + "\n")


def text(*texts: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": one} for one in texts], **more}


def call(request: Any, name: str, given: dict[str, Any], meta: dict[str, Any]) -> None:
    words = given.get("text", "")
    note(f"{name} {words}".strip())
    match name:
        case "readNote":
            send({"id": request, "result": text((folder / "note").read_text())})
        case "write_note":
            (folder / "note").write_text(words)
            send({"id": request, "result": text(f"wrote {len(words)} characters")})
        case "price":
            given = {"cents": "many"} if mood() == "liar" else {"cents": 250}
            send({"id": request, "result": text("250", structuredContent=given)})
        case _:
            act(request, words, meta)


def act(request: Any, words: str, meta: dict[str, Any]) -> None:
    match words.split():
        case ["die"]:
            os._exit(3)
        case ["hang"]:
            while request not in cancelled:
                time.sleep(0.01)
            note("act was cancelled")
        case ["answer", size]:
            sys.stdout.write('{"result":{"content":[{"type":"text","text":"')
            for _ in range(int(size) // 1_000_000):
                sys.stdout.write("x" * 1_000_000)
            sys.stdout.write('"}]},"jsonrpc":"2.0","id":' + json.dumps(request) + "}\n")
            sys.stdout.flush()
        case ["long", size]:
            send({"id": request, "result": text("y" * int(size))})
        case ["garbage"]:
            with lock:
                sys.stdout.write("Welcome to the shop!\n\x00\x01{]\n" * 100)
            send({"id": request, "result": text("done")})
        case ["flood"]:
            for _ in range(1000):
                sys.stderr.write("z" * 1023 + "\n")
            sys.stderr.write("the end of the flood\n")
            sys.stderr.flush()
            send({"id": request, "result": text("done")})
        case ["fail"]:
            send({"id": request, "result": text("out of stock", isError=True)})
        case ["refuse"]:
            send({"id": request, "error": {"code": -32602, "message": "no such thing"}})
        case ["show"]:
            blocks = [
                {"type": "text", "text": "a picture", "annotations": {"audience": ["user"]}},
                {"type": "image", "data": PIXEL, "mimeType": "image/png"},
                {"type": "resource_link", "uri": "file:///tmp/a.txt", "name": "a.txt"},
                {"type": "resource", "resource": {"uri": "file:///b.txt", "text": "b"}},
            ]
            send({"id": request, "result": {"content": blocks, "_meta": {"shop/page": 1}}})
        case ["env", name]:
            send({"id": request, "result": text(os.environ.get(name, "not set"))})
        case ["environ"]:
            send({"id": request, "result": text(" ".join(sorted(os.environ)))})
        case ["meta"]:
            send({"id": request, "result": text(json.dumps(meta))})
        case ["progress"]:
            for done in (1, 2):
                params = {"progressToken": meta["progressToken"], "progress": done, "total": 2}
                params["message"] = f"part {done}"
                send({"method": "notifications/progress", "params": params})
                time.sleep(0.15)
            send({"id": request, "result": text("done")})
        case ["ask"]:
            schema = {"type": "object", "properties": {"name": {"type": "string"}}}
            params = {"message": "What is your name?", "requestedSchema": schema, "mode": "form"}
            send({"id": "ask-1", "method": "elicitation/create", "params": params})
            while "ask-1" not in answers:
                time.sleep(0.01)
            send({"id": request, "result": text(json.dumps(answers.pop("ask-1")))})
        case ["change"]:
            changed = [{**tool, "description": tool["description"] + " Really."} for tool in TOOLS]
            (folder / "tools.json").write_text(json.dumps(changed))
            send({"method": "notifications/tools/list_changed"})
            send({"id": request, "result": text("changed")})
        case _:
            send({"id": request, "result": text(f"did {words}")})


def handle(message: dict[str, Any]) -> None:
    request, method = message.get("id"), message.get("method")
    params = message.get("params") or {}
    if method is None:
        answers[request] = message.get("result") or message.get("error")
    elif method == "notifications/cancelled":
        cancelled.add(params.get("requestId"))
    elif method == "initialize":
        (folder / "pid").write_text(str(os.getpid()))
        note("start")
        result = {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "shop", "version": "1.0"},
        }
        send({"id": request, "result": result})
    elif method == "tools/list":
        send({"id": request, "result": {"tools": tools()}})
    elif method == "tools/call":
        given = (request, params["name"], params.get("arguments") or {}, params.get("_meta") or {})
        threading.Thread(target=call, args=given, daemon=True).start()
    elif request is not None:
        send({"id": request, "error": {"code": -32601, "message": "no such method"}})


def main() -> None:
    sys.setrecursionlimit(20_000)
    if mood() == "dead":
        sys.stderr.write("the shop is closed\n")
        sys.exit(1)
    if mood() == "mute":
        time.sleep(60)
    for line in sys.stdin:
        handle(json.loads(line))


if __name__ == "__main__":
    main()
