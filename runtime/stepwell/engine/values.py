"""User data inside events, and why something failed."""

from typing import Any, TypeAlias

from msgspec import UNSET, Struct

Json: TypeAlias = Any
"""A decoded JSON value. The one place where `Any` travels: it belongs to the user."""


class BlobRef(Struct, frozen=True, gc=False, omit_defaults=True):
    """Names content that is kept beside the log."""

    digest: str
    size: int
    label: str = ""


class Data(Struct, frozen=True, gc=False, omit_defaults=True):
    """A JSON value that an event carries, inline or by reference.

    In memory the value is always here. In the log a value that is large or sealed is only a
    reference. `sealed` is the label of what it came from (`datasource:shop`): whatever is
    computed from sealed data is sealed too, so that no event body ever holds a row.
    """

    value: Json = UNSET
    blob: BlobRef | None = None
    sealed: str = ""


NOTHING = Data(value=None)


class Failure(Struct, frozen=True, gc=False, omit_defaults=True):
    """Why a call, a step or a run failed. `reason` is one of `stepwell.errors.Code`."""

    reason: str
    message: str
    retryable: bool = False
    detail: dict[str, str] = {}
