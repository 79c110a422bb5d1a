"""Tools of other MCP servers: programs that we start, and servers that we reach over HTTP."""
