"""The one place where a store's refusal becomes an error that callers know."""

from collections.abc import Iterator
from contextlib import contextmanager

from stepwell.errors import Code, FailedPrecondition, NotFound, Unavailable
from stepwell_storage import errors as storage

NOT_OURS = "another process owns this run; ask it, or try again"


@contextmanager
def refusals(
    missing: str = "there is no such thing", code: Code = Code.RUN_NOT_FOUND
) -> Iterator[None]:
    """Translates what the block's store refuses; `missing` and `code` are for a row not there.

    `Exists` and `Duplicate` pass: only the caller knows what they mean.

    Raises:
        NotFound: the row is not there.
        Unavailable: STORAGE_FULL or STORAGE_UNAVAILABLE; nothing was changed.
        FailedPrecondition: LEASE_LOST, another process owns the run.
    """
    try:
        yield
    except storage.Missing as error:
        raise NotFound(missing, code=code) from error
    except storage.Full as error:
        raise Unavailable(
            "the disk, or the size that the database may have, is used up; nothing was "
            "changed. Free some space; what was accepted before goes on by itself",
            code=Code.STORAGE_FULL,
        ) from error
    except storage.Unavailable as error:
        raise Unavailable(f"the database cannot be used right now: {error}") from error
    except (storage.Fenced, storage.Conflict) as error:
        raise FailedPrecondition(NOT_OURS, code=Code.LEASE_LOST) from error


def no_run(run: str) -> str:
    """What is said where there is no such run."""
    return f"there is no run {run}; `stepwell runs` lists those that there are"
