"""What a store can refuse. The runtime turns each into an error of its own, at one place."""


class StorageError(Exception):
    """The store could not do what was asked; nothing of it was done."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class Fenced(StorageError):
    """The lease was lost: another owner holds this run, or its epoch has moved on."""


class Conflict(StorageError):
    """The run's log does not end where the writer believed it does."""


class Duplicate(StorageError):
    """A run was started by this request id before."""

    def __init__(self, run: str, digest: str) -> None:
        super().__init__()
        self.run = run
        self.digest = digest


class KeyTaken(StorageError):
    """A run that has not ended has this run key already."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self.run = run


class Exists(StorageError):
    """A row with this name exists already."""


class Missing(StorageError):
    """There is no such row."""


class Full(StorageError):
    """The disk, or the size that the database may have, is used up."""


class Unavailable(StorageError):
    """The database does not answer, or is locked; trying again may help."""


class Incompatible(StorageError):
    """The database was written by a newer Stepwell, or is not one of ours."""


class BadUrl(StorageError):
    """The URL names no database that Stepwell can use.

    The message says why without the URL, which may hold a password.
    """
