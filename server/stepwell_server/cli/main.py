"""Where `stepwell` begins.

`stepwell mcp` is started by an editor for every window, so it is told apart before anything
is imported that costs time: the relay needs the standard library only.
"""

import sys


def main() -> None:
    """Runs one command and leaves with its exit code."""
    if sys.argv[1:2] == ["mcp"]:
        from stepwell_mcp.relay import main as relay

        sys.exit(relay(sys.argv[2:]))
    from stepwell.garbage import leave_all, not_collected
    from stepwell_server.cli.grpc_core import settle_grpc_core

    settle_grpc_core()
    with not_collected():
        from stepwell_server.cli.app import app

    try:
        app(prog_name="stepwell")
    finally:
        leave_all()


if __name__ == "__main__":
    main()
