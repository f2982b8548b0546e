"""What a run gets of the network, and the pool it comes from, whatever makes the namespaces."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

HOST_NAME = "host.callboard.internal"
"""How a run calls the host, where local services are allowed."""

_PIECE = 4


@dataclass(frozen=True)
class Lease:
    """A network namespace of one's own until released. Only `serial` tells two leases apart."""

    serial: int
    netns_path: str = field(compare=False)
    """To be opened and entered before the job's program starts; empty when `argv_prefix` does it."""
    argv_prefix: tuple[str, ...] = field(compare=False)
    """To be put before the job's argv; empty for veth."""
    address: str | None = field(compare=False)
    """The run's own, as the host routes it; None where only `network_sockets` leads in."""
    interface: str = field(compare=False)
    """The way out, as named inside; its counters are the run's traffic."""
    hosts: Mapping[str, str] = field(compare=False)
    """More lines for /etc/hosts: name to address."""
    resolv_conf: str = field(compare=False)
    """Path of the file to show as /etc/resolv.conf. Rewritten in place when the host's changes."""
    holder_pid: int | None = field(compare=False, default=None)
    """A process in the namespace and the user namespace that owns it, where `netns_path` is empty."""


class Plumbing(Protocol):
    """Makes namespaces in one way. What is said of its attributes in `Network` holds here."""

    rung: str
    description: str
    gateway_address: str | None
    api_address: str
    listen_address: str
    warm: int
    """How many to keep idle at first; doubled each time they run out."""
    idle_max: int
    batch: int
    """How many to make at once for a run that waits."""

    def make(self, count: int) -> list[Lease]:
        """Fewer than asked when not all can be made, none only where runs share the host's network.

        Raises OSError when not even one can be made.
        """
        ...

    def discard(self, lease: Lease) -> None: ...

    def is_intact(self, lease: Lease) -> bool:
        """Whether it can serve another run. Cheap."""
        ...

    def refresh(self) -> None:
        """Follow changes of the host, such as its name servers. Cheap when there are none."""
        ...

    def close(self) -> None:
        """Remove all that was made; harmless when repeated."""
        ...


class Network:
    """Leases of network namespaces, made ahead so that no run waits. For one thread."""

    def __init__(self, plumbing: Plumbing, *, better: Sequence[str] = ()) -> None:
        self._plumbing = plumbing
        self._idle: deque[Lease] = deque()
        self._warm = plumbing.warm
        self.rung = plumbing.rung
        """How runs are kept apart: `veth`, `pasta`, `slirp4netns` or, not at all, `host`."""
        self.description = "; ".join((plumbing.description, *better))
        """The rung for people, with what it does not enforce and why better rungs were not used."""
        self.gateway_address = plumbing.gateway_address
        """The host as runs see it, where there is such an address."""
        self.api_address = plumbing.api_address
        """`host:port` under which a run reaches the API."""
        self.listen_address = plumbing.listen_address
        """What the API has to listen on, at `api_port`, for that."""

    def lease(self) -> Lease | None:
        """Take a namespace; at once while there are idle ones, else a batch is made first.

        None means that jobs share the host's network. Raises OSError when none can be made.
        """
        if not self._idle:
            self._warm = min(self._warm * 2, self._plumbing.idle_max)
            self._idle.extend(self._plumbing.make(self._plumbing.batch))
        return self._idle.popleft() if self._idle else None

    def release(self, lease: Lease) -> None:
        """Give back a namespace in which no process is left. Twice the same lease counts once."""
        if lease in self._idle:
            return
        is_full = len(self._idle) >= self._plumbing.idle_max
        if is_full or not self._plumbing.is_intact(lease):
            self._plumbing.discard(lease)
        else:
            # Last in the queue: ports the kernel still holds for a minute have time to come free.
            self._idle.append(lease)

    def refill(self) -> bool:
        """Do a little of the ahead-of-time work; True while more is left. Raises OSError."""
        self._plumbing.refresh()
        missing = self._warm - len(self._idle)
        if missing > 0:
            self._idle.extend(made := self._plumbing.make(min(missing, _PIECE)))
            return bool(made) and missing > len(made)
        return False

    def close(self) -> None:
        """Remove everything from the host, leased namespaces too. Harmless when repeated."""
        self._idle.clear()
        self._plumbing.close()
