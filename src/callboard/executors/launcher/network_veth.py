"""The veth rung: namespaces on a bridge of the host, led out by address translation. Needs root.

Runs have an IPv4 address each and no IPv6. They reach the API, the name servers and the outside; of the
host, of one another and of cloud metadata services nothing, whatever address is used for them.
"""

import os
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface
from itertools import count
from pathlib import Path

from callboard.executors.launcher import netlink, netns
from callboard.executors.launcher import network_bridge as bridge
from callboard.executors.launcher import network_firewall as firewall
from callboard.executors.launcher import network_registry as registry
from callboard.executors.launcher import network_resolver as resolver
from callboard.executors.launcher.network_lease import HOST_NAME, Lease

_INTERFACE = "eth0"
_PROBE_TIMEOUT_SECS = 2
_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21


def open_veth(
    state_dir: Path,
    *,
    api_port: int,
    allow_local: bool,
    resolv_confs: Sequence[Path] = resolver.SOURCES,
) -> "VethPlumbing":
    """Set everything up and see that a run reaches the API. Raises OSError, with nothing left behind."""
    if not _is_privileged():
        raise OSError("it needs root, with CAP_NET_ADMIN and CAP_SYS_ADMIN")
    with registry.exclusive():
        for dead in registry.claims_of_the_dead():
            bridge.remove_bridge(dead)
            dead.forget()
        routes = bridge.read_host_routes()
        claim = registry.claim(state_dir, routes.taken)
        policy = firewall.Policy(api_port, allow_local)
        plumbing = VethPlumbing(claim, state_dir, policy, mtu=routes.mtu, resolv_confs=resolv_confs)
        try:
            plumbing.set_up()
        except BaseException:
            plumbing.close()
            raise
    return plumbing


@dataclass(frozen=True)
class _Namespace:
    serial: int
    descriptor: int
    address: IPv4Address


class VethPlumbing:
    rung = "veth"
    warm, idle_max, batch = 8, 128, 16

    def __init__(
        self,
        claim: registry.Claim,
        state_dir: Path,
        policy: firewall.Policy,
        *,
        mtu: int,
        resolv_confs: Sequence[Path],
    ) -> None:
        self.gateway_address: str | None = str(claim.gateway)
        self.api_address = f"{claim.gateway}:{policy.api_port}"
        self.listen_address = str(claim.gateway)
        self.description = "a network namespace for each run (veth)"
        if policy.allow_local:
            self.description += f"; services of this host are open to runs as {HOST_NAME}"
        self._claim = claim
        self._mtu = mtu
        self._policy = policy
        self._resolv_confs = resolv_confs
        self._resolv_conf = state_dir / "resolv.conf"
        self._resolvers_stamp: object = None
        self._hosts = {HOST_NAME: str(claim.gateway)} if policy.allow_local else {}
        self._links = netlink.Netlink()
        self._namespaces: dict[int, int] = {}
        self._addresses = deque(list(claim.subnet.hosts())[1:])
        self._serials = count(1)
        self._open = True

    def set_up(self) -> None:
        """Make the bridge and the rules, and try them. Raises OSError."""
        self._resolv_conf.parent.mkdir(parents=True, exist_ok=True)
        self._follow_resolvers()
        needs_loopback = self._policy.allow_local or self._policy.dns_local is not None
        bridge.create_bridge(self._claim, mtu=self._mtu, route_localnet=needs_loopback)
        firewall.install(self._claim, self._policy)
        firewall.tell_other_firewalls(self._claim)
        self._bridge_index = socket.if_nametoindex(self._claim.bridge)
        (lease,) = self.make(1)
        _probe(self._namespaces[lease.serial], self.listen_address, self._policy.api_port)
        self.discard(lease)

    def make(self, count: int) -> list[Lease]:
        addresses = [self._addresses.popleft() for _ in range(min(count, len(self._addresses)))]
        if not addresses:
            raise OSError(f"no address is left in {self._claim.subnet}")
        made: list[_Namespace] = []
        try:
            for address in addresses:
                made.append(_Namespace(next(self._serials), netns.create_namespace(), address))
            self._connect(made)
        except BaseException:
            for namespace in made:
                os.close(namespace.descriptor)
            self._addresses.extend(addresses)
            raise
        self._namespaces.update({namespace.serial: namespace.descriptor for namespace in made})
        return [self._lease(namespace) for namespace in made]

    def discard(self, lease: Lease) -> None:
        os.close(self._namespaces.pop(lease.serial))
        if lease.address is not None:
            self._addresses.append(IPv4Address(lease.address))

    def is_intact(self, lease: Lease) -> bool:
        return lease.serial in self._namespaces

    def refresh(self) -> None:
        if self._follow_resolvers():
            firewall.install(self._claim, self._policy)

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        for descriptor in self._namespaces.values():
            os.close(descriptor)
        self._namespaces.clear()
        self._links.close()
        bridge.remove_bridge(self._claim)
        self._resolv_conf.unlink(missing_ok=True)
        self._claim.forget()

    def _connect(self, made: list["_Namespace"]) -> None:
        ports = [self._claim.port(namespace.serial) for namespace in made]
        self._links.apply([self._pair(namespace) for namespace in made])
        bridge_index = self._bridge_index
        self._links.apply(
            [netlink.attach_to_bridge(name=port, bridge_index=bridge_index) for port in ports]
        )
        indexes = [socket.if_nametoindex(port) for port in ports]
        self._links.apply([netlink.isolate_bridge_port(index=index) for index in indexes])
        for namespace in made:
            self._configure(namespace)
        self._links.apply([netlink.settle(index=index) for index in (*indexes, bridge_index)])

    def _pair(self, namespace: "_Namespace") -> netlink.Message:
        return netlink.add_veth_pair(
            name=self._claim.port(namespace.serial),
            group=self._claim.group,
            mtu=self._mtu,
            peer_name=_INTERFACE,
            namespace_fd=namespace.descriptor,
        )

    def _configure(self, namespace: "_Namespace") -> None:
        with netns.inside(namespace.descriptor):
            links, index = netlink.Netlink(), socket.if_nametoindex(_INTERFACE)
        address = IPv4Interface((namespace.address, self._claim.subnet.prefixlen))
        messages = [
            netlink.bring_up(index=netlink.LOOPBACK_INDEX),
            netlink.bring_up(index=index),
            netlink.add_address(index=index, address=address),
            netlink.add_default_route(index=index, gateway=self._claim.gateway),
            netlink.settle(index=index),
        ]
        with links:
            links.apply(messages)

    def _lease(self, namespace: "_Namespace") -> Lease:
        return Lease(
            serial=namespace.serial,
            netns_path=netns.path_of(namespace.descriptor),
            argv_prefix=(),
            address=str(namespace.address),
            interface=_INTERFACE,
            hosts=self._hosts,
            resolv_conf=str(self._resolv_conf),
        )

    def _follow_resolvers(self) -> bool:
        """Write the runs' resolv.conf anew when the host's has changed; True if rules have to follow."""
        stamp = resolver.stamp(self._resolv_confs)
        if stamp == self._resolvers_stamp:
            return False
        self._resolvers_stamp = stamp
        resolvers = resolver.read_resolvers(self._resolv_confs)
        local = None if resolvers.nameservers else resolvers.local
        # In place: running jobs have this very file mounted.
        self._resolv_conf.write_text(resolvers.render(local_as=self.gateway_address))
        before = self._policy
        self._policy = replace(before, nameservers=resolvers.nameservers, dns_local=local)
        return self._policy != before


def _is_privileged() -> bool:
    if os.geteuid() != 0:
        return False  # Its rights, if any, are those in a user namespace of its own.
    lines = Path("/proc/self/status").read_text().splitlines()
    effective = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    return all(effective >> capability & 1 for capability in (_CAP_NET_ADMIN, _CAP_SYS_ADMIN))


def _probe(namespace_fd: int, address: str, port: int) -> None:
    """Connect from the namespace as a run would, to a server of ours or to the API if it is up."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            server.bind((address, port))
            server.listen()
        with netns.inside(namespace_fd):
            client = socket.socket()
        with client:
            client.settimeout(_PROBE_TIMEOUT_SECS)
            try:
                client.connect((address, port))
            except OSError as error:
                raise OSError(
                    f"a run would not reach the API at {address}:{port}: {error}"
                ) from None
