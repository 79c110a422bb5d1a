"""Filters over lists, in the part of AIP-160 that they can answer."""

from stepwell.errors import InvalidRequest
from stepwell_storage.records import Condition


def parse_filter(text: str) -> tuple[Condition, ...]:
    """The conditions of a filter; () of an empty one.

    Raises:
        InvalidRequest: it is not one.
    """
    if not text:
        return ()
    raise InvalidRequest("filters are to come")
