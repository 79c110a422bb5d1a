"""Where a PostgreSQL is: `postgresql://USER:secret://KIND/PLACE@HOST:PORT/DATABASE?sslmode=...`.

A password is never in the URL, only a reference to where it is kept. What libpq would otherwise
look for by itself, such as the daemon's own `PGPASSWORD` or a password file, is not looked for.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

from stepwell.errors import InvalidRequest
from stepwell.tools.secrets import REFERENCE, Redactor, Secrets

SCHEMES: Final = ("postgresql", "postgres")
EXAMPLE: Final = "postgresql://USER:secret://env/NAME@HOST:5432/DATABASE"
OPTIONS: Final = ("host", "sslmode", "sslrootcert", "sslcert", "sslkey", "channel_binding")
"""What may stand after the `?`; each is libpq's. `host` is the folder of a Unix socket."""

_REFERENCE: Final = re.compile(r"secret://(?:env/\w+|store/[\w.-]*\w)")
_MISPLACED: Final = (
    f"a reference to a secret can only be the password, of the kind env or store: {EXAMPLE}"
)
_MARK: Final = "secret.reference"
_CONNECT: Final = 5
_DEFAULTS: Final[Mapping[str, str]] = {
    "application_name": "stepwell datasource",
    "connect_timeout": str(_CONNECT),
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "client_encoding": "utf8",
    "passfile": f"{os.devnull}/none",
    "gssencmode": "disable",
}


class Place(Struct, frozen=True, kw_only=True):
    """A database, and whose login is used. `password` is a reference, or empty."""

    host: str
    port: int
    database: str
    user: str
    password: str
    options: tuple[tuple[str, str], ...] = ()

    def parameters(self, secrets: Secrets, redactor: Redactor) -> dict[str, Any]:
        """What psycopg connects with; `redactor` is told the password.

        Raises:
            SecretMissing: the reference leads nowhere.
            SetupError: the password is too short to be kept out of texts.
        """
        password = secrets.resolve(self.password, redactor) if self.password else ""
        return {
            **_DEFAULTS,
            "host": self.host,
            "port": str(self.port),
            "dbname": self.database,
            "user": self.user,
            "password": password,
            **dict(self.options),
        }


def is_postgres(url: str) -> bool:
    """Whether a URL is one of PostgreSQL."""
    return url.partition("://")[0] in SCHEMES


def place_of(url: str) -> Place:
    """The place that a URL names. No message repeats the URL, which may hold a password.

    Raises:
        InvalidRequest: it names none, or has a password in clear.
    """
    found = _REFERENCE.findall(url)
    if REFERENCE.search(_REFERENCE.sub("", url)):
        raise _invalid(_MISPLACED)
    try:
        parts = urlsplit(_REFERENCE.sub(_MARK, url))
        port = parts.port or 5432
    except ValueError as error:
        raise _invalid(f"the URL cannot be read; it looks like {EXAMPLE}") from error
    password = parts.password or ""
    if password and password != _MARK:
        raise _invalid(
            "a password does not belong into the URL, where it would be kept and shown: put it "
            "into the store of secrets with `stepwell secrets set NAME` and write "
            "secret://store/NAME in its place, or secret://env/NAME for a variable of the daemon"
        )
    if len(found) != bool(password):
        raise _invalid(_MISPLACED)
    options = _options(parts.query)
    host = dict(options).get("host") or unquote(parts.hostname or "")
    database, user = unquote(parts.path.removeprefix("/")), unquote(parts.username or "")
    if not (host and database and user) or "/" in database or parts.fragment:
        raise _invalid(f"the URL must name a user, a host and a database: {EXAMPLE}")
    if "," in host or "\x00" in unquote(url):
        raise _invalid(f"the URL must name one host, in plain text: {EXAMPLE}")
    rest = tuple((name, value) for name, value in options if name != "host")
    return Place(
        host=host,
        port=port,
        database=database,
        user=user,
        password=found[0] if found else "",
        options=rest,
    )


def _options(query: str) -> tuple[tuple[str, str], ...]:
    options = tuple(parse_qsl(query, keep_blank_values=True))
    unknown = [name for name, _ in options if name not in OPTIONS]
    if unknown:
        raise _invalid(
            f"the URL has the option {unknown[0]!r:.40}; there are {', '.join(OPTIONS)}, and a "
            "password stands before the @, as a reference"
        )
    return options


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest(reason, detail={"url": reason})
