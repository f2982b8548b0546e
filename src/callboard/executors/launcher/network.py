"""Networks for runs: `open_network` sets up the best that this host and these privileges allow.

From the top: `veth` needs root; `pasta` and `slirp4netns` need those programs and user namespaces; on
`host` jobs share the host's network. Each is tried for real, and `Network.description` says why the
better ones were not taken.
"""

from collections.abc import Callable
from pathlib import Path

from callboard.executors.launcher.network_host import HostPlumbing
from callboard.executors.launcher.network_lease import Lease, Network, Plumbing
from callboard.executors.launcher.network_usermode import open_pasta, open_slirp4netns
from callboard.executors.launcher.network_veth import open_veth

__all__ = ["Lease", "Network", "open_network"]


def open_network(state_dir: Path, *, api_port: int, allow_local: bool) -> Network:
    """Set up the network of one launcher, and remove what launchers that died left on this host.

    Nothing of it outlives the launcher but a bridge and firewall rules, which the next start removes.
    """
    failures: list[str] = []
    for rung, opener in _LADDER.items():
        try:
            plumbing = opener(state_dir / "network", api_port=api_port, allow_local=allow_local)
        except OSError as error:
            failures.append(f"{rung} not used: {error}")
        else:
            return Network(plumbing, better=failures)
    return Network(HostPlumbing(api_port=api_port), better=failures)


_LADDER: dict[str, Callable[..., Plumbing]] = {
    "veth": open_veth,
    "pasta": open_pasta,
    "slirp4netns": open_slirp4netns,
}
