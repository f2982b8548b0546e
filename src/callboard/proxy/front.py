"""One port for the API and the proxy, so that runs, firewalls and operators need to know of one only.

A request for a proxy looks different from its first bytes on: its target is a whole URL, or it is a CONNECT.
A connection that begins so is handed over for good; on all others this costs one comparison for each piece.
"""

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from callboard.proxy.server import Proxy
from callboard.proxy.status_page import PATH

_FOR_PROXY = re.compile(rb"CONNECT |[A-Za-z]+ (?i:https?)://|GET " + re.escape(PATH) + rb" ")
_ENOUGH_BYTES = 24
"""As long as the longest of those beginnings."""


def protocol_with(proxy: Proxy) -> type[asyncio.Protocol]:
    """What uvicorn is to speak: HTTP to its application, with connections meant for a proxy given to `proxy`."""

    class Front(HttpToolsProtocol):
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

    return Front
