"""Durations on the command line."""

from datetime import timedelta

from stepwell.durations import parse_duration
from stepwell.errors import Code, InvalidRequest


def read_duration(given: str, option: str) -> timedelta | None:
    """The duration that an option was given; None where it was not.

    Raises:
        InvalidRequest: it is none.
    """
    if not given:
        return None
    try:
        return parse_duration(given)
    except ValueError as error:
        raise InvalidRequest(f"{option}: {error}", code=Code.INVALID_CONFIG) from error
