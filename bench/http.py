"""A client that costs next to nothing, so that what is measured is the server: one kept connection, no parsing."""

import io
import socket
import time
from typing import Any, NamedTuple

import msgspec

_END_OF_HEAD = b"\r\n\r\n"
_KEPT_SECS = 2.0
"""Servers close connections that are idle for longer than a few seconds."""


class Answer(NamedTuple):
    status: int
    body: bytes

    @property
    def data(self) -> Any:
        """What is in the envelope. Raises RuntimeError for an error."""
        if self.status >= 400:
            raise RuntimeError(f"{self.status}: {self.body[:500]!r}")
        return msgspec.json.decode(self.body)["data"]


class Client:
    """One connection at a time, a new one after a pause. Not for use by several threads at once."""

    def __init__(self, port: int, token: str = "") -> None:
        self._port = port
        self._connect()
        self._fields = f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = io.BufferedReader(self._socket.makefile("rb", buffering=0), 256 * 1024)
        self._used_at = time.monotonic()

    def close(self) -> None:
        self._reader.close()
        self._socket.close()

    def send(self, method: str, path: str, body: bytes = b"", content_type: str = "") -> None:
        """Send a request without waiting for its answer."""
        if time.monotonic() - self._used_at > _KEPT_SECS:
            self.close()
            self._connect()
        sent_type = f"Content-Type: {content_type or 'application/json'}\r\n" if body else ""
        head = f"{method} {path}{self._fields}{sent_type}Content-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)

    def wait_for_body(self) -> int:
        """The status of the next answer, once the first of its body has come. Nothing can be sent after that."""
        head = self._head()
        self._reader.peek()
        return int(head.split(b" ", 2)[1])

    def receive(self, *, keep: bool = True) -> Answer:
        """The next answer, its body left out unless `keep`."""
        head = self._head().lower()
        status = int(head.split(b" ", 2)[1])
        self._used_at = time.monotonic()
        if b"\r\ntransfer-encoding: chunked\r\n" in head:
            parts = [part for part in self._chunks() if keep]
            return Answer(status, b"".join(parts))
        _, _, length = head.partition(b"\r\ncontent-length: ")
        body = self._reader.read(int(length.partition(b"\r\n")[0] or b"0"))
        return Answer(status, body if keep else b"")

    def ask(self, method: str, path: str, body: bytes = b"", content_type: str = "") -> Answer:
        self.send(method, path, body, content_type)
        return self.receive()

    def ask_json(self, method: str, path: str, value: Any) -> Any:
        """What is in the envelope of the answer to a JSON body."""
        return self.ask(method, path, msgspec.json.encode(value)).data

    def _head(self) -> bytes:
        end = self._reader.peek().find(_END_OF_HEAD)  # the whole head, if it is short
        if end >= 0:
            return self._reader.read(end + len(_END_OF_HEAD))
        head = b""
        while not head.endswith(_END_OF_HEAD):
            line = self._reader.readline()
            if not line:
                raise RuntimeError("the server closed the connection")
            head += line
        return head

    def _chunks(self):
        while size := int(self._reader.readline(), 16):
            yield self._reader.read(size)
            self._reader.readline()
        self._reader.readline()
