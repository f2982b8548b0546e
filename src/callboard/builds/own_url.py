"""URLs of this server's own API in what clients send, and where builds reach the same.

`apify push` of larger sources uploads them to a key-value store and gives the record's URL, as the client addresses
this server. A build has a network of its own, where that address may lead nowhere.
"""

import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class OwnUrls:
    """Base URLs without a trailing slash. `port` is what the server listens on."""

    internal_url: str
    public_url: str
    port: int

    def inside(self, url: str) -> str | None:
        """Where a build reaches what `url` names; None when that is not this server's. May ask DNS, which blocks."""
        try:
            parts = urlsplit(url)
            origin = _origin(parts)
            public = urlsplit(self.public_url)
        except ValueError:
            return None
        path = parts.path
        if origin == _origin(public) and path.startswith(f"{public.path}/"):
            path = path.removeprefix(public.path)
        elif not self._is_listener(parts):
            return None
        internal = urlsplit(self.internal_url)
        return urlunsplit((internal.scheme, internal.netloc, internal.path + path, parts.query, ""))

    def _is_listener(self, parts: SplitResult) -> bool:
        host = parts.hostname or ""
        return _origin(parts) == ("http", host, self.port) and _is_this_machine(host)


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _is_this_machine(host: str) -> bool:
    """Whether the name or address is one of this machine's own: only those can be bound."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return False
    return any(_can_bind(family, address) for family, _, _, _, address in found)


def _can_bind(family: int, address: Any) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True
