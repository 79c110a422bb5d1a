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
    from stepwell_server.cli.grpc_core import settle_grpc_core

    settle_grpc_core()
    from stepwell_server.cli.app import app

    app(prog_name="stepwell")


if __name__ == "__main__":
    main()
