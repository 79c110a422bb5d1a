"""What gRPC's core is told by environment variables, before it is loaded."""

import os


def settle_grpc_core() -> None:
    """Sets what nobody has set: it has nothing to say to the user of a terminal."""
    # We start processes, never fork: without this gRPC complains about each of them.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    # A server that is gone is an error that we tell in our own words, once.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
