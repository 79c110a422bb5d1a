"""How MCP clients are configured, and how their servers come behind Stepwell and back."""
