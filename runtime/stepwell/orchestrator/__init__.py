"""Makes runs happen: the use cases, the worker, the journal, the effects."""
