"""The user-mode network stacks: how pasta and slirp4netns are started, and what they make of addresses.

Both are ordinary processes that open connections on a run's behalf, as the user they run as.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Site:
    """What is the same for all stacks of a launcher. `dns_local` is the host's loopback name server."""

    state_dir: Path
    api_port: int
    allow_local: bool
    nameservers: tuple[str, ...]
    dns_local: str | None


class Stack(ABC):
    program: str
    interface: str
    """Its name inside."""
    api_host: str
    """Where a run finds the API, which listens on the host's 127.0.0.1."""
    own_addresses: tuple[str, ...]
    """Addresses inside that lead to the host's loopback."""
    nameserver: str
    """What stands inside for the host's loopback name server."""

    @abstractmethod
    def argv(self, site: Site, *, target: int) -> tuple[str, ...]:
        """Start in the foreground, attach to the namespace of process `target`, write to stdout when ready."""

    @abstractmethod
    def host_address(self, gateway: str) -> str:
        """How the host is reached where local services are allowed; `gateway` is the host's own."""

    def clean_up(self, site: Site, *, target: int) -> None:
        """Remove the files of a stack that has ended."""
        for path in site.state_dir.glob(f"{target}.*"):
            path.unlink(missing_ok=True)


class Pasta(Stack):
    """Gives a run the host's own address, so that this one cannot lead to the host.

    Older versions ask 127.0.0.1 when the host's only name server is another loopback address.
    """

    program = "pasta"
    interface = "eth0"
    api_host = "127.0.0.1"
    own_addresses = ()
    nameserver = "10.213.255.53"

    def argv(self, site: Site, *, target: int) -> tuple[str, ...]:
        options = ["--quiet", "--foreground", "--ipv4-only", "--config-net"]
        options += ["--ns-ifname", self.interface, "--pid", "/dev/stdout"]
        options += ["--log-file", str(site.state_dir / f"{target}.log")]
        options += ["--tcp-ports", "none", "--udp-ports", "none"]
        options += ["--tcp-ns", str(site.api_port), "--udp-ns", "none"]
        if site.dns_local is not None:
            options += ["--dns", site.dns_local, "--dns-forward", self.nameserver]
        if not site.allow_local:
            options.append("--no-map-gw")
        return (self.program, *options, str(target))

    def host_address(self, gateway: str) -> str:
        return gateway


class Slirp4netns(Stack):
    program = "slirp4netns"
    interface = "tap0"
    api_host = "10.0.2.2"
    own_addresses = ("10.0.2.2", "10.0.2.3")
    nameserver = "10.0.2.3"

    def argv(self, site: Site, *, target: int) -> tuple[str, ...]:
        options = ["--configure", "--mtu=65520", "--ready-fd=1"]
        return (self.program, *options, str(target), self.interface)

    def host_address(self, gateway: str) -> str:
        return self.api_host
