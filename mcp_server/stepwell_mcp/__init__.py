"""The MCP door: Streamable HTTP, a Unix socket, and the stdio relay."""
