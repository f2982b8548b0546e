"""The name servers of runs: the host's own, seen from a namespace that cannot reach its loopback."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
"""The second holds the real servers where the first names only a local forwarder (systemd-resolved)."""

_SERVERS_MAX = 3  # More are ignored by the C library's resolver.


@dataclass(frozen=True)
class Resolvers:
    """`nameservers` are IPv4 and not loopback; `local` is the host's loopback one if it has no other."""

    nameservers: tuple[str, ...]
    local: str | None
    options: tuple[str, ...]
    """The `search`, `domain` and `options` lines."""

    def render(self, *, local_as: str | None = None) -> str:
        """A resolv.conf, in which the loopback name server is found at `local_as`."""
        servers = self.nameservers
        if not servers and self.local is not None and local_as is not None:
            servers = (local_as,)
        return "".join(
            f"{line}\n" for line in (*self.options, *map("nameserver {}".format, servers))
        )


def stamp(sources: Sequence[Path]) -> tuple[tuple[int, int], ...]:
    """Differs when one of the files was changed or replaced."""
    return tuple(_stamp(source) for source in sources)


def read_resolvers(sources: Sequence[Path]) -> Resolvers:
    """The first file with a name server that is not on loopback decides, else the first that has any.

    IPv6 name servers are left out, as runs have no IPv6.
    """
    found = [resolvers for source in sources if (resolvers := _read(source)) is not None]
    for resolvers in found:
        if resolvers.nameservers:
            return resolvers
    return found[0] if found else Resolvers((), None, ())


def _read(source: Path) -> Resolvers | None:
    try:
        lines = [line.split() for line in source.read_text(errors="replace").splitlines()]
    except OSError:
        return None
    servers = [address for words in lines if (address := _server(words)) is not None]
    outside = tuple(str(server) for server in servers if not server.is_loopback)
    local = next((str(server) for server in servers if server.is_loopback), None)
    options = tuple(" ".join(w) for w in lines if w and w[0] in ("search", "domain", "options"))
    return Resolvers(outside[:_SERVERS_MAX], local, options)


def _server(words: list[str]) -> ipaddress.IPv4Address | None:
    if len(words) < 2 or words[0] != "nameserver":
        return None
    try:
        return ipaddress.IPv4Address(words[1])
    except ValueError:
        return None


def _stamp(source: Path) -> tuple[int, int]:
    try:
        status = source.stat()
    except OSError:
        return (0, 0)
    return (status.st_ino, status.st_mtime_ns)
