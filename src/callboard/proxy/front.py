"""One port for the API, the proxy and what Actors serve, so that runs, firewalls and operators know of one only.

A request for a proxy looks different from its first bytes on: its target is a whole URL, or it is a CONNECT.
A connection that begins so is handed over for good; on all others this costs one comparison for each piece.
Handed over as well are connections on which a request to an Actor asks for another protocol.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Any, Protocol

from callboard.api.http_bounds import BoundedHttp
from callboard.proxy.server import Proxy
from callboard.proxy.status_page import PATH

_FOR_PROXY = re.compile(rb"CONNECT |[A-Za-z]+ (?i:https?)://|GET " + re.escape(PATH) + rb" ")
_ENOUGH_BYTES = 24
"""As long as the longest of those beginnings."""


@dataclass(frozen=True)
class UpgradeRequest:
    """A request to change to another protocol. Names of headers are in lower case."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    client_ip: str | None
    scheme: str


class Upgrades(Protocol):
    def take(self, transport: asyncio.Transport, request: UpgradeRequest) -> bool:
        """Serve the connection from now on; False leaves it to the application."""
        ...


def protocol_with(proxy: Proxy, upgrades: Upgrades) -> type[asyncio.Protocol]:
    """What uvicorn is to speak: HTTP to its application, with connections for others given to them."""

    class Front(BoundedHttp):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._start = b""
            self._is_known = False

        def data_received(self, data: bytes) -> None:
            if self._is_known:
                super().data_received(data)
                return
            self._start += data
            if _FOR_PROXY.match(self._start):
                self.connections.discard(self)
                proxy.take(self.transport, self._start)
            elif len(self._start) >= _ENOUGH_BYTES or b"\n" in self._start:
                self._is_known = True
                super().data_received(self._start)

        def handle_websocket_upgrade(self) -> None:
            request = UpgradeRequest(
                method=self.scope["method"],
                target=self.url,
                headers=list(self.headers),
                client_ip=self.client[0] if self.client else None,
                scheme=self.scope["scheme"],
            )
            if upgrades.take(self.transport, request):
                self.connections.discard(self)
            else:
                super().handle_websocket_upgrade()

    return Front
