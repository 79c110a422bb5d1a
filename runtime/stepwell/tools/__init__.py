"""Things that can be called: the registry, and the kinds of tools."""
