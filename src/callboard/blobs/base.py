"""How large values are kept: whole, by id, never changed once written.

A row names its blob. The blob is written before the row, so a crash between the two leaves a blob that no row names;
`list_ids` is how its owner finds those again.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator
from datetime import datetime


class BlobNotFound(Exception):
    """There is no blob of that id."""


class InvalidBlobId(ValueError):
    """Not an id as `core.ids.new_id` makes them; it may come from outside and is never used as a name."""


class Blob(ABC):
    """One blob, open for reading. It stays readable to its end when it is deleted meanwhile."""

    size: int
    """In bytes."""

    @abstractmethod
    def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `end`, in pieces of bounded size."""

    @abstractmethod
    async def close(self) -> None:
        """Let go. Harmless when done before; what `chunks` has not yet given is lost."""


class BlobStore(ABC):
    """Keeps blobs. `tests/conformance/test_blobs.py` holds every blob store to this."""

    @abstractmethod
    async def put(self, blob_id: str, chunks: AsyncIterable[bytes]) -> int:
        """Keep what `chunks` give and return its size, once it would survive a power cut.

        Never is a part of it to be seen, also when `chunks` raise, the caller is cancelled or the server dies;
        then it is not there, or it is whole. Putting an id again replaces the blob. Raises InvalidBlobId.
        """

    @abstractmethod
    async def open(self, blob_id: str) -> Blob:
        """Open for reading; the caller closes it. Raises BlobNotFound."""

    @abstractmethod
    async def delete(self, blob_id: str) -> None:
        """Remove. Harmless when there is no such blob."""

    @abstractmethod
    def list_ids(self, *, before: datetime) -> AsyncIterator[list[str]]:
        """The ids of blobs last put before an instant, in no order, in lists of bounded length."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what has been asked for, then let go."""


async def one_chunk(content: bytes) -> AsyncIterator[bytes]:
    """What is in memory already, for `put`."""
    yield content
