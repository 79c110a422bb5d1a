"""What a tool may connect to."""

from collections.abc import Callable

import httpcore2
import httpx2
import pytest

from stepwell.errors import Code
from stepwell.tools.network import Grants, Guard, NetworkRefused, guarded_client, host_of

pytestmark = pytest.mark.anyio

Resolve = Callable[[str, int], object]


def guard(*hosts: str, networks: tuple[str, ...] = (), answers: object = None) -> Guard:
    async def resolve(host: str, port: int) -> list[str]:
        found = answers if answers is not None else [host]
        assert isinstance(found, list)
        return found.pop(0) if found and isinstance(found[0], list) else found

    grants = Grants(hosts=hosts, networks=networks)
    return Guard(grants, whose="the tool x", resolve=resolve)


REFUSED = [
    "127.0.0.1",
    "127.8.9.1",
    "::1",
    "0.0.0.0",
    "::",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
]


@pytest.mark.parametrize("address", REFUSED)
async def test_an_address_that_is_not_everybodys_is_refused(address: str) -> None:
    with pytest.raises(NetworkRefused) as refused:
        await guard("shop.example", answers=[address]).connect_tcp("shop.example", 443)
    assert refused.value.code is Code.NETWORK_REFUSED
    assert "grant it with `networks`" in refused.value.message


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:2800:21f:cb07::1", "64:ff9b::5db8:d70e"]
)
def test_an_address_of_the_public_network_is_allowed(address: str) -> None:
    guard("shop.example").check_address("shop.example", address)


async def test_a_name_with_a_public_and_a_private_address_is_refused_whichever_is_first() -> None:
    for answers in (["93.184.215.14", "127.0.0.1"], ["127.0.0.1", "93.184.215.14"]):
        with pytest.raises(NetworkRefused, match=r"127\.0\.0\.1"):
            await guard("shop.example", answers=answers).connect_tcp("shop.example", 443)


async def test_a_name_is_looked_up_once_and_its_address_is_what_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connected: list[str] = []

    class Under(httpcore2.AsyncNetworkBackend):
        async def connect_tcp(self, host: str, *rest: object) -> httpcore2.AsyncNetworkStream:
            connected.append(host)
            raise httpcore2.ConnectError("nobody is there")

    watched = guard("shop.example", answers=[["93.184.215.14"], ["127.0.0.1"]])
    monkeypatch.setattr(watched, "_under", Under())
    with pytest.raises(httpcore2.ConnectError):
        await watched.connect_tcp("shop.example", 443)
    with pytest.raises(NetworkRefused):
        await watched.connect_tcp("shop.example", 443)  # the name means something else by now
    assert connected == ["93.184.215.14"]


@pytest.mark.parametrize(
    ("host", "port", "is_granted"),
    [
        ("shop.example", 443, True),
        ("SHOP.example.", 80, True),
        ("shop.example", 8443, False),
        ("api.example", 8080, True),
        ("api.example", 443, False),
        ("a.b.wild.example", 443, True),
        ("wild.example", 443, False),
        ("evilwild.example", 443, False),
        ("other.example", 443, False),
        ("shop.example.evil.example", 443, False),
    ],
)
def test_hosts_are_denied_unless_they_are_listed(host: str, port: int, is_granted: bool) -> None:
    watched = guard("shop.example", "api.example:8080", "*.wild.example")
    if is_granted:
        watched.check_host(host, port)
    else:
        with pytest.raises(NetworkRefused, match="add "):
            watched.check_host(host, port)


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        (("loopback",), "127.0.0.1"),
        (("loopback",), "::1"),
        (("loopback",), "::ffff:127.0.0.1"),
        (("private",), "10.1.2.3"),
        (("10.1.0.0/16",), "10.1.2.3"),
        (("169.254.169.254/32",), "169.254.169.254"),
    ],
)
def test_what_is_granted_by_its_network_is_allowed(networks: tuple[str, ...], address: str) -> None:
    guard(networks=networks).check_address("x", address)


def test_a_grant_is_of_nothing_else() -> None:
    with pytest.raises(NetworkRefused):
        guard(networks=("loopback",)).check_address("x", "10.0.0.1")
    with pytest.raises(NetworkRefused):
        guard(networks=("private",)).check_address("x", "169.254.169.254")
    with pytest.raises(ValueError, match="does not appear to be"):
        guard(networks=("everything",))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://127.1/",
        "http://0x7f000001/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost/",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
async def test_a_client_refuses_loopback_however_it_is_written(url: str) -> None:
    host = httpx2.URL(url).host
    async with guarded_client(Guard(Grants(hosts=(host,)), whose="the tool x")) as client:
        with pytest.raises((NetworkRefused, httpx2.ConnectError)):
            await client.get(url)


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with guarded_client(guard("shop.example", answers=["10.0.0.1"])) as client:
        with pytest.raises(NetworkRefused, match=r"10\.0\.0\.1"):
            await client.get("http://shop.example/")


async def test_a_socket_of_the_machine_is_refused() -> None:
    with pytest.raises(NetworkRefused):
        await guard().connect_unix_socket("/var/run/docker.sock")


def test_the_host_of_a_url() -> None:
    assert host_of("https://API.example/x") == "api.example:443"
    assert host_of("http://api.example") == "api.example:80"
    assert host_of("http://api.example:8080/") == "api.example:8080"
