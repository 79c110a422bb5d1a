"""What a tool may connect to: asked where the connection is made, of the address that is used.

A name is looked up once, every address that it has is judged, and the connection goes to one of
those addresses. So neither a redirect, nor a name that means something else a moment later, nor a
number written in an unusual way comes past. Nothing is allowed that was not granted.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias, cast

import httpcore2
import httpx2
from msgspec import Struct

from stepwell.errors import Code, StepwellError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
PRIVATE: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
LONGEST_ANSWER: Final = 16 * 1024 * 1024
"""Bytes of an answer, where nobody says."""
WORDS: Final = {"loopback": LOOPBACK, "private": PRIVATE}
"""What `networks` may say besides a network."""

_SPECIAL = tuple(
    # Not everybody's, but so in the tables of some Pythons that we run on.
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "3fff::/20", "5f00::/16")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NetworkRefused(StepwellError):
    """The tool may not connect to that address."""

    code = Code.NETWORK_REFUSED


class Grants(Struct, frozen=True):
    """What one tool, or one server, may connect to.

    `hosts` are `name`, `name:port` or `*.name`; a name without a port is granted for 80 and 443.
    `networks` are what is granted among the addresses that are not everybody's: a network, `loopback` or `private`.
    """

    hosts: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


def networks_of(words: Iterable[str]) -> tuple[Network, ...]:
    """The networks that a setting names.

    Raises:
        ValueError: one is no network.
    """
    return tuple(ipaddress.ip_network(text) for word in words for text in WORDS.get(word, (word,)))


def host_of(url: str) -> str:
    """The host of a URL with its port, as `Grants.hosts` has it."""
    parsed = httpx2.URL(url)
    port = parsed.port or (443 if parsed.scheme == "https" else 80)
    return f"{_plain(parsed.host)}:{port}"


class Guard(httpcore2.AsyncNetworkBackend):
    """Makes the connections of one tool or server, those that it may have."""

    def __init__(self, grants: Grants, *, whose: str, resolve: Resolve | None = None) -> None:
        """`whose` is who is refused, in messages.

        Raises:
            ValueError: one of the networks is none.
        """
        self._hosts = frozenset(host.lower() for host in grants.hosts)
        self._networks = networks_of(grants.networks)
        self._whose = whose
        self._resolve = resolve or _addresses
        self._under = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connects to one of the addresses of a host, when all of them are allowed.

        Raises:
            NetworkRefused: the name, the port or one of the addresses is not granted.
            httpcore2.ConnectError: there is no such host, or nobody answers.
        """
        self.check_host(host, port)
        try:
            async with asyncio.timeout(timeout):
                found = await self._resolve(_plain(host), port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"{host} was not found in time") from error
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"{host} has no address: {error}") from error
        for address in found:
            self.check_address(host, address)
        return await self._connect(found, port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Refuses: a socket of this machine is nobody's host."""
        raise NetworkRefused(f"{self._whose} may not connect to the socket {path}")

    async def sleep(self, seconds: float) -> None:
        """Waits, between two tries of a connection."""
        await asyncio.sleep(seconds)

    def check_host(self, host: str, port: int) -> None:
        """Whether a host may be looked up at all.

        Raises:
            NetworkRefused: it may not.
        """
        name = _plain(host)
        names = [name, *(f"*.{name[at + 1 :]}" for at, letter in enumerate(name) if letter == ".")]
        usual = port in (80, 443)
        if not any(
            f"{each}:{port}" in self._hosts or (usual and each in self._hosts) for each in names
        ):
            raise NetworkRefused(
                f"{self._whose} may not connect to {name}:{port}; "
                f'add "{name}:{port}" to its `hosts` if it should',
                detail={"host": name, "port": str(port)},
            )

    def check_address(self, host: str, text: str) -> None:
        """Whether an address of a host may be connected to.

        Raises:
            NetworkRefused: it is not one that everybody may reach, and not granted.
        """
        address = ipaddress.ip_address(text.partition("%")[0])
        meant = meaning(address)
        if is_public(meant) and (meant == address or is_public(address) or _is_wrapped(address)):
            return
        if any(meant in network for network in self._networks if network.version == meant.version):
            return
        raise NetworkRefused(
            f"{self._whose} may not connect to {_plain(host)}: it is {address}, which is not an "
            "address of the public network; grant it with `networks` if it should",
            detail={"host": _plain(host), "address": str(address)},
        )

    async def _connect(
        self,
        found: list[str],
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[Any] | None,
    ) -> httpcore2.AsyncNetworkStream:
        last: Exception = httpcore2.ConnectError("the host has no address")
        for address in found:
            try:
                return await self._under.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last


class TooLong(httpx2.StreamError):
    """An answer that has more bytes than anybody wants to read, or hides how many it has."""


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """The transport of a client whose every connection passes a guard.

    No answer is compressed, and none is longer than `limit` bytes but a stream of events, whose
    reader bounds each event.
    """

    def __init__(self, guard: Guard, *, limit: int) -> None:
        # Not `super().__init__`, whose pool takes no network of ours.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False),
            max_connections=20,
            max_keepalive_connections=5,
            keepalive_expiry=5,
            network_backend=guard,
        )
        self._limit = limit

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends a request.

        Raises:
            NetworkRefused: its host may not be connected to.
            TooLong: the answer is compressed though nobody asked for that.
        """
        request.headers["Accept-Encoding"] = "identity"
        response = await super().handle_async_request(request)
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            await response.aclose()
            raise TooLong(f"the answer is compressed ({encoding}), which nobody has asked for")
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Bounded(response.stream, self._limit)
        return response


class _Bounded(httpx2.AsyncByteStream):
    """A stream that ends with an error where it is too long."""

    def __init__(self, stream: httpx2.AsyncByteStream, limit: int) -> None:
        self._stream = stream
        self._left = self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._left -= len(chunk)
            if self._left < 0:
                raise TooLong(f"the answer has more than {self._limit} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def guarded_client(
    guard: Guard, *, limit: int = LONGEST_ANSWER, **options: Any
) -> httpx2.AsyncClient:
    """A client whose every connection passes the guard; no proxy of the environment is used."""
    transport = GuardedTransport(guard, limit=limit)
    return httpx2.AsyncClient(transport=transport, trust_env=False, **options)


def meaning(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    wrapped = address.ipv4_mapped or address.sixtofour
    if wrapped is None and address.teredo is not None:
        wrapped = address.teredo[1]
    if wrapped is None and address in _NAT64:
        wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if wrapped is None and int(address) >> 32 == 0 and int(address) > 1:
        wrapped = ipaddress.IPv4Address(int(address))
    return address if wrapped is None else wrapped


def is_public(address: Address) -> bool:
    """Whether an address is one of the public network, and of one machine."""
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_loopback
        or address.is_link_local
        or address.is_private
        or address.is_unspecified
        or any(address in network for network in _SPECIAL)
    )


def _is_wrapped(address: Address) -> bool:
    return meaning(address) != address


def _plain(host: str) -> str:
    """A host as it is compared: no brackets, no last dot, small letters."""
    return host.strip("[]").rstrip(".").lower()


async def _addresses(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
