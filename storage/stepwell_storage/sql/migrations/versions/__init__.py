"""One file a revision; `0001` is followed by `0002`, so revisions sort as they follow.

A migration adds: tables, columns that older versions need not know, indexes. Processes of the version
before work on while it runs and after it, and are replaced one by one. What cannot be done like
that is done in two releases: one that no longer needs the old shape, and one that removes it and
sets `migrate.READABLE_BY`, and `meta.readable_by`, to its own revision.
"""
