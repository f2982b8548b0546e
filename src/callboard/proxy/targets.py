"""Where a request is to go, as its first line says."""

import re
from dataclasses import dataclass
from http import HTTPStatus

from callboard.proxy.errors import ProxyError

_AUTHORITY = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._~-]{1,253}))(?::([0-9]{1,5}))?"
)
_ABSOLUTE = re.compile(rb"(?i:http)://([^/?#@]*)([^#]*)(?:#.*)?")


@dataclass(frozen=True)
class Target:
    """A host, as a name in lower case or an IP address without brackets, and a port."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_connect(target: bytes) -> Target:
    """What a CONNECT names, such as `example.com:443`. Raises ProxyError."""
    return _parse_authority(target, default_port=None)


def parse_absolute(target: bytes) -> tuple[Target, bytes]:
    """What another request names, and the path and query it wants there. Raises ProxyError."""
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise ProxyError(
            HTTPStatus.BAD_REQUEST,
            "A proxy takes absolute http:// URLs and CONNECT, which is also the way to https.",
        )
    rest = match[2]
    path = rest if rest.startswith(b"/") else b"/" + rest
    return _parse_authority(match[1], default_port=80), path


def _parse_authority(text: bytes, *, default_port: int | None) -> Target:
    match = _AUTHORITY.fullmatch(text)
    port = default_port if match is None or match[3] is None else int(match[3])
    if match is None or port is None or not 0 < port < 65_536:
        raise ProxyError(HTTPStatus.BAD_REQUEST, "The target is not like host:port.")
    return Target((match[1] or match[2]).decode().lower(), port)
