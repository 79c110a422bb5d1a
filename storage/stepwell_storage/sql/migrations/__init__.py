"""The schema, step by step. A revision that was released is never edited, only followed."""
