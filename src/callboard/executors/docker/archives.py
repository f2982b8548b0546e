"""Archives of files for engines: to be put into containers, or to build from."""

import io
import tarfile
from collections.abc import Callable


def packed(fill: Callable[[tarfile.TarFile], None]) -> bytes:
    """What `fill` puts in, ended by the two empty blocks of the format and nothing more.

    What follows those, as Python's own padding does, Podman leaves unread, and at times takes for a failure.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        fill(archive)
        end = buffer.tell() + 2 * tarfile.BLOCKSIZE
    return buffer.getvalue()[:end]
