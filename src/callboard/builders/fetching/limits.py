"""How much a version's sources may amount to. Counted while they are unpacked: what archives say is only a claim."""

from dataclasses import dataclass

from callboard.builders.fetching.errors import FetchFailed

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """`ratio` is how many times its own size an archive may unpack to, once beyond `ratio_from_bytes`."""

    packed_bytes: int = 512 * MIB
    unpacked_bytes: int = 1024 * MIB
    ratio: int = 200
    ratio_from_bytes: int = 64 * MIB
    files: int = 50_000

    def budget(self, packed_bytes: int) -> "Budget":
        """What an archive of that size may unpack to."""
        return Budget(min(self.unpacked_bytes, self.ratio_from_bytes + self.ratio * packed_bytes))


@dataclass
class Budget:
    """Bytes that may still be written."""

    limit_bytes: int
    used_bytes: int = 0

    def spend(self, count: int, *, name: str) -> None:
        """Raises FetchFailed when `count` bytes of the entry `name` are too many."""
        self.used_bytes += count
        if self.used_bytes > self.limit_bytes:
            raise FetchFailed(
                f"The archive unpacks to more than {self.limit_bytes / MIB:.0f} MB, which is too much for one of "
                f"its size. Stopped at {name}."
            )
