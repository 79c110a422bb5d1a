"""`stepwell up` and `stepwell down`: the daemon of a home."""

import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from stepwell.errors import Code, StepwellError
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.output import Output
from stepwell_server.cli.process import Order, become_daemon
from stepwell_server.home import Home
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
    flags: dict[str, object] = {
        "server.grpc_port": grpc_port,
        "server.http_port": http_port,
        "tools.paths": tuple(map(_absolute, tools)) if tools else None,
    }
    become_daemon(
        Order(
            home=str(home_or_default(home).path),
            flags={key: value for key, value in flags.items() if value is not None},
            on_demand=on_demand,
            json=json,
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


def _absolute(tools: str) -> str:
    """A file is meant from where the command was typed; anything else is a module."""
    path = Path(tools)
    return str(path.absolute()) if path.suffix == ".py" or path.exists() else tools
