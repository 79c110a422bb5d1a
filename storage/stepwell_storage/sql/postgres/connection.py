"""How Stepwell connects to PostgreSQL, and what it says when that fails.

Nothing here relies on a session: a connection may be one to a pooler that hands every transaction
to another server process. So nothing is prepared, and what a transaction needs it sets for itself.
Nothing waits without an end either: a server that does not answer is given up.
"""

from datetime import timedelta
from typing import Any, Final, TypeAlias

import psycopg
from msgspec import Struct
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict

from stepwell_storage.errors import BadUrl, Full, Unavailable

Parameters: TypeAlias = dict[str, Any]
Row: TypeAlias = tuple[Any, ...]

_DEFAULTS: Final[Parameters] = {
    "application_name": "stepwell",
    # What a peer that is gone without a word leaves behind is found out within a minute.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_DISK_FULL: Final = "53100"


class Patience(Struct, frozen=True):
    """How long anything may take before it is given up."""

    lock: timedelta = timedelta(seconds=5)
    """Until another transaction lets go of what this one needs."""

    statement: timedelta = timedelta(seconds=15)
    """Until a statement has ended."""

    transaction: timedelta = timedelta(seconds=30)
    """Until a transaction has ended, so that nobody waits for a process that hangs in one."""

    answer: timedelta = timedelta(seconds=20)
    """Until the server has answered, or is taken for gone. Longer than a statement may take."""


class NoAnswer(psycopg.OperationalError):
    """The server has not answered in time, and the connection was closed."""


class Connection(psycopg.Connection[Row]):
    """A connection for the thread that writes."""

    patience = Patience()

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        """Waits for an answer, but not for ever."""
        limit = self.patience.answer.total_seconds() if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit)
        except psycopg.errors._WaitTimeout as error:  # noqa: SLF001 - the class has no public name
            self.pgconn.finish()
            raise NoAnswer(f"no answer within {limit:g} s") from error


class AsyncConnection(psycopg.AsyncConnection[Row]):
    """A connection for reads."""

    patience = Patience()

    async def wait(
        self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None
    ) -> Any:
        """Waits for an answer, but not for ever."""
        limit = self.patience.answer.total_seconds() if timeout is None else timeout
        try:
            return await super().wait(gen, interval, limit)
        except psycopg.errors._WaitTimeout as error:  # noqa: SLF001 - the class has no public name
            self.pgconn.finish()
            raise NoAnswer(f"no answer within {limit:g} s") from error


class Server:
    """Where a database is, and how to get there."""

    def __init__(self, url: str, patience: Patience) -> None:
        """Takes a `postgresql://` URL.

        Raises:
            BadUrl: the URL cannot be used.
        """
        self.patience = patience
        self._parameters = _parameters(url, patience)

    def connect(self) -> Connection:
        """A connection that leaves transactions to the caller."""
        connection = Connection.connect(
            "", autocommit=True, prepare_threshold=None, **self._parameters
        )
        connection.patience = self.patience
        return connection

    async def connect_to_read(self) -> AsyncConnection:
        """A connection on which each statement is a transaction."""
        connection = await AsyncConnection.connect(
            "", autocommit=True, prepare_threshold=None, **self._parameters
        )
        connection.patience = self.patience
        return connection

    async def connect_to_listen(self) -> psycopg.AsyncConnection[Row]:
        """A connection that may be silent for as long as it likes."""
        return await psycopg.AsyncConnection.connect("", autocommit=True, **self._parameters)


def _parameters(url: str, patience: Patience) -> Parameters:
    scheme, mark, rest = url.partition("://")
    try:
        given = conninfo_to_dict(f"{scheme.partition('+')[0]}{mark}{rest}")
    except psycopg.ProgrammingError:
        given = {}
    if not _is_understood(given):
        # Our words: what libpq says of it may quote a piece of the password.
        raise BadUrl(
            "PostgreSQL's own library cannot read it; it looks like "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for an @ in the password and "
            "so on, and takes after a ? only what libpq knows, such as sslmode"
        )
    seconds = max(2, round(patience.lock.total_seconds()))  # libpq takes 1 for 2
    return {**_DEFAULTS, "connect_timeout": seconds, **given, "client_encoding": "utf8"}


def _is_understood(given: Parameters) -> bool:
    """Whether a password with a / or an @ in it was not taken for something else."""
    ports = str(given.get("port", "")).split(",")
    places = f"{given.get('host', '')}{given.get('dbname', '')}"
    return bool(given) and all(it.isdecimal() for it in ports if it) and "@" not in places


def is_usable(connection: psycopg.Connection[Row] | psycopg.AsyncConnection[Row]) -> bool:
    """Whether a transaction can begin on it; one that was lost meanwhile says so when listened to."""
    if connection.closed:
        return False
    try:
        connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return False
    return connection.info.transaction_status == pq.TransactionStatus.IDLE


def is_of_its_values(error: Exception) -> bool:
    """Whether it is what was given that the database cannot hold, and not the database."""
    about = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
    return isinstance(error, about)


def refusal(error: psycopg.Error, what: str) -> Exception:
    """What the ports know of an error; `what` was to be done."""
    if error.sqlstate == _DISK_FULL:
        return Full(
            "The disk of the database is full, or it has grown to its limit; nothing was written. "
            "Make room, or raise the limit; writing goes on by itself then."
        )
    said = " ".join((error.diag.message_primary or str(error)).split())
    if is_of_its_values(error):
        return ValueError(f"the database can hold no such value: {said}")
    return Unavailable(f"The database could not be {what}: {said}")


def reach_server(url: str) -> None:
    """Connects, and leaves again.

    Raises:
        BadUrl, Unavailable: that is not possible.
    """
    try:
        Server(url, Patience()).connect().close()
    except psycopg.Error as error:
        raise refusal(error, "reached") from error
