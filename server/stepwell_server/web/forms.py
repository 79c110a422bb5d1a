"""What a form has sent: few short fields, and never more than we want to read."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from stepwell.errors import InvalidRequest, LimitExceeded

MOST_BYTES: Final = 128 * 1024
MOST_FIELDS: Final = 20
FORM: Final = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form; of several with one name the first.

    Raises:
        InvalidRequest: it is no form.
        LimitExceeded: it is too long.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise InvalidRequest("this is no form")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise LimitExceeded(f"a form has at most {MOST_BYTES} bytes")
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise InvalidRequest("this is no form") from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value.replace("\r\n", "\n"))
    return fields
