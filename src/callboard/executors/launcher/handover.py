"""Getting a socket of a job's network from the launcher, over a connection made for it. Not imported by the launcher.

The server's lasting connection cannot serve for this: asyncio's streams have no place for a descriptor.
"""

import asyncio
import socket
from pathlib import Path

from callboard.executors.launcher import protocol

_SECS = 10.0
_READ_BYTES = 64 * 1024


async def fetch_socket(folder: Path, job_id: str) -> socket.socket:
    """A TCP socket of the job's network, not yet connected. Raises OSError when the job is not running."""
    request = protocol.encode({"n": 1, "do": "socket", "job_id": job_id})
    # Does not wait: the kernel takes the connection, whatever the launcher is at.
    with protocol.connect(folder) as launcher:
        launcher.setblocking(False)
        async with asyncio.timeout(_SECS):
            await asyncio.get_running_loop().sock_sendall(launcher, request)
            return await _receive(launcher)


async def _receive(launcher: socket.socket) -> socket.socket:
    """The socket that comes with the answer. Notices, which every connection gets, are skipped."""
    decoder = protocol.Decoder()
    given: socket.socket | None = None
    try:
        while True:
            await _until_readable(launcher)
            data, descriptors, _, _ = socket.recv_fds(launcher, _READ_BYTES, 1)
            if descriptors:
                given = socket.socket(fileno=descriptors[0])
            if not data:
                raise ConnectionError("the launcher is gone")
            for message in decoder.feed(data):
                if "error" in message:
                    raise ConnectionError(message["error"])
                if "reply" in message and given is not None:
                    return given
    except BaseException:
        if given is not None:
            given.close()
        raise


async def _until_readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection.fileno())
