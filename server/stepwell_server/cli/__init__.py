"""The `stepwell` command. Importing this package loads nothing: `stepwell mcp` starts in no time."""
