"""One file a revision; `0001` is followed by `0002`, so revisions sort as they follow."""
