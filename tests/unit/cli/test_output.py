"""What the command line prints of an error."""

import pytest

from stepwell.errors import InvalidRequest
from stepwell_server.cli.output import Output


def test_a_field_that_the_message_tells_already_is_not_told_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On the wire what is said of a field is cut where it is long."""
    detail = {"url": "postgres is a superuser: no gra…", "name": "it is taken"}
    Output().error(InvalidRequest("postgres is a superuser: no grant holds it", detail=detail))
    assert capsys.readouterr().err.splitlines() == [
        "error postgres is a superuser: no grant holds it",
        "  name: it is taken",
        "INVALID_REQUEST",
    ]
