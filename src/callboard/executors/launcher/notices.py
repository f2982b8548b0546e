"""Connected servers, and what they are told without asking."""

import socket
from collections.abc import Callable, Mapping
from typing import Any

from callboard.executors.launcher import protocol
from callboard.executors.launcher.loop import READ, WRITE, Loop

_QUIET_SECS = 0.02
_BACKLOG_BYTES = 8 * 1024 * 1024
_READ_BYTES = 256 * 1024


class Connection:
    """One server. Never blocks: what it does not take at once waits here."""

    def __init__(self, loop: Loop, peer: socket.socket) -> None:
        self._loop, self._peer = loop, peer
        self._decoder = protocol.Decoder()
        self._unsent = bytearray()
        self.on_message: Callable[[dict[str, Any]], None] = lambda _: None
        self.on_close: Callable[[], None] = lambda: None
        peer.setblocking(False)
        loop.watch(peer.fileno(), READ, self._ready)

    @property
    def is_behind(self) -> bool:
        """Reads so slowly that what can be missed should be left out."""
        return len(self._unsent) > _BACKLOG_BYTES

    def send(self, message: Mapping[str, Any]) -> None:
        self._unsent += protocol.encode(message)
        self._flush()

    def hand_over(self, message: Mapping[str, Any], given: socket.socket) -> None:
        """Send a message, and a copy of a socket with its first byte. Raises OSError when it has to wait."""
        if self._unsent:
            raise BlockingIOError("this connection is behind with reading")
        data = protocol.encode(message)
        self._unsent += data[socket.send_fds(self._peer, [data], [given.fileno()]) :]
        self._flush()

    def close(self) -> None:
        if self._peer.fileno() >= 0:
            self._loop.unwatch(self._peer.fileno())
            self._peer.close()
            self.on_close()

    def _ready(self) -> None:
        if self._unsent:
            self._flush()
        try:
            data = self._peer.recv(_READ_BYTES)
            messages = list(self._decoder.feed(data))
        except BlockingIOError:
            return
        except (OSError, ValueError):
            self.close()
            return
        for message in messages:
            self.on_message(message)
        if not data:
            self.close()

    def _flush(self) -> None:
        if self._peer.fileno() < 0:
            return
        try:
            del self._unsent[: self._peer.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._loop.watch(self._peer.fileno(), READ | WRITE if self._unsent else READ, self._ready)


class Notices:
    """Says the same to all servers."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._grown: dict[str, bool] = {}
        self.connections: set[Connection] = set()

    def tell(self, message: Mapping[str, Any], *, may_be_missed: bool = False) -> None:
        for connection in list(self.connections):
            if not (may_be_missed and connection.is_behind):
                connection.send(message)

    def log_grew(self, log_id: str) -> None:
        """Tell at once, then hold back more of the same for a moment and tell of it together."""
        if log_id in self._grown:
            self._grown[log_id] = True
            return
        self._grown[log_id] = False
        self.tell({"log_grew": log_id}, may_be_missed=True)
        self._loop.call_later(_QUIET_SECS, lambda: self._quiet_over(log_id))

    def flush_log(self, log_id: str) -> None:
        """Tell now what is held back: the log has ended."""
        if self._grown.get(log_id):
            self._grown[log_id] = False
            self.tell({"log_grew": log_id}, may_be_missed=True)

    def _quiet_over(self, log_id: str) -> None:
        if self._grown.pop(log_id):
            self.log_grew(log_id)
