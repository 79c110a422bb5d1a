"""The process of a daemon: `python -m stepwell_server.cli.process ORDER`, which is JSON.

`stepwell up` turns into it once its flags are read, and `stepwell mcp` starts it at once: what
reads flags is neither kept in memory for the days that a daemon lives, nor waited for by a client
whose first call needs one.
"""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
from msgspec import Struct

from stepwell.config import Settings, load_settings, origins, redact_url
from stepwell.errors import StepwellError
from stepwell.garbage import leave_all
from stepwell_server.cli.exits import Exit, exit_for
from stepwell_server.cli.grpc_core import settle_grpc_core
from stepwell_server.cli.output import Output
from stepwell_server.home import Endpoints

PORTS: Final = frozenset({"server.grpc_port", "server.http_port"})


class Order(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What daemon is wanted. `flags` are settings by key, `home` is an absolute path."""

    home: str
    flags: Mapping[str, Any] = {}
    on_demand: bool = False
    json: bool = False


def become_daemon(order: Order) -> NoReturn:
    """Turns this process into the daemon; it keeps its id, its environment and its streams."""
    if sys.platform == "win32":  # where this would be another process, and nobody waits for it
        sys.exit(run_daemon(order))
    module = ["-P", "-m", "stepwell_server.cli.process"]  # -P: no modules from where we stand
    text = msgspec.json.encode(order).decode()
    os.execv(sys.executable, [sys.executable, *module, text])  # noqa: S606 - no shell is wanted


def run_daemon(order: Order) -> int:
    """Serves until told to stop; what cannot be served is told. The result is the exit code."""
    try:
        _serve(order)
    except StepwellError as error:
        Output(json=order.json).error(error)
        return exit_for(error.code)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return Exit.OK


def _serve(order: Order) -> None:
    home = Path(order.home)
    settings = load_settings(home, os.environ, order.flags)
    set_by = origins(home, os.environ, order.flags)
    # Nobody is there to choose another port for a daemon that another program has started.
    spare = PORTS - set_by.keys() if order.on_demand else frozenset[str]()
    _log_to_stderr()
    # Loading makes hundreds of thousands of objects that all stay: looking through them for
    # garbage again and again is a sixth of the start. `serve` turns it on again.
    gc.disable()
    from stepwell_server.cli.places import check_places

    check_places(settings, set_by)
    from stepwell_server.cli.welcome import welcome
    from stepwell_server.daemon import serve  # half a second; a wrong setting costs nothing

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(
            serve(
                settings,
                on_demand=order.on_demand,
                movable_ports=spare,
                announce=lambda found: _announce(order, found, settings),
                welcome=None if order.on_demand or order.json else welcome,
            )
        )


def _announce(order: Order, found: Endpoints, settings: Settings) -> None:
    if order.json:
        Output(json=True).line({"home": order.home, "endpoints": found})
        return
    sys.stderr.write(
        f"stepwell {found.version} serves {order.home} (process {found.pid})\n"
        f"  gRPC  {found.grpc}\n"
        f"  MCP   {found.mcp}   (or over stdio: stepwell mcp)\n"
        f"  page  {found.page}/approvals   (signed in: stepwell page)\n"
        f"  log   {redact_url(settings.database_url)}\n"
        "stop it with Ctrl-C or `stepwell down`; try `stepwell demo` for a first run\n"
    )


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


def _take_name() -> None:
    """Is called `stepwell` in `ps` and in messages about taken ports, where the system lets us."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text("stepwell")


def main() -> NoReturn:
    """Runs the daemon that the one argument describes, and leaves with its exit code."""
    settle_grpc_core()
    _take_name()
    code = run_daemon(msgspec.json.decode(sys.argv[1], type=Order))
    leave_all()
    sys.exit(code)


if __name__ == "__main__":
    main()
