"""The same call of FastMCP, in process, on both wires: its processor time in microseconds."""

import asyncio
import json
import sys

from fastmcp import FastMCP

from bench.calls import Calls, InProcess, Wire, best_us


async def echo(text: str) -> dict[str, str]:
    """Says what it is told."""
    return {"said": text}


async def main() -> None:
    """Measures as many calls as the command line says, and prints the figures."""
    server = FastMCP("peer")
    server.tool(echo)
    app = server.http_app(path="/mcp")
    async with app.router.lifespan_context(app):
        carrier = InProcess(app)
        senders = {
            "fastmcp": Wire(carrier).echo,
            "session_fastmcp": (await Wire(carrier).begin()).echo,
        }
        print(json.dumps(await best_us(senders, Calls(*json.loads(sys.argv[1])))))


if __name__ == "__main__":
    asyncio.run(main())
