"""`stepwell up` and `stepwell down`: the daemon of a home."""

import asyncio
import logging
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from stepwell.config import load_settings
from stepwell.errors import Code, StepwellError
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.output import Output
from stepwell_server.home import Endpoints, Home
from stepwell_server.lock import Holder

STOP_LIMIT: Final = timedelta(seconds=30)


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    command(app)(up)
    command(app)(down)


def up(
    *,
    home: HomeOption = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the gRPC server; 0 picks a free one."),
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the HTTP server; 0 picks a free one."),
    ] = None,
    tools: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="A file or module with Python tools; repeatable."),
    ] = None,
    on_demand: Annotated[
        bool, typer.Option("--on-demand", help="End when nobody has used it for a while.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Serve gRPC and MCP from one process, until Ctrl-C or `stepwell down`."""
    where = home_or_default(home)
    overrides: dict[str, object] = {
        "server.grpc_port": grpc_port,
        "server.http_port": http_port,
        "tools.paths": tuple(map(_absolute, tools)) if tools else None,
    }
    settings = load_settings(
        where.path,
        os.environ,
        {key: value for key, value in overrides.items() if value is not None},
    )
    output = Output(json=json)
    _log_to_stderr()
    from stepwell_server.daemon import serve  # costs half a second; a wrong flag costs nothing

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(
            serve(
                settings,
                on_demand=on_demand,
                announce=lambda found: _announce(output, where, found),
            )
        )


def down(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Stop the daemon of a home; its open runs go on at the next start."""
    output = Output(json=json)
    where = home_or_default(home)
    holder = where.holder()
    if holder is None:
        output.note(f"no daemon runs on {where.path}")
    else:
        _stop(where, holder)
        output.note(f"stopped process {holder.pid}")
    if json:
        output.document({"home": str(where.path), "stopped": holder.pid if holder else None})


def _stop(home: Home, holder: Holder) -> None:
    """Asks the daemon to stop and waits until it has given up the home."""
    try:
        os.kill(holder.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise StepwellError(
            f"process {holder.pid} belongs to somebody else; ask them to stop it",
            code=Code.HOME_IN_USE,
        ) from error
    give_up = time.monotonic() + STOP_LIMIT.total_seconds()
    while home.holder() == holder:
        if time.monotonic() > give_up:
            raise StepwellError(
                f"process {holder.pid} has not stopped after {STOP_LIMIT.seconds} s. "
                f"`kill -9 {holder.pid}` ends it; no accepted run is lost",
                code=Code.HOME_IN_USE,
            )
        time.sleep(0.05)


def _announce(output: Output, home: Home, found: Endpoints) -> None:
    if output.json:
        output.line({"home": str(home.path), "endpoints": found})
        return
    sys.stderr.write(
        f"stepwell {found.version} serves {home.path} (process {found.pid})\n"
        f"  gRPC  {found.grpc}\n"
        f"  MCP   {found.mcp}   (or over stdio: stepwell mcp)\n"
        "stop it with Ctrl-C or `stepwell down`; try `stepwell demo` for a first run\n"
    )


def _absolute(tools: str) -> str:
    """A file is meant from where the command was typed; anything else is a module."""
    path = Path(tools)
    return str(path.absolute()) if path.suffix == ".py" or path.exists() else tools


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """The loop of uvloop where there is one: a quarter less CPU for each gRPC call."""
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.Loop


def _log_to_stderr() -> None:
    logging.basicConfig(
        level=logging.WARNING,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for ours in ("stepwell", "stepwell_server", "stepwell_mcp", "stepwell_storage"):
        logging.getLogger(ours).setLevel(logging.INFO)
