"""The lowest rung: no network of their own for runs, where neither root nor user namespaces can be had."""

from callboard.executors.launcher.network_lease import Lease


class HostPlumbing:
    """There is nothing to make: jobs run in the launcher's network and reach all it reaches."""

    rung = "host"
    warm, idle_max, batch = 0, 0, 1
    gateway_address: str | None = None
    listen_address = "127.0.0.1"

    def __init__(self, *, api_port: int) -> None:
        self.api_address = f"{self.listen_address}:{api_port}"
        self.description = (
            "not isolated: runs share this host's network, its ports, its local services and its metadata "
            "service"
        )

    def make(self, count: int) -> list[Lease]:
        return []

    def discard(self, lease: Lease) -> None:
        """No lease was made."""

    def is_intact(self, lease: Lease) -> bool:
        return False

    def refresh(self) -> None:
        """Jobs read the host's own files."""

    def close(self) -> None:
        """Nothing was made."""
