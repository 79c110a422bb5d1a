"""Which tables, columns and values the words of a question may mean."""
