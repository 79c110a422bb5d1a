"""`stepwell mcp --standalone`: the whole runtime in one process, speaking MCP on stdio.

File descriptor 1 belongs to the protocol. It is moved away before anything else is loaded,
so that a stray print, also one of a child process, goes to stderr.
"""

import asyncio
import gc
import os
import sys
from collections.abc import Mapping
from pathlib import Path


def serve_standalone(home: Path, chosen: Mapping[str, str]) -> int:
    """Serves MCP on stdio until the client closes it; the result is the exit code.

    `chosen` are the headers that say which tools are wanted.
    """
    client_in, client_out = _take_stdio()
    # Loading makes hundreds of thousands of objects that all stay: looking through them for
    # garbage again and again is a quarter of the start. `serve_stdio` turns it on again.
    gc.disable()
    # Loaded here, because whatever it prints must not reach the client.
    from stepwell.errors import StepwellError
    from stepwell.garbage import leave_all
    from stepwell_mcp.stdio import serve_stdio

    try:
        asyncio.run(serve_stdio(home, client_in, client_out, chosen=chosen))
    except StepwellError as error:
        sys.stderr.write(f"stepwell mcp: {error}\n")
        return 1
    leave_all()
    return 0


def _take_stdio() -> tuple[int, int]:
    """Where the client is read and written from now on; what anybody else prints is on stderr."""
    client_in, client_out = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return client_in, client_out
