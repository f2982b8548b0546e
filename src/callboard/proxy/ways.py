"""Ways out: connections to targets and to the operator's proxies, and which addresses stay closed.

The proxy dials from the host itself, past the firewall that keeps runs away from it. So it closes the same
things: every address a name leads to is judged, and only those that passed are dialled.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, TypeAlias

# Its type for an address is a bare tuple.
from aiohappyeyeballs import start_connection  # pyright: ignore[reportUnknownVariableType]

from callboard.core.addresses import is_allowed
from callboard.executors.launcher.network_lease import HOST_NAME
from callboard.proxy.errors import (
    BROKEN,
    CONNECTION_REFUSED,
    NAME_NOT_FOUND,
    NO_UPSTREAM,
    ProxyError,
)
from callboard.proxy.targets import Target
from callboard.proxy.upstreams import Upstream
from callboard.proxy.wire import opened

CONNECT_SECS: Final = 20.0
_HAPPY_EYEBALLS_SECS: Final = 0.25
_ANY_PORT: Final = 9
_OWN_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_AddressInfo: TypeAlias = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, Any]


@dataclass(frozen=True)
class Site:
    """What is to be known of this server. `own_hosts` are names and addresses that stand for its API, at `port`."""

    port: int
    listen_address: str
    """An address of the API, from here."""
    own_hosts: frozenset[str]
    gateway_address: str | None
    """The host's address in the network of the runs, where they have one."""
    allow_local: bool


class Ways:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._tls = ssl.create_default_context()

    def is_own(self, target: Target) -> bool:
        """Whether it is this server's API, which is always open."""
        return target.port == self._site.port and target.host in self._site.own_hosts

    async def open_directly(self, target: Target) -> Streams:
        """A connection to the target itself. Raises ProxyError."""
        if self.is_own(target):
            addresses = [_address_info(self._site.listen_address, target.port)]
        else:
            found = await self._resolve(target)
            addresses = [info for info in found if self._is_open(str(info[4][0]))]
        if not addresses:
            raise _closed(target)
        return await _connect(addresses, target)

    async def open_upstream(self, upstream: Upstream) -> Streams:
        """A connection to a proxy of the operator's. It may be anywhere. Raises ProxyError."""
        tls = self._tls if upstream.is_tls else None
        try:
            async with asyncio.timeout(CONNECT_SECS):
                return await asyncio.open_connection(upstream.host, upstream.port, ssl=tls)
        except OSError as error:
            raise ProxyError(NO_UPSTREAM, "The upstream proxy cannot be reached.") from error

    def stays_here(self, target: Target) -> bool:
        """Whether the target means this machine, where no upstream proxy leads to.

        An upstream resolves names itself; addresses that are closed here are not passed on to it either.
        Raises ProxyError.
        """
        name = target.host.rstrip(".")
        if self.is_own(target) or name in ("localhost", HOST_NAME) or name.endswith(".localhost"):
            return True
        address = _as_address(name)
        if address is None:
            return False
        if ip_address(address).is_loopback:
            return True
        if not is_allowed(address, allow_private=self._site.allow_local):
            raise _closed(target)
        return False

    async def _resolve(self, target: Target) -> Sequence[_AddressInfo]:
        host = target.host
        if self._site.allow_local and host in (HOST_NAME, self._site.gateway_address):
            host = "127.0.0.1"
        try:
            async with asyncio.timeout(CONNECT_SECS):
                return await asyncio.get_running_loop().getaddrinfo(
                    host, target.port, type=socket.SOCK_STREAM
                )
        except (OSError, UnicodeError) as error:
            raise ProxyError(NAME_NOT_FOUND, f"{target.host} is not found.") from error

    def _is_open(self, address: str) -> bool:
        if not is_allowed(address, allow_private=self._site.allow_local):
            return False
        ip = ip_address(address)
        plain = str(ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else address
        if ip_address(plain).is_loopback:
            # Others of 127.0.0.0/8 may be those of runs: HOST_NAME leads to none of them either.
            return plain in _OWN_LOOPBACK
        source = _source_address(plain)
        if source == self._site.gateway_address is not None:
            return False  # It is a run's.
        return self._site.allow_local or source != plain


def _source_address(address: str) -> str | None:
    """From which of its addresses this host would talk to `address`: its own talk to themselves. Nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect((address, _ANY_PORT))
        return probe.getsockname()[0]
    return None


def _as_address(name: str) -> str | None:
    """The IP address that a host is, in one of the spellings that resolvers take (`127.1`, `0x7f000001`)."""
    with suppress(ValueError):
        return str(ip_address(name))
    with suppress(OSError):
        return socket.inet_ntoa(socket.inet_aton(name))
    return None


def _address_info(address: str, port: int) -> _AddressInfo:
    return socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port)


async def _connect(addresses: Sequence[_AddressInfo], target: Target) -> Streams:
    try:
        async with asyncio.timeout(CONNECT_SECS):
            connection = await start_connection(
                addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_SECS
            )
            return await opened(connection)
    except TimeoutError as error:
        raise ProxyError(
            HTTPStatus.GATEWAY_TIMEOUT, f"{target.authority} does not answer."
        ) from error
    except OSError as error:
        status = CONNECTION_REFUSED if error.errno == errno.ECONNREFUSED else BROKEN
        raise ProxyError(status, f"{target.authority} cannot be reached.") from error


def _closed(target: Target) -> ProxyError:
    return ProxyError(HTTPStatus.FORBIDDEN, f"{target.authority} may not be reached from here.")
