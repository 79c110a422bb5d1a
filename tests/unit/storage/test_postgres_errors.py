"""What PostgreSQL says, in the words of the ports."""

import psycopg
import pytest

from stepwell_storage.errors import Full, Unavailable
from stepwell_storage.sql.postgres.connection import refusal


def test_a_disk_that_is_full_is_full() -> None:
    error = psycopg.errors.DiskFull('could not extend file "base/1/2": No space left on device')

    assert isinstance(refusal(error, "written"), Full)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"),
        psycopg.errors.TooManyConnections("sorry, too many clients already"),
        psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction"),
        psycopg.errors.DeadlockDetected("deadlock detected"),
        psycopg.InterfaceError("the connection is closed"),
    ],
)
def test_anything_else_may_be_better_later(error: psycopg.Error) -> None:
    found = refusal(error, "written")

    assert type(found) is Unavailable
    assert str(found) == f"The database could not be written: {error}"


def test_what_is_said_is_one_line() -> None:
    error = psycopg.OperationalError("connection failed:\n\tIs the server running?\n")

    assert str(refusal(error, "reached")) == (
        "The database could not be reached: connection failed: Is the server running?"
    )


@pytest.mark.parametrize(
    "error",
    [
        psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"),
        psycopg.errors.ProgramLimitExceeded("index row size exceeds btree version 4 maximum"),
        psycopg.errors.UniqueViolation("duplicate key value violates unique constraint"),
    ],
)
def test_a_value_that_cannot_be_held_will_never_be(error: psycopg.Error) -> None:
    assert isinstance(refusal(error, "written"), ValueError)
