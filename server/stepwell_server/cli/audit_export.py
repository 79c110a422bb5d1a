"""What `stepwell audit export` writes, and how it is read again: one entry a line, as JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from stepwell.client import AuditEntry, AuditFinding
from stepwell.errors import Code, InvalidRequest
from stepwell.principals import DEFAULT_NAMESPACE
from stepwell_storage import records
from stepwell_storage.chain import hash_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One entry; `at` is in UTC microseconds since 1970, as it is hashed."""

    namespace: str
    sequence: int
    at: int
    principal: str
    action: str
    resource: str
    detail: str
    previous: str
    hash: str


def line_of(entry: AuditEntry) -> str:
    """The line of an entry."""
    line = Line(
        namespace=DEFAULT_NAMESPACE,
        sequence=entry.sequence,
        at=(entry.at - _EPOCH) // _MICROSECOND,
        principal=entry.principal,
        action=entry.action,
        resource=entry.resource,
        detail=entry.detail,
        previous=entry.previous,
        hash=entry.hash,
    )
    return msgspec.json.encode(line).decode()


def read_export(file: Path) -> list[Line]:
    """The entries of a file.

    Raises:
        InvalidRequest: it cannot be read, or is no export.
    """
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        problem = f"{file} cannot be read: {error.strerror}"
        raise InvalidRequest(problem, code=Code.INVALID_CONFIG) from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(msgspec.json.decode(line, type=Line))
        except msgspec.DecodeError as error:
            raise InvalidRequest(
                f"{file}, line {number} is not what `stepwell audit export` writes: {error}",
                code=Code.INVALID_CONFIG,
            ) from error
    return found


def check_export(lines: Sequence[Line]) -> list[AuditFinding]:
    """What is wrong with an export by itself."""
    findings = []
    for number, line in enumerate(lines):
        where = f"entry {line.sequence} of the export"
        if line.hash != _hash(line):
            findings.append(AuditFinding("the entry was changed", where))
        if number and (line.previous, line.sequence) != (
            lines[number - 1].hash,
            lines[number - 1].sequence + 1,
        ):
            findings.append(AuditFinding("the entry does not follow the one before it", where))
    return findings


def _hash(line: Line) -> str:
    entry = records.AuditEntry(
        line.sequence,
        line.at,
        line.principal,
        line.action,
        line.resource,
        line.detail,
        line.previous,
        line.hash,
    )
    return hash_of(line.namespace, entry)
