"""Changes of a database: previewed, approved, applied once, and undoable."""
