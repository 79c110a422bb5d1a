import os
import socket

import pytest

from stepwell.errors import Code, SetupError
from stepwell_server.ports import bind, owner_of


def test_port_zero_picks_a_free_one() -> None:
    with bind("127.0.0.1", 0, setting="http_port") as bound:
        assert bound.getsockname()[1] > 0


def test_a_taken_port_is_refused_with_who_has_it_and_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SetupError) as caught:
            bind("127.0.0.1", port, setting="http_port")
        assert caught.value.code is Code.PORT_IN_USE
        assert f"port {port} on 127.0.0.1 is used by process {os.getpid()}" in caught.value.message
        assert "--http-port 0 picks a free one" in caught.value.message


def test_a_taken_port_that_may_move_becomes_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with bind("127.0.0.1", port, setting="http_port", movable=True) as bound:
            assert bound.getsockname()[1] not in (0, port)


def test_a_foreign_address_names_the_setting() -> None:
    with pytest.raises(SetupError, match=r"change `server\.http_port`|cannot be used"):
        bind("203.0.113.1", 0, setting="http_port")


def test_nobody_owns_a_port_that_nobody_listens_on() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert owner_of(unused.getsockname()[1]) == ""
