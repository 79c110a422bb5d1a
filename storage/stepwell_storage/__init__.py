"""Where runs are kept: ports, the in-memory adapter, and SQL."""
